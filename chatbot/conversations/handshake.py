"""Who may open a chat socket: a page of an allowed origin, with the cookie that a GET of `/` has set, or a token."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.http.cookie import parse_cookie

from chatbot.conversations.visitor_tokens import read_token
from chatbot.sites.origins import origin_parts

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
SALT = "frontdesk.visitor"
REFUSED = {"type": "websocket.close", "code": 4403}
# What an embedded page offers: the protocol that is spoken, and beside it who it is.
SUBPROTOCOL = "frontdesk.v1"
TOKEN_PREFIX = "frontdesk.visitor."


def visitor_from_cookies(cookies: dict[str, str]) -> uuid.UUID | None:
    """The visitor's id if the cookie is there, unexpired and signed by us."""
    signed = cookies.get(settings.VISITOR_COOKIE_NAME, "")
    try:
        value = signing.TimestampSigner(salt=SALT).unsign(signed, max_age=settings.VISITOR_COOKIE_AGE_S)
        return uuid.UUID(value)
    except (signing.BadSignature, ValueError):
        return None


def set_visitor_cookie(request: HttpRequest, response: HttpResponse) -> None:
    """Give the browser a visitor id, or renew the one it has."""
    visitor_id = visitor_from_cookies(request.COOKIES) or uuid.uuid4()
    response.set_cookie(
        settings.VISITOR_COOKIE_NAME,
        signing.TimestampSigner(salt=SALT).sign(str(visitor_id)),
        max_age=settings.VISITOR_COOKIE_AGE_S,
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )


def origin_allowed(origin: str | None, host: str, scheme: str) -> bool:
    """Whether a page of `origin` may connect: one of ALLOWED_ORIGINS, else exactly the address it connects to.

    A browser always sends Origin on a websocket handshake and no script can forge it, so a handshake without one comes
    from a program, which holds no customer's cookie unless the customer gave it away. A malformed one is refused.
    """
    if origin is None:
        return True
    page = origin_parts(origin)
    if page is None:
        return False
    allowed = {origin_parts(entry) for entry in settings.ALLOWED_ORIGINS}
    if not allowed:
        allowed = {origin_parts(f"{scheme}://{host}")}
    return page in allowed


def client_address(scope: dict[str, Any]) -> str:
    """The customer's address: the socket's, or what the outermost trusted proxy saw."""
    client = scope.get("client")
    return trusted_address(_header(scope, b"x-forwarded-for"), client[0] if client else None)


def trusted_address(forwarded_for: str, direct: str | None) -> str:
    """The same out of the header and the address that the connection comes from."""
    if settings.TRUSTED_PROXIES:
        forwarded = [part.strip() for part in forwarded_for.split(",") if part.strip()]
        if len(forwarded) >= settings.TRUSTED_PROXIES:
            return forwarded[-settings.TRUSTED_PROXIES]
    return direct or "local"


def _header(scope: dict[str, Any], name: bytes) -> str:
    """Its values joined as Django joins them: a proxy may append a line of its own to what the client sent."""
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)


class ExactOriginMiddleware:
    """Refuses handshakes from pages of other origins."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        host = _header(scope, b"host")
        secure = scope.get("scheme") == "wss" or (
            settings.TRUSTED_PROXIES and _header(scope, b"x-forwarded-proto").split(",")[-1].strip() == "https"
        )
        origins = [value.decode("latin-1") for key, value in scope["headers"] if key == b"origin"]
        origin = origins[0] if len(origins) == 1 else ("malformed" if origins else None)
        if not origin_allowed(origin, host, "https" if secure else "http"):
            await send(REFUSED)
            return
        await self._application(scope, receive, send)


class VisitorMiddleware:
    """Puts the visitor's id and address in the scope; refuses a handshake that does not say who it is of.

    The chat's own page says so by its signed cookie. Embedded in another site it may have none, so there it offers its
    token as a second subprotocol, which is where a browser lets a page put anything; the token then decides alone.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        offered = [entry for entry in scope.get("subprotocols", ()) if entry.startswith(TOKEN_PREFIX)]
        token = read_token(offered[0].removeprefix(TOKEN_PREFIX)) if offered else None
        if token is not None:
            visitor_id: uuid.UUID | None = token.visitor
        else:
            visitor_id = None if offered else visitor_from_cookies(parse_cookie(_header(scope, b"cookie")))
        if visitor_id is None:
            await send(REFUSED)
            return
        about = {"visitor": visitor_id, "token": token, "address": client_address(scope)}
        await self._application({**scope, **about}, receive, send)
