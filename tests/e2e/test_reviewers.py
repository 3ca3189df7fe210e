"""Reviewers read a transcript and ask why, work through the queue by keyboard, and meet over a turn."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from .chat_page import QUESTION, ChatPage
from .stack import Stack
from .staff import sign_in
from .test_accessibility import serious_violations

QUEUE = "/admin/conversations/reviewitem/"


@pytest.fixture
def reviewer(page: Page, stack: Stack) -> Page:
    """A reviewer who has opened the queue."""
    page.set_default_timeout(45_000)
    sign_in(page, stack, "reviewer", to=QUEUE)
    return page


def open_next(page: Page) -> None:
    """From the list to what teaches most."""
    page.get_by_role("link", name="Start reviewing").click()
    expect(page.get_by_role("button", name="Save and next")).to_be_visible()


def press_and_go_on(page: Page, keys: str) -> None:
    """Until the next turn has opened by itself."""
    before = page.url
    page.keyboard.press(keys)
    page.wait_for_url(lambda url: url != before)
    expect(page.get_by_role("button", name="Save and next")).to_be_visible()


def reviewed_today(page: Page) -> int:
    told = re.match(r"(\d+) reviewed today", page.locator(".fd-progress-words").inner_text())
    assert told
    return int(told[1])


def test_a_reviewer_asks_why_and_reads_the_explanation(chat: ChatPage, page: Page, stack: Stack) -> None:
    chat.ask(QUESTION)
    chat.expect_replies(1)
    sign_in(page, stack, "reviewer", to="/admin/conversations/conversation/")
    page.locator("#result_list").get_by_role("link", name=QUESTION).first.click()
    decision = page.locator("details.fd-why").first
    decision.locator("summary").first.click()
    decision.get_by_role("button", name="Explain this prediction").click()
    # The page comes to the explanation by itself, unfolded where it was asked for.
    why = page.get_by_role("heading", name=re.compile("^Why "))
    expect(why).to_have_text("Why Cancel an order")
    expect(page.locator(".fd-words")).to_have_text(QUESTION)
    expect(page.locator(".fd-words .fd-word", has_text="cancel")).to_have_class(re.compile("fd-towards-3"))
    nearest = page.locator(".fd-nearest li")
    expect(nearest).to_have_count(5)
    expect(nearest.first).to_contain_text(re.compile("cancel", re.IGNORECASE))
    page.get_by_text("The words’ weights in numbers").click()
    row = page.get_by_role("row", name=re.compile("cancel"))
    expect(row.get_by_role("cell").first).to_have_text(re.compile(r"^\+\d+\.\d\d$"))
    assert serious_violations(page) == []


def test_a_reviewer_works_through_three_turns_by_keyboard(reviewer: Page) -> None:
    assert serious_violations(reviewer) == []
    open_next(reviewer)
    assert serious_violations(reviewer) == []
    before = reviewed_today(reviewer)
    reviewer.keyboard.press("?")
    expect(reviewer.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    assert serious_violations(reviewer) == []
    reviewer.keyboard.press("Escape")

    # The first: one of the intents listed, the reply rejected, and a note, in which keys are letters.
    reviewer.keyboard.press("2")
    expect(reviewer.locator("[data-key='2']")).to_be_focused()
    reviewer.keyboard.press("r")
    reviewer.keyboard.press("n")
    reviewer.keyboard.type("rare: also said in shops")
    press_and_go_on(reviewer, "Control+Enter")
    assert reviewed_today(reviewer) == before + 1

    # The second: any intent of the catalogue, found by what is typed.
    reviewer.keyboard.press("i")
    reviewer.keyboard.type("gift ca")
    expect(reviewer.get_by_role("option", name="Gift card balance")).to_be_visible()
    reviewer.keyboard.press("ArrowDown")
    reviewer.keyboard.press("Enter")
    expect(reviewer.get_by_role("combobox", name="Intent")).to_have_value(re.compile("gift card", re.IGNORECASE))
    reviewer.keyboard.press("Escape")
    press_and_go_on(reviewer, "s")
    assert reviewed_today(reviewer) == before + 2

    # The third: out of scope, and what the bot should have said instead.
    third = reviewer.url
    reviewer.keyboard.press("0")
    reviewer.keyboard.press("e")
    reviewer.get_by_label("What the bot should have said").fill("We do not offer that.")
    press_and_go_on(reviewer, "Control+Enter")
    assert reviewed_today(reviewer) == before + 3

    press_and_go_on(reviewer, "u")
    assert reviewer.url.partition("?")[0] == third.partition("?")[0]
    assert reviewed_today(reviewer) == before + 2
    press_and_go_on(reviewer, "l")


def test_keys_do_nothing_where_they_are_switched_off(reviewer: Page) -> None:
    open_next(reviewer)
    url = reviewer.url
    reviewer.get_by_role("button", name="Shortcuts").click()
    reviewer.get_by_label("Single keys do something on this page").uncheck()
    reviewer.get_by_role("button", name="Close").click()
    reviewer.reload()
    expect(reviewer.get_by_role("button", name="Save and next")).to_be_visible()
    reviewer.keyboard.press("r")
    expect(reviewer.get_by_label("Reject")).not_to_be_checked()
    assert reviewer.url == url


def test_two_reviewers_meet_and_the_second_decides(reviewer: Page, browser: Browser, stack: Stack) -> None:
    open_next(reviewer)
    context = browser.new_context()
    other = context.new_page()
    sign_in(other, stack, "operator", to=QUEUE)
    other.goto(reviewer.url)
    expect(other.get_by_text(re.compile("reviewer opened this"))).to_be_visible()
    turn = reviewer.url
    reviewer.get_by_label("Reject").check()
    reviewer.get_by_label("Note").fill("the first one's words")
    press_and_go_on(reviewer, "Control+Enter")

    other.get_by_role("radio", name="Edit", exact=True).check()
    other.get_by_label("What the bot should have said").fill("the second one's words")
    other.get_by_role("button", name="Save and next").click()
    told = other.get_by_role("alert")
    expect(told).to_contain_text("reviewer reviewed this turn while you did")
    expect(told).to_contain_text("the first one's words")
    expect(other.get_by_label("What the bot should have said")).to_have_value("the second one's words")
    assert serious_violations(other) == []
    other.get_by_role("button", name="Save mine instead").click()
    expect(other.get_by_text("Saved: edited.")).to_be_visible()
    reviewer.goto(turn)
    expect(reviewer.get_by_text(re.compile("Reviewed already: edited by operator"))).to_be_visible()
    context.close()


def test_reviewing_works_without_scripts(browser: Browser, stack: Stack) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, stack, "reviewer", to=QUEUE)
    open_next(page)
    expect(page.get_by_role("button", name="Shortcuts")).not_to_be_visible()
    page.get_by_label("Another intent").check()
    page.get_by_label("Intent", exact=True).select_option("Gift card balance")
    page.get_by_role("radio", name="Accept", exact=True).check()
    page.get_by_role("button", name="Save and next").click()
    expect(page.get_by_text("Saved: accepted.")).to_be_visible()
    page.get_by_role("button", name="Undo the last").click()
    expect(page.get_by_text("Taken back.")).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_a_phone_and_nothing_sticks_out(
    browser: Browser, stack: Stack, scheme: Any
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, color_scheme=scheme)
    page = context.new_page()
    sign_in(page, stack, "reviewer", to=QUEUE)
    for address in (QUEUE, QUEUE + "next/", "/dashboard/?demo=on"):
        page.goto(stack.url + address)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert serious_violations(page) == [], address
        sticks_out = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert sticks_out <= 0, address
    context.close()
