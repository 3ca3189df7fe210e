"""What live workers say of themselves: kept by the broker, renewed with every heartbeat, gone when that stops."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chatbot.conversations.connections import connect

# Three heartbeats: a worker that misses them all is gone as far as readiness is concerned.
TTL_S = 15
_PREFIX = "frontdesk:worker:"


@dataclass(frozen=True, slots=True)
class EngineUse:
    """How busy a worker's engine was at its last heartbeat. `kv_use` is a share, None where the engine cannot tell."""

    worker: str
    engine: str
    running: int
    waiting: int
    kv_use: float | None


def announce(worker_id: str, presence: Mapping[str, Any]) -> None:
    """Say what the worker serves and how busy it is. Raises RedisError."""
    with connect() as client:
        client.set(_PREFIX + worker_id, json.dumps(presence), ex=TTL_S)


def withdraw(worker_id: str) -> None:
    """The worker leaves. Raises RedisError."""
    with connect() as client:
        client.delete(_PREFIX + worker_id)


def live_workers() -> list[dict[str, Any]]:
    """What the workers that live right now say of themselves. Raises RedisError."""
    with connect() as client:
        client.ping()
        keys = list(client.scan_iter(_PREFIX + "*", count=1000))
        values: list[bytes | None] = client.mget(keys) if keys else []
    return [json.loads(value) for value in values if value]


def forget_workers() -> None:
    """Drop all announcements: those of workers that were killed outlive them by seconds and would look like readiness.

    Only for a broker that no worker can have reached yet. Raises RedisError.
    """
    with connect() as client:
        for key in client.scan_iter(_PREFIX + "*", count=1000):
            client.delete(key)


def engines_in_use(workers: Sequence[Mapping[str, Any]]) -> list[EngineUse]:
    """The engines of those workers that have one, the longest-running worker of each machine first.

    Workers are named by machine and place, "shop/2", since their own ids are new with every start: as labels of a
    metric those would never end.
    """
    in_order = sorted(workers, key=lambda worker: (str(worker.get("host")), str(worker.get("started_at"))))
    places: Counter[str] = Counter()
    engines = []
    for worker in in_order:
        if "running" not in worker:
            continue
        host = str(worker.get("host"))
        places[host] += 1
        use = EngineUse(
            worker=f"{host}/{places[host]}",
            engine=str(worker.get("engine")),
            running=worker["running"],
            waiting=worker["waiting"],
            kv_use=worker["kv_use"],
        )
        engines.append(use)
    return engines
