"""Who may open a socket."""

from __future__ import annotations

import pytest
from django.core import signing
from django.test import Client
from pytest_django import Settings

from chatbot.conversations import handshake
from chatbot.conversations.handshake import client_address, origin_allowed, visitor_from_cookies

HOST = "shop.example:8000"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://shop.example:8000", True),
        (None, True),
        ("https://shop.example:8000", False),
        ("http://shop.example", False),
        ("http://shop.example:8001", False),
        ("http://evil.example", False),
        ("http://shop.example:8000.evil.example", False),
        ("http://evil.example/shop.example:8000", False),
        ("http://shop.example:8000/", False),
        ("http://shop.example:8000@evil.example", False),
        ("http://user@shop.example:8000", False),
        ("http://shop.example:99999", False),
        ("http://[::1", False),
        ("file://", False),
        ("null", False),
        ("", False),
        ("http://", False),
        (" http://shop.example:8000", False),
        ("javascript:alert(1)", False),
    ],
)
def test_only_the_pages_own_origin_may_connect(origin: str | None, allowed: bool) -> None:
    assert origin_allowed(origin, HOST, "http") is allowed


def test_configured_origins_replace_the_pages_own(settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = ["https://www.shop.example"]
    assert origin_allowed("https://www.shop.example", HOST, "http")
    assert origin_allowed("https://www.shop.example:443", HOST, "http")
    assert not origin_allowed("http://shop.example:8000", HOST, "http")


@pytest.mark.django_db
def test_a_get_of_the_page_gives_a_signed_cookie_that_lasts(client: Client, settings: Settings) -> None:
    first = client.get("/")
    cookie = first.cookies[settings.VISITOR_COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    visitor = visitor_from_cookies({settings.VISITOR_COOKIE_NAME: cookie.value})
    assert visitor is not None
    again = client.get("/").cookies[settings.VISITOR_COOKIE_NAME]
    assert visitor_from_cookies({settings.VISITOR_COOKIE_NAME: again.value}) == visitor


def test_a_cookie_that_was_not_signed_for_this_is_nobody(settings: Settings) -> None:
    name = settings.VISITOR_COOKIE_NAME
    visitor = "0192c0de-0000-7000-8000-000000000001"
    assert visitor_from_cookies({}) is None
    assert visitor_from_cookies({name: visitor}) is None
    assert visitor_from_cookies({name: signing.TimestampSigner(salt="other").sign(visitor)}) is None
    assert visitor_from_cookies({name: signing.TimestampSigner(salt=handshake.SALT).sign("not-an-id")}) is None


def test_forwarded_addresses_count_only_behind_trusted_proxies(settings: Settings) -> None:
    scope = {"client": ("10.0.0.9", 1), "headers": [(b"x-forwarded-for", b"6.6.6.6, 203.0.113.7")]}
    assert client_address(scope) == "10.0.0.9"
    settings.TRUSTED_PROXIES = 1
    assert client_address(scope) == "203.0.113.7"
    as_two_lines = [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"203.0.113.7")]
    assert client_address({**scope, "headers": as_two_lines}) == "203.0.113.7"
    settings.TRUSTED_PROXIES = 3
    assert client_address(scope) == "10.0.0.9"
