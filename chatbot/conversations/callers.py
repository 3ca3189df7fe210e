"""Whose page an HTTP request comes from."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest
from ninja.errors import HttpError

from chatbot.conversations.handshake import origin_allowed, trusted_address, visitor_from_cookies
from chatbot.conversations.sessions import admitting_site
from chatbot.conversations.visitor_tokens import read_token
from chatbot.sites.models import Site


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose page asks: a visitor, and the site that the page is embedded in."""

    visitor: UUID | None
    site: Site | None = None

    def known_visitor(self) -> UUID:
        """The visitor. Raises HttpError where nobody says who it is."""
        if self.visitor is None:
            raise HttpError(401, "Open the chat page first: it sets the cookie that says who you are.")
        return self.visitor


def caller_of(request: HttpRequest) -> Caller:
    """By the token of an embedded page, else by our own cookie. Raises HttpError where a token no longer holds."""
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return Caller(visitor_from_cookies(request.COOKIES))
    token = read_token(shown)
    site = admitting_site(token) if token else None
    if token is None or site is None:
        raise HttpError(401, "The session has ended. Open another.")
    return Caller(token.visitor, site)


def visitor_of(request: HttpRequest) -> UUID:
    """The visitor whose page asks. Raises HttpError where nobody says so."""
    return caller_of(request).known_visitor()


def check_origin(request: HttpRequest) -> None:
    """Refuse what another site's page makes a customer's browser write.

    A cookie goes along by itself, so what it may write is held to pages of our own; a token has to be shown.
    Raises HttpError.
    """
    if request.headers.get("Authorization"):
        return
    if not origin_allowed(request.headers.get("Origin"), request.get_host(), request.scheme or "http"):
        raise HttpError(403, "This page may not write here.")


def address_of(request: HttpRequest) -> str:
    """The customer's address, as the limits of messages see it."""
    return trusted_address(request.META.get("HTTP_X_FORWARDED_FOR", ""), request.META.get("REMOTE_ADDR"))
