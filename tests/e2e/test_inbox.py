"""A person when one is needed: customer and agents in browsers of their own, on a real stack."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from .chat_page import ChatPage
from .stack import Stack
from .staff import sign_in
from .test_accessibility import serious_violations

INBOX = "/dashboard/inbox/"
OpenInbox = Callable[[str], Page]


@pytest.fixture
def open_inbox(browser: Browser, stack: Stack) -> Iterator[OpenInbox]:
    """Opens the inbox as one of the first accounts, in a browser session of its own."""
    contexts = []

    def open_as(username: str) -> Page:
        context = browser.new_context()
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(45_000)
        sign_in(page, stack, username, to=INBOX)
        # Connected once a click would do something.
        expect(page.get_by_text("Connecting…")).to_have_count(0)
        return page

    yield open_as
    for context in contexts:
        context.close()


@pytest.fixture(scope="module", autouse=True)
def set_hours(browser: Browser, stack: Stack) -> Iterator[Callable[[str], None]]:
    """Says when the demo shop's desk is open: always, unless a test says otherwise. No other site counts meanwhile."""
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, stack, "admin", to="/admin/embedding/site/")
    addresses = [link.get_attribute("href") for link in page.locator("#result_list tbody th a").all()]

    def change(address: str | None, *, is_active: bool | None = None, hours: str | None = None) -> str:
        page.goto(f"{stack.url}{address}")
        if is_active is not None:
            page.locator("#id_is_active").set_checked(is_active)
        if hours is not None:
            page.locator("#id_hours").fill(hours)
        key = page.locator("#id_key").input_value()
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator(".messagelist .success")).to_be_visible()
        return key

    shops = [address for address in addresses if change(address, is_active=False) == "shop"]

    def set_to(hours: str) -> None:
        change(shops[0], is_active=True, hours=hours)

    set_to("")
    yield set_to
    for address in addresses:
        change(address, is_active=True)
    context.close()


def ask_for_a_person(chat: ChatPage) -> None:
    chat.page.get_by_role("button", name="Talk to a person").first.click()
    expect(chat.by("waiting-banner")).to_be_visible()


def open_conversation(inbox: Page, where: str, title: str) -> None:
    """Out of the list's section of that name."""
    inbox.get_by_test_id(where).get_by_role("button", name=re.compile(title)).first.click()
    expect(inbox.get_by_test_id("standing")).not_to_be_empty()


def test_from_hand_off_to_close_with_nothing_reloaded(chat: ChatPage, open_inbox: OpenInbox) -> None:
    kim, sam = open_inbox("reviewer"), open_inbox("admin")
    chat.ask("Where can I see my invoice?")
    chat.expect_replies(1)
    ask_for_a_person(chat)
    expect(chat.by("queue-place")).to_contain_text("You’re next")
    expect(kim).to_have_title(re.compile(r"^\(1\) Inbox"))
    open_conversation(kim, "waiting", "invoice")
    open_conversation(sam, "waiting", "invoice")
    assert serious_violations(kim) == []

    kim.get_by_role("button", name="Take it").click()
    expect(chat.messages("system").last).to_contain_text("has joined the conversation")
    expect(chat.by("human-banner")).to_be_visible()

    # A colleague sees whose it is without doing anything, and can't answer by mistake.
    expect(sam.get_by_test_id("standing")).to_have_text("reviewer has this conversation.")
    expect(sam.get_by_role("button", name="Reply", exact=True)).to_be_disabled()
    sam.get_by_test_id("reply-box").fill("Invoices come by e-mail, I think.")
    sam.get_by_role("button", name="Add note").click()
    expect(kim.get_by_test_id("note")).to_contain_text("Invoices come by e-mail")

    kim.get_by_test_id("reply-box").press_sequentially("Hello! ")
    expect(chat.by("agent-typing")).to_be_visible()
    kim.get_by_test_id("reply-box").press_sequentially("/anything")
    expect(kim.get_by_role("option", name=re.compile("anything-else"))).to_be_visible()
    kim.get_by_test_id("reply-box").press("Enter")
    kim.get_by_test_id("reply-box").press("Enter")
    expect(chat.messages("agent")).to_contain_text("Hello! Is there anything else that I can do for you?")
    expect(chat.by("agent-typing")).to_have_count(0)
    expect(chat.page.get_by_text("Invoices come by e-mail")).to_have_count(0)

    chat.composer.press_sequentially("Yes, ")
    expect(kim.get_by_test_id("typing")).to_contain_text("The customer is typing")
    chat.ask("Yes, one from last year.")
    expect(kim.get_by_test_id("message").last).to_contain_text("one from last year")

    # Taken over only by saying so; what Kim is still writing goes nowhere.
    kim.get_by_test_id("reply-box").fill("Let me look.")
    sam.get_by_role("button", name="Take over from reviewer").click()
    expect(kim.get_by_test_id("standing")).to_have_text("admin has this conversation.")
    expect(kim.get_by_role("button", name="Reply", exact=True)).to_be_disabled()
    expect(kim.get_by_test_id("reply-box")).to_have_value("")

    sam.get_by_role("button", name="Return to the assistant").click()
    expect(chat.messages("system").last).to_contain_text("talking to the assistant again")
    chat.ask("How can I cancel my order?")
    chat.expect_replies(2)

    sam.get_by_role("button", name="Close", exact=True).click()
    sam.get_by_role("button", name="Close it").click()
    expect(chat.by("closed-banner")).to_be_visible()
    expect(chat.by("announcer")).to_contain_text("closed")


def test_the_bots_draft_is_sent_only_by_hand(chat: ChatPage, open_inbox: OpenInbox) -> None:
    chat.ask("How long does delivery take?")
    chat.expect_replies(1)
    ask_for_a_person(chat)
    kim = open_inbox("reviewer")
    open_conversation(kim, "waiting", "delivery")
    kim.get_by_role("button", name="Suggest a reply").click()
    expect(kim.get_by_test_id("suggestion")).to_be_visible()
    expect(chat.messages("agent")).to_have_count(0)
    kim.get_by_role("button", name="Send as it is").click()
    expect(chat.messages("agent")).to_have_count(1)
    expect(kim.get_by_test_id("mine")).to_contain_text("delivery")
    kim.get_by_role("button", name="Back to the queue").click()
    expect(chat.by("queue-place")).to_contain_text("You’re next")
    chat.by("return-to-assistant").click()
    expect(kim.get_by_test_id("waiting")).to_contain_text("Nobody is waiting")


def test_what_happened_while_the_connection_was_gone_is_there_afterwards(chat: ChatPage, open_inbox: OpenInbox) -> None:
    kim = open_inbox("reviewer")
    chat.ask("Do you sell gift cards?")
    chat.expect_replies(1)
    ask_for_a_person(chat)
    open_conversation(kim, "waiting", "gift cards")
    kim.get_by_role("button", name="Take it").click()
    expect(chat.by("human-banner")).to_be_visible()
    kim.context.set_offline(True)
    chat.ask("Are you there?")
    kim.context.set_offline(False)
    expect(kim.get_by_test_id("message").last).to_contain_text("Are you there?")
    kim.get_by_test_id("reply-box").fill("Yes!")
    kim.get_by_test_id("reply-box").press("Control+Enter")
    expect(chat.messages("agent").last).to_contain_text("Yes!")


def test_outside_business_hours_an_address_is_left_and_staff_see_it(
    chat: ChatPage, open_inbox: OpenInbox, set_hours: Callable[[str], None]
) -> None:
    set_hours(f"{datetime.now(UTC) + timedelta(days=2):%a} 09:00-18:00".lower())
    chat.ask("How do I clean my boots?")
    chat.expect_replies(1)
    ask_for_a_person(chat)
    expect(chat.messages("system").last).to_contain_text("Nobody is here right now; we are back on")
    assert serious_violations(chat.page) == []
    chat.page.get_by_label("E-mail address").fill("ada@example")
    chat.page.get_by_role("button", name="Leave it").click()
    expect(chat.page.get_by_text("such as name@example.com")).to_be_visible()
    chat.page.get_by_label("E-mail address").fill("ada@example.com")
    chat.page.get_by_role("button", name="Leave it").click()
    expect(chat.by("email-left")).to_contain_text("ada@example.com")
    chat.page.reload()
    expect(chat.by("email-left")).to_contain_text("ada@example.com")
    kim = open_inbox("reviewer")
    open_conversation(kim, "waiting", "boots")
    expect(kim.get_by_test_id("standing")).to_contain_text("ada@example.com")
    set_hours("")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_a_phone(browser: Browser, stack: Stack, chat: ChatPage, scheme: str) -> None:
    chat.ask("Where is the nearest shop?")
    chat.expect_replies(1)
    ask_for_a_person(chat)
    assert serious_violations(chat.page) == []
    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        is_mobile=True,
        has_touch=True,
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    sign_in(page, stack, "reviewer", to=INBOX)
    expect(page.get_by_test_id("waiting").get_by_role("button").first).to_be_visible()
    assert serious_violations(page) == []
    page.get_by_test_id("waiting").get_by_role("button").first.tap()
    expect(page.get_by_test_id("message").first).to_be_visible()
    assert serious_violations(page) == []
    page.get_by_role("button", name="All conversations").tap()
    expect(page.get_by_test_id("waiting")).to_be_visible()
    context.close()


def test_without_scripts_it_is_a_list_with_links(browser: Browser, stack: Stack, chat: ChatPage) -> None:
    chat.ask("Can I pay by invoice?")
    chat.expect_replies(1)
    ask_for_a_person(chat)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, stack, "reviewer", to=INBOX)
    page.get_by_role("link", name="Can I pay by invoice?").click()
    expect(page.get_by_role("heading", name="Can I pay by invoice?")).to_be_visible()
    context.close()
