"""axe-core on every public page, the keyboard from open to answer, and a phone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from .chat_page import QUESTION, ChatPage
from .stack import Stack


def serious_violations(page: Page) -> list[Any]:
    found = Axe().run(page).response["violations"]
    return [
        {"rule": rule["id"], "where": [node["target"] for node in rule["nodes"]][:3]}
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_the_chat_page(browser: Browser, stack: Stack, scheme: Any) -> None:
    context = browser.new_context(color_scheme=scheme)
    chat = ChatPage(context.new_page(), stack.url).open()
    assert serious_violations(chat.page) == []
    chat.ask(QUESTION)
    chat.expect_replies(1)
    chat.by("sources").first.locator("summary, button").first.click()
    chat.by("thumb-down").last.click()
    expect(chat.by("rating-dialog")).to_be_visible()
    assert serious_violations(chat.page) == []
    context.close()


def test_axe_finds_nothing_serious_on_the_help_pages(page: Page, stack: Stack) -> None:
    page.goto(stack.url + "/help/")
    assert serious_violations(page) == []
    page.locator("main a[href^='/help/']").first.click()
    assert serious_violations(page) == []


def test_the_keyboard_alone_is_enough(chat: ChatPage) -> None:
    chat.composer.focus()
    chat.page.keyboard.type(QUESTION)
    chat.page.keyboard.press("Enter")
    chat.expect_replies(1)
    expect(chat.composer).to_be_focused()
    reached = []
    for _ in range(25):
        chat.page.keyboard.press("Shift+Tab")
        reached.append(chat.page.evaluate("document.activeElement?.closest('[data-testid]')?.dataset.testid ?? ''"))
    assert "thumb-up" in reached, json.dumps(reached)


def test_a_finished_reply_is_announced_once_to_screen_readers(chat: ChatPage) -> None:
    chat.page.evaluate(
        """() => {
            window.announced = [];
            const region = document.querySelector('[data-testid=announcer]');
            new MutationObserver(() => window.announced.push(region.textContent.trim()))
                .observe(region, {childList: true, characterData: true, subtree: true});
        }"""
    )
    chat.ask(QUESTION)
    reply = chat.expect_replies(1).locator(".markdown p, .markdown li").first.inner_text()
    announced = [text for text in chat.page.evaluate("window.announced") if reply[:20] in text]
    assert len(announced) == 1


def test_on_a_phone_nothing_sticks_out(browser: Browser, stack: Stack) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=2
    )
    chat = ChatPage(context.new_page(), stack.url).open()
    chat.composer.fill("x" * 300)
    chat.by("send").tap()
    chat.expect_replies(1)
    overflow = chat.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    box = chat.composer.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 844
    size = chat.composer.evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
    assert size >= 16, "a smaller font makes iOS zoom in"
    context.close()
