"""One publisher thread per process: everything that is announced to browsers leaves through it, in order.

Deltas are coalesced on the clock, events and the first token of a reply go at once. However many replies have news, a
flush is one round trip. A broker that is down costs a log line, never an exception in the caller: the database holds
the truth and pages ask for it again.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from chatbot.conversations.connections import connect
from chatbot.conversations.streams import Delta, append_command

logger = logging.getLogger(__name__)

# A person cannot tell 25 updates a second from a steady flow, and a token each would be one publish per token.
COALESCE_S = 0.04
# With more replies that have news than this the gap grows with their number, so that what all of them cost stays the
# same; beyond the longest gap a person would see the words come in jerks.
REPLIES_AT_FULL_PACE = 8
LONGEST_GAP_S = 0.15
# How long closing may wait for the broker before what is left is given up.
CLOSE_TIMEOUT_S = 2.0
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
        # Touched by the publisher's thread only.
        self.next_k = 0
        self.stream_expires = False

    def write(self, text: str) -> None:
        """Announce more text. Returns at once."""
        if text:
            self._publisher._write(self, text)


class Publisher:
    """The thread. It starts with its first use, in each process for itself (also after a fork)."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pid = 0
        self._closing = False
        self._urgent = False
        self._queue: deque[_Announcement | _PendingText] = deque()
        self._pending: dict[ReplyWriter, _PendingText] = {}
        self._complained_at = -COMPLAIN_EVERY_S

    def send(self, group: str, message: Mapping[str, Any]) -> None:
        """Announce to a channel-layer group. Returns at once; order is kept."""
        self._ensure_running()
        with self._changed:
            # What was written before this event must not be announced after it.
            for writer in [writer for writer in self._pending if writer.group == group]:
                del self._pending[writer]
            self._queue.append(_Announcement(group, message))
            self._wake(urgent=True)

    def writer(self, group: str, turn_id: str, attempt: int) -> ReplyWriter:
        """A writer for one attempt of one turn."""
        self._ensure_running()
        return ReplyWriter(self, group, turn_id, attempt)

    def close(self, timeout: float = CLOSE_TIMEOUT_S) -> None:
        """Send what is waiting and stop the thread."""
        if self._pid != os.getpid():
            return
        with self._changed:
            self._closing = True
            self._wake(urgent=True)
        self._thread.join(timeout)
        self._pid = 0

    def _write(self, writer: ReplyWriter, text: str) -> None:
        with self._changed:
            pending = self._pending.get(writer)
            if pending is None:
                pending = self._pending[writer] = _PendingText(writer)
                self._queue.append(pending)
                self._wake(urgent=writer.next_k == 0)
            pending.pieces.append(text)

    def _wake(self, *, urgent: bool) -> None:
        """Tell the thread of something new. Called with the lock held."""
        self._urgent = self._urgent or urgent
        if urgent or len(self._queue) == 1:
            self._changed.notify()

    def _ensure_running(self) -> None:
        if self._is_running():
            return
        with self._changed:
            if self._is_running():
                return
            self._queue.clear()
            self._pending.clear()
            self._closing = False
            self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
            self._thread.start()
            self._pid = os.getpid()

    def _is_running(self) -> bool:
        return self._pid == os.getpid() and self._thread.is_alive()

    def _run(self) -> None:
        not_before = time.monotonic()
        while (batch := self._next_batch(not_before)) is not None:
            flushed_at = time.monotonic()
            try:
                _flush(batch)
            except (RedisError, OSError) as error:
                self._complain(error)
            except Exception:  # one message that cannot be sent must not silence all others
                logger.exception("an announcement failed")
            not_before = flushed_at + coalescing_gap(sum(isinstance(item, _NumberedText) for item in batch))

    def _next_batch(self, not_before: float) -> list[_Announcement | _NumberedText] | None:
        """What there is to send, once something urgent waits or the gap is over; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            self._changed.wait_for(
                lambda: self._urgent or self._closing, timeout=max(0.0, not_before - time.monotonic())
            )
            if self._closing and not self._queue:
                return None
            items = list(self._queue)
            self._queue.clear()
            self._pending.clear()
            self._urgent = False
            return [item if isinstance(item, _Announcement) else _numbered(item) for item in items]

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._complained_at > COMPLAIN_EVERY_S:
            self._complained_at = now
            logger.warning(
                "the broker does not take announcements (%s); pages catch up from the database",
                error or type(error).__name__,
            )


@dataclass(slots=True)
class _NumberedText:
    writer: ReplyWriter
    delta: Delta

    def message(self) -> Mapping[str, Any]:
        return {
            "type": "conversation.delta",
            "turn": self.writer.turn_id,
            "attempt": self.writer.attempt,
            "k": self.delta.k,
            "text": self.delta.text,
        }


def coalescing_gap(replies: int) -> float:
    """Seconds between two flushes while so many replies have news."""
    return min(LONGEST_GAP_S, COALESCE_S * max(1.0, replies / REPLIES_AT_FULL_PACE))


def _numbered(pending: _PendingText) -> _NumberedText:
    writer = pending.writer
    delta = Delta(writer.next_k, "".join(pending.pieces))
    writer.next_k += 1
    return _NumberedText(writer, delta)


def _flush(batch: list[_Announcement | _NumberedText]) -> None:
    """Append every text to its stream and tell everybody, in one round trip. Raises RedisError or OSError."""
    layer = get_channel_layer()
    with connect() as client, client.pipeline(transaction=False) as pipeline:
        for item in batch:
            if isinstance(item, _Announcement):
                pipeline.publish(*layer.encoded(item.group, item.message))
                continue
            writer = item.writer
            append_command(pipeline, writer.turn_id, writer.attempt, item.delta, expires=not writer.stream_expires)
            pipeline.publish(*layer.encoded(writer.group, item.message()))
        pipeline.execute()
    for item in batch:
        if isinstance(item, _NumberedText):
            item.writer.stream_expires = True


publisher = Publisher()
