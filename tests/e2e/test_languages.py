"""The chat in each of its languages: no English word of the interface is left, and what is written is told apart."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from .chat_page import QUESTION, ChatPage
from .stack import Stack
from .test_accessibility import serious_violations

# Everything of the page that is read out or looked at, and that nobody wrote: what people and the shop wrote has
# `dir="auto"`, and the languages have their own names.
INTERFACE_WORDS = """() => {
  const words = new Set();
  const keep = text => { const said = text.trim(); if (/[A-Za-z]{2}/.test(said)) words.add(said); };
  for (const element of document.querySelectorAll("body *")) {
    if (element.closest("script, style, noscript, option, [dir=auto]")) continue;
    for (const name of ["aria-label", "title", "placeholder", "alt"]) keep(element.getAttribute(name) ?? "");
    for (const node of element.childNodes) if (node.nodeType === Node.TEXT_NODE) keep(node.data);
  }
  return [...words];
}"""


def interface_words(browser: Browser, stack: Stack, locale: str, direction: str) -> set[str]:
    """Every word of the interface on the way from the first page to the end of a conversation."""
    context = browser.new_context(locale=locale, viewport={"width": 390, "height": 844})
    chat = ChatPage(context.new_page(), stack.url).open()
    assert chat.page.evaluate("document.documentElement.dir || 'ltr'") == direction
    words = set(chat.page.evaluate(INTERFACE_WORDS))

    def look() -> None:
        words.update(chat.page.evaluate(INTERFACE_WORDS))

    chat.ask(QUESTION)
    chat.expect_replies(1)
    chat.by("thumb-down").last.click()
    expect(chat.by("rating-dialog")).to_be_visible()
    look()
    chat.page.keyboard.press("Escape")
    chat.by("open-drawer").click()
    look()
    chat.page.keyboard.press("Escape")
    chat.by("end-conversation").click()
    expect(chat.by("end-dialog")).to_be_visible()
    look()
    chat.by("end-yes").click()
    expect(chat.by("survey")).to_be_visible()
    chat.by("survey").get_by_role("radio").last.check(force=True)
    look()
    assert serious_violations(chat.page) == []
    chat.by("survey-send").click()
    expect(chat.by("survey-answer")).to_be_visible()
    look()
    context.close()
    return words


@pytest.fixture(scope="module")
def english(browser: Browser, stack: Stack) -> set[str]:
    return interface_words(browser, stack, "en-GB", "ltr")


@pytest.mark.parametrize(("locale", "direction"), [("de-DE", "ltr"), ("zh-CN", "ltr"), ("ar", "rtl")])
def test_no_word_of_the_interface_is_left_in_english(
    browser: Browser, stack: Stack, english: set[str], locale: str, direction: str
) -> None:
    assert len(english) > 30, "the way through the page shows more words than this"
    theirs = interface_words(browser, stack, locale, direction)
    names = {"Hazel & Harbour"}
    assert theirs & english - names == set()


def test_who_writes_in_a_language_that_the_model_lacks_is_told_so_in_it_once(browser: Browser, stack: Stack) -> None:
    context = browser.new_context(locale="de-DE")
    chat = ChatPage(context.new_page(), stack.url).open()
    chat.ask("Guten Tag, wo bleibt eigentlich mein Paket?")
    expect(chat.expect_replies(1)).to_contain_text("nur auf Englisch antworten")
    expect(chat.page.get_by_role("button", name="Mit einem Menschen sprechen").last).to_be_visible()
    chat.ask("Ich habe es vor einer Woche bestellt, und nichts ist gekommen.")
    expect(chat.expect_replies(2)).not_to_contain_text("nur auf Englisch antworten")
    context.close()
