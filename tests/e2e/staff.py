"""What members of staff do in a browser, in words."""

from __future__ import annotations

from playwright.sync_api import Page

from .stack import Stack


def sign_in(page: Page, stack: Stack, username: str, *, to: str = "/admin/") -> None:
    """Sign in as one of the first accounts, and go on to the page."""
    page.goto(f"{stack.url}/admin/login/?next={to}")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(stack.passwords[username])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(stack.url + to)
