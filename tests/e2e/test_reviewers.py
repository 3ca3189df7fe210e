"""Reviewers read a transcript and ask why."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from .chat_page import QUESTION, ChatPage
from .stack import Stack
from .staff import sign_in
from .test_accessibility import serious_violations


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
