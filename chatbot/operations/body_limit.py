"""Holds every HTTP request to a size, before Django writes its body to disk."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
_REFUSAL = json.dumps({"code": "file", "reason": "too_large", "detail": "This is too large to be sent here."}).encode()


class BodyLimitMiddleware:
    """Answers 413 where a request announces more than `most_bytes`, and hangs up on what comes unannounced."""

    def __init__(self, application: Application, most_bytes: int) -> None:
        self._application = application
        self._most_bytes = most_bytes

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > self._most_bytes:
            headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 413, "headers": headers})
            await send({"type": "http.response.body", "body": _REFUSAL})
            return
        left = self._most_bytes

        async def receive_bounded() -> Any:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            return message if left >= 0 else {"type": "http.disconnect"}

        await self._application(scope, receive_bounded, send)
