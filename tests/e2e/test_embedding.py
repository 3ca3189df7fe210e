"""The chat on another origin's page: opened, used, vouched for, and shut out where it must be."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from .stack import Stack
from .staff import sign_in
from .test_accessibility import serious_violations

SECRET = "a secret that both servers know, long enough"
QUESTION = "How can I cancel my order?"
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>A shop</title></head>
<body><main><h1>A shop</h1></main><script>window.heard = []; addEventListener("frontdesk:ready", () => {{
for (const name of ["ready", "open", "close", "unread", "message", "identity-needed"])
  Frontdesk.on(name, (detail) => heard.push([name, detail]));
{then} }});</script>
<script async src="{desk}/widget.js" data-site="{site}"></script></body></html>"""


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Into nobody's terminal."""


class Shop:
    """Another origin: pages of a shop that embeds the chat."""

    def __init__(self, folder: Path, desk: str) -> None:
        self._folder, self._desk = folder, desk
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder)))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.origin = f"http://localhost:{self._server.server_port}"

    def page(self, name: str, *, site: str = "e2e", then: str = "") -> str:
        (self._folder / f"{name}.html").write_text(PAGE.format(desk=self._desk, site=site, then=then))
        return f"{self.origin}/{name}.html"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def shop(browser: Browser, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop, and the two sites that the administrator has set up for it."""
    shop = Shop(tmp_path_factory.mktemp("shop"), stack.url)
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, stack, "admin", to="/admin/embedding/site/add/")
    for key, identity in (("e2e", "optional"), ("e2e-members", "enforced")):
        page.goto(f"{stack.url}/admin/embedding/site/add/")
        # The key first: typed by hand, it is no longer made from the name.
        page.locator("#id_key").fill(key)
        page.locator("#id_key").press("Tab")
        page.locator("#id_name").fill(f"The {key} shop")
        page.locator("#id_allowed_origins").fill(shop.origin)
        page.locator("#id_identity").select_option(identity)
        page.locator("#id_new_identity_key").fill(SECRET)
        page.get_by_role("button", name="Save and continue editing").click()
        expect(page.locator("#content pre")).to_contain_text(f'data-site="{key}"')
        # The secret is written and never shown again.
        assert SECRET not in page.content()
    context.close()
    yield shop
    shop.close()


def chat_in(page: Page) -> FrameLocator:
    return page.frame_locator("iframe")


def ask(page: Page, text: str = QUESTION) -> None:
    chat = chat_in(page)
    chat.get_by_label("Your message").fill(text)
    chat.get_by_role("button", name="Send", exact=True).click()


def heard(page: Page, name: str) -> list[Any]:
    told: list[Any] = page.evaluate("name => heard.filter(([what]) => what === name).map(([, detail]) => detail)", name)
    return told


def identity(subject: str) -> str:
    return jwt.encode({"sub": subject, "exp": int(time.time()) + 300, "name": "Robin"}, SECRET, "HS256")


def test_a_visitor_of_the_shop_opens_the_chat_asks_and_closes_it(page: Page, shop: Shop, stack: Stack) -> None:
    page.set_default_timeout(45_000)
    page.goto(shop.page("plain"))
    launcher = page.get_by_role("button", name="Open the chat")
    expect(launcher).to_have_attribute("aria-expanded", "false")
    assert page.locator("iframe").count() == 0
    assert serious_violations(page) == []
    launcher.press("Enter")
    chat = chat_in(page)
    expect(chat.get_by_role("heading", name="The e2e shop").first).to_be_visible()
    ask(page)
    page.wait_for_function("heard.some(([what]) => what === 'message')")
    assert heard(page, "message")[0]["role"] == "bot"
    assert page.context.cookies(stack.url) == []
    # Everything is still there after a reload, without a cookie.
    page.reload()
    page.get_by_role("button", name="Open the chat").click()
    expect(chat.get_by_role("log").get_by_text(QUESTION)).to_be_visible()
    chat.get_by_label("Your message").press("Escape")
    expect(page.get_by_role("button", name="Open the chat")).to_be_focused()
    assert heard(page, "close") == [None]


def test_a_reply_that_comes_while_the_chat_is_closed_is_counted(page: Page, shop: Shop) -> None:
    page.set_default_timeout(45_000)
    page.goto(
        shop.page("closing", then="Frontdesk.on('ready', () => { Frontdesk.send('Hello'); Frontdesk.close(); });")
    )
    page.evaluate("Frontdesk.open()")
    expect(page.get_by_role("button", name="Open the chat (1)")).to_be_visible()
    page.get_by_role("button", name="Open the chat (1)").click()
    page.wait_for_function("heard.some(([what, count]) => what === 'unread' && count === 0)")


def test_signing_in_keeps_what_was_said_and_signing_out_shows_nobody_elses(browser: Browser, shop: Shop) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(45_000)
    page.goto(shop.page("signing-in"))
    page.evaluate("Frontdesk.open()")
    ask(page)
    page.wait_for_function("heard.some(([what]) => what === 'message')")
    page.evaluate("token => Frontdesk.identify(token)", identity("customer-7"))
    chat = chat_in(page)
    expect(chat.get_by_role("log").get_by_text(QUESTION)).to_be_visible()

    elsewhere = browser.new_context()
    device = elsewhere.new_page()
    device.set_default_timeout(45_000)
    device.goto(shop.page("device", then=f"Frontdesk.identify('{identity('customer-7')}');"))
    device.evaluate("Frontdesk.open()")
    expect(chat_in(device).get_by_role("log").get_by_text(QUESTION)).to_be_visible()
    elsewhere.close()

    page.evaluate("Frontdesk.identify(null)")
    expect(chat.get_by_text(QUESTION)).to_have_count(0)
    expect(chat.get_by_label("Your message")).to_be_visible()
    context.close()


def test_a_site_for_members_lets_only_those_in_whom_it_vouches_for(page: Page, shop: Shop) -> None:
    page.set_default_timeout(45_000)
    page.goto(shop.page("members", site="e2e-members"))
    page.evaluate("Frontdesk.open()")
    chat = chat_in(page)
    expect(chat.get_by_role("alert")).to_have_text("Please sign in to chat with us.")
    assert heard(page, "identity-needed") == ["Please sign in to chat with us."]
    page.evaluate("token => Frontdesk.identify(token)", identity("customer-9"))
    expect(chat.get_by_label("Your message")).to_be_visible()


def test_a_page_of_another_origin_cannot_frame_the_chat(page: Page, shop: Shop, stack: Stack) -> None:
    stranger = shop.page("stranger").replace("localhost", "127.0.0.1")
    page.goto(stranger)
    page.get_by_role("button", name="Open the chat").click()
    frame = page.locator("iframe").element_handle().content_frame()
    assert frame is not None
    frame.wait_for_load_state()
    assert "chrome-error" in frame.url
    assert heard(page, "ready") == []


def test_on_a_phone_the_chat_fills_the_screen_and_closes_from_within(browser: Browser, shop: Shop) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(45_000)
    page.goto(shop.page("phone"))
    page.get_by_role("button", name="Open the chat").tap()
    expect(chat_in(page).get_by_label("Your message")).to_be_visible()
    box = page.locator("iframe").bounding_box()
    assert box is not None
    assert (box["x"], box["y"], box["width"]) == (0, 0, 390)
    expect(page.get_by_role("button", name="Close the chat")).to_be_hidden()
    chat_in(page).get_by_role("button", name="Close the chat").tap()
    expect(page.get_by_role("button", name="Open the chat")).to_be_visible()
    context.close()
