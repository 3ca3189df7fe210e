"""One publisher loop per process: everything that is announced to browsers leaves through it, in order.

Deltas are coalesced on the clock, events and the first token of a reply go at once. A broker that is down costs a log
line, never an exception in the caller: the database holds the truth and pages ask for it again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio
from channels.layers import get_channel_layer
from django.conf import settings
from redis.exceptions import RedisError

from chatbot.conversations.streams import Delta, append_command

logger = logging.getLogger(__name__)

# A person cannot tell 25 updates a second from a steady flow, and a token each would be one publish per token.
COALESCE_S = 0.04
# How long one flush may wait for the broker before its contents are given up.
FLUSH_TIMEOUT_S = 2.0
# One line says that the broker is down; a line per token would bury it.
COMPLAIN_EVERY_S = 10.0


@dataclass(slots=True)
class _Announcement:
    group: str
    message: Mapping[str, Any]


@dataclass(slots=True)
class _PendingText:
    writer: ReplyWriter
    pieces: list[str] = field(default_factory=list)


class ReplyWriter:
    """Takes the text of one attempt as it is generated and announces it as contiguous deltas."""

    def __init__(self, publisher: Publisher, group: str, turn_id: str, attempt: int) -> None:
        self._publisher = publisher
        self.group = group
        self.turn_id = turn_id
        self.attempt = attempt
        self.next_k = 0  # touched by the publisher loop only

    def write(self, text: str) -> None:
        """Announce more text. Returns at once."""
        if text:
            self._publisher._write(self, text)


class Publisher:
    """The loop. It starts with its first use, in each process for itself (also after a fork)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._queue: deque[_Announcement | _PendingText] = deque()
        self._pending: dict[ReplyWriter, _PendingText] = {}
        self._complained_at = 0.0

    def send(self, group: str, message: Mapping[str, Any]) -> None:
        """Announce to a channel-layer group. Returns at once; order is kept."""
        self._ensure_running()
        with self._lock:
            # What was written before this event must not be announced after it.
            self._pending.clear()
            self._queue.append(_Announcement(group, message))
        self._wake(self._urgent)

    def writer(self, group: str, turn_id: str, attempt: int) -> ReplyWriter:
        """A writer for one attempt of one turn."""
        self._ensure_running()
        return ReplyWriter(self, group, turn_id, attempt)

    def close(self, timeout: float = FLUSH_TIMEOUT_S) -> None:
        """Send what is waiting and stop the loop."""
        if self._pid != os.getpid():
            return
        self._closing = True
        self._wake(self._urgent)
        self._thread.join(timeout)
        self._pid = 0

    def _write(self, writer: ReplyWriter, text: str) -> None:
        with self._lock:
            pending = self._pending.get(writer)
            if pending is None:
                pending = self._pending[writer] = _PendingText(writer)
                self._queue.append(pending)
            pending.pieces.append(text)
            is_first = writer.next_k == 0
        self._wake(self._urgent if is_first else self._ready)

    def _ensure_running(self) -> None:
        if self._is_running():
            return
        with self._lock:
            if self._is_running():
                return
            self._queue.clear()
            self._pending.clear()
            self._closing = False
            self._loop = asyncio.new_event_loop()
            self._urgent = asyncio.Event()
            self._ready = asyncio.Event()
            self._thread = threading.Thread(target=self._run_loop, name="publisher", daemon=True)
            self._thread.start()
            self._pid = os.getpid()

    def _is_running(self) -> bool:
        return self._pid == os.getpid() and self._thread.is_alive()

    def _wake(self, event: asyncio.Event) -> None:
        try:
            self._loop.call_soon_threadsafe(event.set)
        except RuntimeError:
            logger.debug("publisher is closed; an announcement was left to the next snapshot")

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        finally:
            self._loop.close()

    async def _run(self) -> None:
        client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=2)
        layer = get_channel_layer()
        try:
            while not self._closing or self._queue:
                await self._next_flush()
                batch = self._take()
                if batch:
                    await self._flush(client, layer, batch)
        finally:
            await client.aclose()

    async def _next_flush(self) -> None:
        """Until something urgent waits, or text has waited for the length of a tick."""
        ready = asyncio.ensure_future(self._ready.wait())
        urgent = asyncio.ensure_future(self._urgent.wait())
        await asyncio.wait({ready, urgent}, return_when=asyncio.FIRST_COMPLETED)
        if not urgent.done():
            await asyncio.wait({urgent}, timeout=COALESCE_S)
        ready.cancel()
        urgent.cancel()
        self._urgent.clear()
        self._ready.clear()

    def _take(self) -> list[tuple[str, Mapping[str, Any], ReplyWriter | None, Delta | None]]:
        with self._lock:
            items = list(self._queue)
            self._queue.clear()
            self._pending.clear()
            batch: list[tuple[str, Mapping[str, Any], ReplyWriter | None, Delta | None]] = []
            for item in items:
                if isinstance(item, _Announcement):
                    batch.append((item.group, item.message, None, None))
                    continue
                writer = item.writer
                delta = Delta(writer.next_k, "".join(item.pieces))
                writer.next_k += 1
                batch.append((writer.group, _delta_message(writer, delta), writer, delta))
        return batch

    async def _flush(self, client: redis.asyncio.Redis, layer: Any, batch: list[Any]) -> None:
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                pipeline = client.pipeline(transaction=False)
                for _, _, writer, delta in batch:
                    if writer is not None:
                        append_command(pipeline, writer.turn_id, writer.attempt, delta)
                if len(pipeline):
                    await pipeline.execute()
                for group, message, _, _ in batch:
                    await layer.group_send(group, message)
        except (RedisError, OSError, TimeoutError) as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._complained_at > COMPLAIN_EVERY_S:
            self._complained_at = now
            logger.warning(
                "the broker does not take announcements (%s); pages catch up from the database",
                error or type(error).__name__,
            )


def _delta_message(writer: ReplyWriter, delta: Delta) -> Mapping[str, Any]:
    return {
        "type": "conversation.delta",
        "turn": writer.turn_id,
        "attempt": writer.attempt,
        "k": delta.k,
        "text": delta.text,
    }


publisher = Publisher()
