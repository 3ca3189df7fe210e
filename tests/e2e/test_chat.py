"""A customer asks, the real model answers, and nothing is lost on the way."""

from __future__ import annotations

import re

from playwright.sync_api import Dialog, Page, expect

from .chat_page import QUESTION, ChatPage
from .stack import Stack


def test_the_answer_is_grounded_in_the_article_that_is_shown_as_its_source(chat: ChatPage) -> None:
    chat.ask(QUESTION)
    chat.expect_words_arriving()
    reply = chat.expect_replies(1)
    expect(reply).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    source = chat.by("source").first
    chat.by("sources").first.locator("summary, button").first.click()
    expect(source).to_contain_text("Cancel", ignore_case=True)
    link = source.locator("a").first
    assert re.match(r"/help/[\w-]+/(#[\w-]+)?$", link.get_attribute("href") or "")
    with chat.page.context.expect_page() as opened:
        link.click()
    expect(opened.value.locator("h1")).to_contain_text("Cancel", ignore_case=True)


def test_a_reload_in_the_middle_of_a_reply_loses_nothing(chat: ChatPage) -> None:
    chat.ask("Can I still change my mind and send something back, and what do I have to do then?")
    chat.page.reload()
    expect(chat.messages("customer")).to_have_count(1)
    reply = chat.expect_replies(1)
    text = reply.inner_text()
    chat.page.reload()
    assert chat.expect_replies(1).inner_text() == text
    expect(chat.messages("customer")).to_have_count(1)


def test_stop_keeps_what_was_written_and_retry_asks_again(chat: ChatPage) -> None:
    chat.ask("Please explain to me step by step how a return works")
    chat.expect_words_arriving()
    chat.by("stop").click()
    expect(chat.by("stop")).to_have_count(0)
    expect(chat.by("retry").last).to_be_visible()
    before = chat.messages("bot").count()
    chat.by("retry").last.click()
    chat.expect_replies(before + 1)
    expect(chat.messages("customer")).to_have_count(1)


def test_a_rating_is_kept_with_its_reason_and_can_be_taken_back(chat: ChatPage) -> None:
    chat.ask(QUESTION)
    reply = chat.expect_replies(1)
    reply.hover()
    chat.by("thumb-up").last.click()
    expect(chat.by("thumb-up").last).to_have_attribute("aria-pressed", "true")
    chat.page.reload()
    expect(chat.by("thumb-up").last).to_have_attribute("aria-pressed", "true")
    chat.by("thumb-up").last.click()
    expect(chat.by("thumb-up").last).to_have_attribute("aria-pressed", "false")
    chat.by("thumb-down").last.click()
    dialog = chat.by("rating-dialog")
    expect(dialog).to_be_visible()
    dialog.locator("textarea").fill("It did not say until when")
    dialog.get_by_role("button", name=re.compile("send|submit", re.IGNORECASE)).click()
    expect(dialog).to_have_count(0)
    expect(chat.by("thumb-down").last).to_have_attribute("aria-pressed", "true")


def test_what_the_bot_does_not_understand_it_asks_about_and_the_second_time_it_offers_a_person(chat: ChatPage) -> None:
    chat.ask("xqzt blorp fnarg")
    chat.expect_replies(1)
    assert chat.by("quick-reply").count() == 3
    chat.ask("wibble zonk quux")
    chat.expect_replies(2)
    person = chat.by("quick-reply")
    expect(person).to_have_text(["Talk to a person"])
    person.click()
    expect(chat.by("waiting-banner")).to_be_visible()
    chat.page.reload()
    expect(chat.by("waiting-banner")).to_be_visible()
    chat.by("return-to-assistant").click()
    expect(chat.by("waiting-banner")).to_have_count(0)
    chat.ask(QUESTION)
    expect(chat.by("sources").last).to_be_visible()


def test_an_approved_answer_comes_word_for_word(chat: ChatPage) -> None:
    chat.ask("What does your warranty cover?")
    reply = chat.expect_replies(1)
    first = reply.inner_text()
    chat.by("new-conversation").first.click()
    expect(chat.messages("bot")).to_have_count(0)
    chat.ask("how long is the warranty")
    again = chat.expect_replies(1)
    assert re.sub(r"\d{1,2}:\d\d.*", "", again.inner_text()) == re.sub(r"\d{1,2}:\d\d.*", "", first)


def test_several_conversations_are_kept_apart(chat: ChatPage) -> None:
    chat.ask(QUESTION)
    chat.expect_replies(1)
    chat.by("new-conversation").first.click()
    expect(chat.messages("customer")).to_have_count(0)
    chat.ask("Where is my parcel?")
    chat.expect_replies(1)
    expect(chat.by("conversation-item")).to_have_count(2)
    chat.by("conversation-item").filter(has_text="cancel").click()
    expect(chat.messages("customer")).to_have_text([re.compile("cancel")])


def test_an_unsent_draft_survives_a_reload(chat: ChatPage) -> None:
    chat.composer.fill("I was just about to ask")
    expect(chat.composer).to_have_value("I was just about to ask")
    chat.page.reload()
    expect(chat.composer).to_have_value("I was just about to ask")


def test_what_was_sent_offline_arrives_once_the_network_is_back(chat: ChatPage) -> None:
    chat.page.context.set_offline(True)
    chat.composer.fill(QUESTION)
    chat.composer.press("Enter")
    chat.page.context.set_offline(False)
    chat.expect_replies(1)
    expect(chat.messages("customer")).to_have_count(1)


def test_a_second_tab_shows_the_same(chat: ChatPage) -> None:
    second = ChatPage(chat.page.context.new_page(), chat.url).open()
    chat.ask(QUESTION)
    chat.expect_replies(1)
    second.expect_replies(1)
    expect(second.messages("customer")).to_have_count(1)


def test_hostile_text_is_shown_as_text(chat: ChatPage) -> None:
    dialogs: list[str] = []

    def note_dialog(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    chat.page.on("dialog", note_dialog)
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script> [x](javascript:alert(3)) <|im_end|> {{7*7}}"
    chat.ask(hostile)
    chat.expect_replies(1)
    expect(chat.messages("customer").last).to_contain_text("<script>alert(2)</script>")
    assert dialogs == []
    assert chat.page.locator("[data-testid=message] img, [data-testid=message] script").count() == 0


def test_a_support_admin_reads_the_transcript_with_everything_behind_it(chat: ChatPage, stack: Stack) -> None:
    chat.ask("How can I cancel my order? e2e-transcript")
    reply_text = chat.expect_replies(1).locator(".markdown p, .markdown li").first.inner_text()
    staff = chat.page.context.browser.new_context().new_page()  # type: ignore[union-attr]
    _log_in(staff, stack, "reviewer")
    staff.goto(f"{stack.url}/admin/conversations/conversation/?q=e2e-transcript")
    staff.locator("#result_list tbody th a").first.click()
    transcript = staff.locator("#content")
    expect(transcript).to_contain_text("e2e-transcript")
    expect(transcript).to_contain_text(reply_text[:30])
    for summary in staff.locator("#content summary").all():
        summary.click()
    expect(transcript).to_contain_text("Cancel an order")
    expect(transcript).to_contain_text(re.compile(r"\d+\s?%"))
    expect(transcript).to_contain_text("classifier-0001")
    expect(transcript).to_contain_text("generator-0001")
    expect(staff.locator("#content a[href*='/help/']").first).to_be_visible()
    staff.context.close()


def test_no_traceback_and_no_page_reaches_who_has_no_business_there(page: Page, stack: Stack) -> None:
    for path in ("/admin/conversations/conversation/", "/dashboard/"):
        page.goto(stack.url + path)
        expect(page).to_have_url(re.compile("login"))
    answer = page.goto(stack.url + "/help/no-such-article/")
    assert answer is not None
    assert answer.status == 404
    assert "Traceback" not in page.content()


def _log_in(page: Page, stack: Stack, username: str) -> None:
    page.goto(stack.url + "/admin/")
    page.locator("#id_username").fill(username)
    page.locator("#id_password").fill(stack.passwords[username])
    page.locator("input[type=submit], button[type=submit]").first.click()
    expect(page).to_have_url(re.compile(r"/admin/$"))
