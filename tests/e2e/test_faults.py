"""Pulling plugs: what the customer sees when something dies."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
from playwright.sync_api import Page, expect

from .chat_page import QUESTION, ChatPage
from .stack import Stack

# What the design promises: a killed worker's turn is answered within this.
ANSWERED_WITHIN_MS = 30_000


def test_kill_9_of_the_replies_worker_mid_reply_costs_nothing(chat: ChatPage, stack: Stack) -> None:
    chat.ask("Please explain to me step by step how a return works")
    chat.expect_words_arriving()
    worker = stack.replies_worker()
    assert worker is not None
    worker.kill()
    expect(chat.messages("bot")).to_have_count(1, timeout=ANSWERED_WITHIN_MS)
    expect(chat.messages("customer")).to_have_count(1)
    expect(chat.by("failure")).to_have_count(0)


def test_kill_9_of_the_web_process_and_the_page_comes_back_by_itself(chat: ChatPage, stack: Stack) -> None:
    web = next(process for process in stack.family() if "uvicorn" in process.cmdline())
    web.kill()
    chat.composer.fill(QUESTION)
    chat.composer.press("Enter")
    chat.expect_replies(1)
    expect(chat.messages("customer")).to_have_count(1)


def test_kill_9_of_the_broker_keeps_the_message_and_the_answer_comes(chat: ChatPage, stack: Stack) -> None:
    broker = next(process for process in stack.family() if "valkey" in process.name())
    broker.kill()
    chat.ask(QUESTION)
    chat.expect_replies(1)


def test_kill_9_of_the_supervisor_leaves_no_orphan_and_a_restart_finishes_what_was_owed(
    page: Page, tmp_path: Path, stack: Stack
) -> None:
    with Stack(tmp_path / "own") as own:
        first_start = own.start_seconds
        chat = ChatPage(page, own.url).open()
        chat.ask("Please explain to me step by step how a return works")
        family = own.family()
        assert len(family) >= 5
        own.kill()
        _, alive = psutil.wait_procs(family, timeout=20)
        assert [process.name() for process in alive] == []
        again = Stack(own.var_dir, port=own.port).start()
        try:
            expect(chat.messages("bot")).to_have_count(1)
            assert again.start_seconds < first_start
            assert again.passwords == {}, "passwords are shown once"
        finally:
            family = again.family()
            assert again.stop() == 0
            _, alive = psutil.wait_procs(family, timeout=20)
            assert [process.name() for process in alive] == []


def test_health_pages_say_what_is_there(stack: Stack, page: Page) -> None:
    alive = page.goto(stack.url + "/healthz")
    assert alive is not None
    assert alive.ok
    status, ready = stack.get_json("/readyz")
    assert status == 200, ready
    page.goto(stack.url + "/metrics")
    assert re.search(r"^frontdesk_\w+", page.locator("body").inner_text(), re.MULTILINE)
