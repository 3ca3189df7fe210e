"""Who may open a chat socket: a page of an allowed origin, with the signed cookie that a GET of `/` has set."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.http.cookie import parse_cookie

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
SALT = "frontdesk.visitor"
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
REFUSED = {"type": "websocket.close", "code": 4403}


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
    page = _origin_parts(origin)
    if page is None:
        return False
    allowed = {_origin_parts(entry) for entry in settings.ALLOWED_ORIGINS}
    if not allowed:
        allowed = {_origin_parts(f"{scheme}://{host}")}
    return page in allowed


def _origin_parts(origin: str) -> tuple[str, str, int] | None:
    """(scheme, host, port) of a well-formed http(s) origin, else None."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    # An origin is a scheme, a host and a port, and nothing else.
    if origin != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc or not parts.hostname:
        return None
    if parts.scheme not in ("http", "https") or not origin.isascii() or not origin.isprintable() or " " in origin:
        return None
    return parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme]


def client_address(scope: dict[str, Any]) -> str:
    """The customer's address: the socket's, or what the outermost trusted proxy saw."""
    if settings.TRUSTED_PROXIES:
        forwarded = [part.strip() for part in _header(scope, b"x-forwarded-for").split(",") if part.strip()]
        if len(forwarded) >= settings.TRUSTED_PROXIES:
            return forwarded[-settings.TRUSTED_PROXIES]
    client = scope.get("client")
    return client[0] if client else "local"


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
    """Puts the visitor's id and address in the scope; refuses a handshake without the signed cookie."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        visitor_id = visitor_from_cookies(parse_cookie(_header(scope, b"cookie")))
        if visitor_id is None:
            await send(REFUSED)
            return
        await self._application({**scope, "visitor": visitor_id, "address": client_address(scope)}, receive, send)
