"""A conversation from open to close by the keyboard alone, and what staff see of the customer's verdict."""

from __future__ import annotations

from playwright.sync_api import Browser, Page, expect

from .chat_page import ChatPage
from .stack import Stack
from .staff import sign_in

QUESTION = "How can I cancel my order, and who sees this survey?"
COMMENT = "Quick, thank you <b>so</b> much"


def tab_to(page: Page, testid: str, key: str = "Shift+Tab") -> None:
    """Press the key until the focus is there."""
    for _ in range(40):
        if page.evaluate("document.activeElement?.closest('[data-testid]')?.dataset.testid") == testid:
            return
        page.keyboard.press(key)
    raise AssertionError(f"the keyboard does not reach {testid}")


def test_a_customer_ends_and_rates_by_keyboard_and_staff_read_it(
    chat: ChatPage, browser: Browser, stack: Stack
) -> None:
    keyboard = chat.page.keyboard
    chat.composer.focus()
    keyboard.type(QUESTION)
    keyboard.press("Enter")
    chat.expect_replies(1)
    tab_to(chat.page, "end-conversation")
    keyboard.press("Enter")
    expect(chat.by("end-dialog")).to_be_visible()
    tab_to(chat.page, "end-yes", "Tab")
    keyboard.press("Enter")
    expect(chat.by("survey").get_by_role("radio").first).to_be_focused()
    for _ in range(4):
        keyboard.press("ArrowRight")
    tab_to(chat.page, "survey-comment", "Tab")
    keyboard.type(COMMENT)
    tab_to(chat.page, "survey-send", "Tab")
    keyboard.press("Enter")
    expect(chat.by("survey-answer")).to_be_visible()
    chat.page.reload()
    expect(chat.by("survey-answer")).to_be_visible()

    context = browser.new_context()
    staff = context.new_page()
    sign_in(staff, stack, "reviewer")
    staff.goto(f"{stack.url}/admin/conversations/conversation/?q=survey")
    staff.locator("#result_list tbody th a").first.click()
    expect(staff.locator("#content")).to_contain_text(COMMENT)
    context.close()
