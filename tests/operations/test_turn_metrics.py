"""Turns on /metrics: each counted once, whatever ends late, is erased, or happens while nobody asks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from chatbot.conversations.models import Turn, Visitor
from chatbot.operations import turn_metrics
from chatbot.operations.turn_metrics import LONGEST_PAUSE, LOOK_BACK, TurnCollector
from tests.conversations.records import Told

# The collector gives its thread's connection back.
pytestmark = pytest.mark.django_db(transaction=True)

TIMINGS = {
    "queued": 0.03,
    "classify": 0.004,
    "retrieve": 0.012,
    "customer_wait": 0.4,
    "first_token": 0.2,
    "generate": 2.0,
    "chunk_gap_p50": 0.04,
    "chunk_gap_p95": 0.09,
    "cancel": 0.06,
    "prompt_tokens": 500,
    "cached_prompt_tokens": 384,
    "completion_tokens": 40,
    "tokens_per_second": 25.0,
    "dropped_turns": 0,
}


class Wall:
    """Stands in for `django.utils.timezone`: the time that the test says."""

    def __init__(self) -> None:
        self.time = timezone.now()

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr(turn_metrics, "timezone", wall)
    return wall


@pytest.fixture
def collector(wall: Wall) -> TurnCollector:
    collector = TurnCollector()
    wall.time += timedelta(seconds=30)
    return collector


def ended(wall: Wall, ago: timedelta = timedelta(), **fields: Any) -> Turn:
    told = Told(is_demo=bool(fields.pop("is_demo", False)))
    return told.turn(told.says("customer", "?"), finished_at=wall.time - ago, **fields)


def sample(collector: TurnCollector, name: str, **labels: str) -> float | None:
    values = [
        sample.value
        for metric in collector.collect()
        for sample in metric.samples
        if sample.name == f"frontdesk_{name}" and sample.labels == labels
    ]
    assert len(values) <= 1
    return values[0] if values else None


def test_every_figure_has_its_histogram(collector: TurnCollector, wall: Wall) -> None:
    ended(wall, action="generate", timings=TIMINGS)
    measured = {
        sample.name.removeprefix("frontdesk_turn_").removesuffix("_sum"): sample.value
        for metric in collector.collect()
        for sample in metric.samples
        if sample.name.endswith("_sum")
    }
    assert measured == {
        "queue_seconds": 0.03,
        "classify_seconds": 0.004,
        "retrieve_seconds": 0.012,
        "first_token_seconds": 0.4,
        "engine_first_token_seconds": 0.2,
        "generate_seconds": 2.0,
        "chunk_gap_median_seconds": 0.04,
        "chunk_gap_p95_seconds": 0.09,
        "cancel_seconds": 0.06,
        "prompt_tokens": 500,
        "cached_prompt_tokens": 384,
        "completion_tokens": 40,
        "tokens_per_second": 25.0,
    }
    assert sample(collector, "turn_first_token_seconds_bucket", le="0.25") == 0
    assert sample(collector, "turn_first_token_seconds_bucket", le="0.5") == 1
    assert sample(collector, "turns_ended_total", status="done", action="generate") == 1


def test_what_was_not_measured_is_not_counted_as_zero(collector: TurnCollector, wall: Wall) -> None:
    ended(wall, status=Turn.Status.FAILED, timings={})
    assert sample(collector, "turns_ended_total", status="failed", action="") == 1
    assert sample(collector, "turn_cached_prompt_tokens_count") == 0


def test_sentences_are_counted_by_what_the_guard_made_of_them(collector: TurnCollector, wall: Wall) -> None:
    fates = ("kept", "replaced", "kept", "left out")
    ended(wall, groundedness={"mode": "replace", "sentences": [{"fate": fate} for fate in fates]})
    ended(wall)
    counted = {fate: sample(collector, "turn_sentences_total", fate=fate) for fate in (*fates, "flagged")}
    assert counted == {"kept": 2, "replaced": 1, "left out": 1, "flagged": 0}


def test_a_turn_is_counted_once_and_erasing_it_takes_nothing_back(collector: TurnCollector, wall: Wall) -> None:
    ended(wall, timings=TIMINGS)
    for _ in range(3):
        assert sample(collector, "turn_queue_seconds_count") == 1
        wall.time += timedelta(seconds=15)
    Visitor.objects.all().delete()
    assert sample(collector, "turn_queue_seconds_count") == 1


def test_a_turn_that_was_committed_late_is_still_counted(collector: TurnCollector, wall: Wall) -> None:
    wall.time += timedelta(minutes=10)
    ended(wall, timings=TIMINGS)
    assert sample(collector, "turn_queue_seconds_count") == 1
    ended(wall, LOOK_BACK - timedelta(seconds=1), timings=TIMINGS)
    assert sample(collector, "turn_queue_seconds_count") == 2


def test_counting_begins_with_the_process(collector: TurnCollector, wall: Wall) -> None:
    ended(wall, timedelta(seconds=31), timings=TIMINGS)
    ended(wall, timedelta(seconds=29), timings=TIMINGS)
    assert sample(collector, "turn_queue_seconds_count") == 1


def test_after_a_long_pause_only_the_latest_are_looked_at(collector: TurnCollector, wall: Wall) -> None:
    wall.time += timedelta(days=3)
    ended(wall, LONGEST_PAUSE + timedelta(seconds=1), timings=TIMINGS)
    ended(wall, LONGEST_PAUSE - timedelta(seconds=1), timings=TIMINGS)
    assert sample(collector, "turn_queue_seconds_count") == 1


def test_the_demo_shops_conversations_and_open_turns_are_left_out(collector: TurnCollector, wall: Wall) -> None:
    ended(wall, is_demo=True, timings=TIMINGS)
    told = Told()
    told.turn(told.says("customer", "?"), status=Turn.Status.QUEUED)
    assert sample(collector, "turn_queue_seconds_count") == 0
    assert sample(collector, "turns_ended_total", status="queued", action="") is None


def test_a_database_that_is_away_costs_no_turn(
    collector: TurnCollector, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(wall, timings=TIMINGS)
    with monkeypatch.context() as away:
        away.setattr(Turn.objects, "filter", lambda *_, **__: (_ for _ in ()).throw(OperationalError("gone")))
        assert sample(collector, "turn_queue_seconds_count") == 0
    assert sample(collector, "turn_queue_seconds_count") == 1
