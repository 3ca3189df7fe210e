"""No request fills the disk before a view has seen it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chatbot.operations.body_limit import BodyLimitMiddleware


def answer_to(*pieces: bytes, headers: list[tuple[bytes, bytes]], kind: str = "http") -> tuple[list[Any], list[Any]]:
    """What is sent back, and what the application behind receives, of a limit of ten bytes."""
    sent: list[Any] = []
    received: list[Any] = []
    waiting = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        while waiting:
            received.append(await receive())

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(BodyLimitMiddleware(application, 10)({"type": kind, "headers": headers}, receive, send))
    return sent, received


@pytest.mark.parametrize("length", [b"11", b"99999999999999", b"-1", b"x"])
def test_what_announces_too_much_is_refused_unread(length: bytes) -> None:
    sent, received = answer_to(b"x" * 11, headers=[(b"content-length", length)])
    assert sent[0]["status"] == 413
    assert b"too_large" in sent[1]["body"]
    assert not received


def test_what_fits_passes() -> None:
    sent, received = answer_to(b"x" * 5, b"x" * 5, headers=[(b"content-length", b"10")])
    assert not sent
    assert [message["type"] for message in received] == ["http.request", "http.request"]


def test_what_brings_more_than_it_announced_is_cut_off() -> None:
    _, received = answer_to(b"x" * 8, b"x" * 8, headers=[])
    assert [message["type"] for message in received] == ["http.request", "http.disconnect"]


def test_sockets_have_a_limit_of_their_own() -> None:
    _, received = answer_to(b"x" * 20, headers=[], kind="websocket")
    assert len(received) == 1
