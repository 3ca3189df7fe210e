"""Which release each live worker serves, and what it refuses, as the workers say themselves."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from chatbot.conversations.presence import live_workers

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerServes:
    """A replies worker, named by machine and place, and what it says of releases of one kind.

    `refused` says why it does not serve what was promoted; `kept` is what it could go back to at once. Both may be
    empty.
    """

    worker: str
    release: str
    refused: str
    kept: str


def replies_workers() -> list[dict[str, Any]] | None:
    """What they announce, the longest-running of each machine first; None where the broker does not answer."""
    try:
        workers = [worker for worker in live_workers() if worker.get("queue") == "replies"]
    except RedisError as error:
        logger.warning("releases: the broker does not answer: %s", error)
        return None
    return sorted(workers, key=lambda worker: (str(worker.get("host")), str(worker.get("started_at"))))


def workers_serving(kind: str, workers: list[dict[str, Any]]) -> list[WorkerServes]:
    """What each of the `replies_workers` says of releases of the kind."""
    places: Counter[str] = Counter()
    return [_serves(worker, kind, places) for worker in workers]


def _serves(worker: dict[str, Any], kind: str, places: Counter[str]) -> WorkerServes:
    host = str(worker.get("host"))
    places[host] += 1
    refused, kept = worker.get("refused") or {}, worker.get("kept") or {}
    return WorkerServes(
        f"{host}/{places[host]}", str(worker.get(kind, "")), str(refused.get(kind, "")), str(kept.get(kind, ""))
    )
