"""What workers say of themselves, and how their engines are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis

from chatbot.conversations import presence
from chatbot.conversations.presence import EngineUse, engines_in_use


def about(host: str, started_at: str, running: int, kv_use: float | None = 0.5) -> dict[str, Any]:
    return {
        "queue": "replies",
        "engine": "openvino",
        "host": host,
        "started_at": started_at,
        "running": running,
        "waiting": 0,
        "kv_use": kv_use,
    }


def test_announced_until_withdrawn_or_no_longer_renewed(broker: Path) -> None:
    presence.announce("shop:1:a", about("shop", "2026-01-01", 2))
    assert presence.live_workers() == [about("shop", "2026-01-01", 2)]
    with redis.Redis(unix_socket_path=str(broker)) as client:
        assert 0 < client.ttl("frontdesk:worker:shop:1:a") <= presence.TTL_S
    presence.withdraw("shop:1:a")
    assert presence.live_workers() == []


def test_engines_are_named_by_machine_and_place_not_by_a_number_that_each_start_makes_anew() -> None:
    workers: list[dict[str, Any]] = [
        about("web", "2026-01-03", 7, kv_use=None),
        about("shop", "2026-01-02", 5),
        {"queue": "maintenance", "host": "shop", "started_at": "2026-01-01"},
        about("shop", "2026-01-01", 4),
    ]
    assert engines_in_use(workers) == [
        EngineUse("shop/1", "openvino", 4, 0, 0.5),
        EngineUse("shop/2", "openvino", 5, 0, 0.5),
        EngineUse("web/1", "openvino", 7, 0, None),
    ]


@pytest.mark.parametrize("workers", [[], [{"queue": "replies", "engine": "openvino"}]])
def test_who_says_nothing_of_an_engine_has_none(workers: list[dict[str, Any]]) -> None:
    assert engines_in_use(workers) == []
