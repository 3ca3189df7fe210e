"""Real servers, a real browser, the real default models."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .chat_page import ChatPage
from .stack import Stack

# A reply of the real model on two cores that other tests share.
expect.set_options(timeout=45_000)


@pytest.fixture(scope="session", autouse=True)
def broker() -> None:
    """These tests' systems bring their own."""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "no Chromium: `make test` installs Debian's, elsewhere install one and put it on the PATH"
    # Without these Chromium calls home all the time, and as root it has no sandbox.
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    return {**browser_type_launch_args, "executable_path": chromium, "args": [*quiet, "--disable-sync"]}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One system for the whole run, from an empty folder."""
    with Stack(tmp_path_factory.mktemp("fd")) as stack:
        yield stack


@pytest.fixture
def chat(page: Page, stack: Stack) -> ChatPage:
    """A new customer who has just opened the chat."""
    page.set_default_timeout(45_000)
    return ChatPage(page, stack.url).open()
