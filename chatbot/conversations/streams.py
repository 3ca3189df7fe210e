"""The provisional text of running replies: one capped Redis Stream for each turn and attempt.

A worker that has lost its lease goes on writing to the stream of its own attempt, where nobody reads any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import redis

# A reply is capped at a few hundred tokens, coalesced to at most 25 deltas a second, so this is never reached; it
# bounds what a runaway could write.
MAX_DELTAS = 4096
# Long enough for a browser that was suspended in the middle of a reply; the stored message outlives it.
KEEP_S = 900
STREAM_PREFIX = "frontdesk:reply:"


@dataclass(frozen=True, slots=True)
class Delta:
    """Number `k` (from 0, contiguous) of an attempt's pieces of text."""

    k: int
    text: str


def stream_key(turn_id: UUID | str, attempt: int) -> str:
    return f"{STREAM_PREFIX}{turn_id}:{attempt}"


def turn_of_key(key: bytes) -> UUID | None:
    """The turn that a stream belongs to; None where its key names none."""
    try:
        return UUID(key.decode().removeprefix(STREAM_PREFIX).partition(":")[0])
    except ValueError:
        return None


def append_command(pipeline: Any, turn_id: UUID | str, attempt: int, delta: Delta, *, expires: bool) -> None:
    """Add one delta to a Redis pipeline. `expires`: nobody knows yet whether the stream will go by itself."""
    key = stream_key(turn_id, attempt)
    # The id carries k, so appending the same delta twice is refused by Redis itself, and a range read is by k.
    pipeline.xadd(key, {"text": delta.text}, id=f"{delta.k + 1}-0", maxlen=MAX_DELTAS, approximate=True)
    if expires:
        pipeline.expire(key, KEEP_S)


def read_deltas(client: redis.Redis, turn_id: UUID | str, attempt: int, from_k: int = 0) -> list[Delta]:
    """The deltas from `from_k` on, contiguous; shorter where the stream has lost some.

    Raises:
        redis.RedisError: the broker does not answer.
    """
    entries = cast(
        "list[tuple[bytes, dict[bytes, bytes]]]",
        client.xrange(stream_key(turn_id, attempt), min=f"{from_k + 1}-0"),
    )
    deltas: list[Delta] = []
    for entry_id, fields in entries:
        k = int(entry_id.split(b"-")[0]) - 1
        if k != from_k + len(deltas):
            break
        deltas.append(Delta(k, fields[b"text"].decode()))
    return deltas
