"""What a customer does on the chat page, in words."""

from __future__ import annotations

import re
from typing import Self

from playwright.sync_api import Locator, Page, expect

QUESTION = "How can I cancel my order?"


class ChatPage:
    """The chat page in a browser."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def open(self) -> Self:
        self.page.goto(self.url)
        expect(self.composer).to_be_enabled()
        return self

    def by(self, testid: str) -> Locator:
        return self.page.get_by_test_id(testid)

    @property
    def composer(self) -> Locator:
        return self.by("composer")

    def messages(self, role: str) -> Locator:
        return self.page.locator(f'[data-testid="message"][data-role="{role}"]')

    def ask(self, text: str = QUESTION) -> None:
        self.composer.fill(text)
        # The button, since Enter makes a new line on a phone.
        self.by("send").click()
        expect(self.messages("customer").last).to_contain_text(text)

    def expect_replies(self, count: int) -> Locator:
        """Until there are that many finished replies; the last of them."""
        expect(self.messages("bot")).to_have_count(count)
        return self.messages("bot").last

    def expect_words_arriving(self) -> str:
        """Until the reply has begun to appear; what stands there."""
        provisional = self.by("provisional")
        expect(provisional).to_contain_text(re.compile(r"\w{2}"))
        return provisional.inner_text()
