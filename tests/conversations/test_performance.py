"""Performance over time, against counts and percentiles made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chatbot.conversations import performance
from chatbot.conversations.models import Turn
from chatbot.conversations.performance import SPANS, performance_of
from tests.conversations.records import Told

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 25, 13, 47, 12, tzinfo=UTC)
DAY = SPANS["day"]


def ended(at: datetime, *, is_demo: bool = False, **fields: Any) -> Turn:
    told = Told(is_demo=is_demo)
    return told.turn(told.says("customer", "?"), finished_at=at, **fields)


def test_each_turn_counts_in_the_interval_in_which_it_ended() -> None:
    half_past_one = NOW.replace(minute=30, second=0)
    ended(half_past_one)
    ended(half_past_one - timedelta(microseconds=1), status=Turn.Status.FAILED)
    ended(half_past_one - timedelta(minutes=30), status=Turn.Status.CANCELLED)
    measured = performance_of(DAY, NOW)
    assert [interval.began for interval in measured.intervals[-2:]] == [
        half_past_one - timedelta(minutes=30),
        half_past_one,
    ]
    assert measured.began == measured.intervals[0].began == half_past_one - timedelta(minutes=30) * 47
    newest, before = measured.intervals[-1], measured.intervals[-2]
    assert (newest.turns, newest.failed, newest.cancelled) == (1, 0, 0)
    assert (before.turns, before.failed, before.cancelled) == (2, 1, 1)
    assert sum(interval.turns for interval in measured.intervals) == measured.whole.turns == 3


def test_percentiles_by_hand() -> None:
    for wait in (0.1, 0.2, 0.3, 0.4, 1.0):
        ended(NOW, timings={"customer_wait": wait, "queued": wait / 10, "tokens_per_second": 10 * wait})
    measured = performance_of(DAY, NOW)
    for interval in (measured.intervals[-1], measured.whole):
        assert interval.first_token_p50 == pytest.approx(0.3)
        # At 0.95 × 4 = 3.8 of the way: 0.4 + 0.8 × 0.6.
        assert interval.first_token_p95 == pytest.approx(0.88)
        assert interval.queue_p50 == pytest.approx(0.03)
        assert interval.queue_p95 == pytest.approx(0.088)
        assert interval.tokens_per_second == pytest.approx(3.0)


def test_what_was_not_measured_is_unknown_and_drags_nothing_down() -> None:
    ended(NOW, timings={"queued": 0.2})
    ended(NOW, status=Turn.Status.FAILED, timings={})
    newest, before = performance_of(DAY, NOW).intervals[:-3:-1]
    assert newest.queue_p50 == 0.2
    assert newest.first_token_p50 is None
    assert newest.tokens_per_second is None
    assert (before.turns, before.queue_p50) == (0, None)


def test_the_demo_shop_open_turns_and_what_lies_outside_are_left_out() -> None:
    ended(NOW, is_demo=True)
    told = Told()
    told.turn(told.says("customer", "?"), status=Turn.Status.RUNNING)
    ended(NOW - timedelta(hours=24))
    ended(NOW + timedelta(minutes=13))
    measured = performance_of(DAY, NOW)
    assert (measured.whole.turns, sum(interval.turns for interval in measured.intervals)) == (0, 0)


@pytest.mark.parametrize("span", SPANS.values(), ids=SPANS)
def test_a_span_is_covered_without_a_gap_and_ends_with_the_present(span: performance.Span) -> None:
    measured = performance_of(span, NOW)
    starts = [interval.began for interval in measured.intervals]
    assert len(starts) == span.steps
    assert {later - earlier for earlier, later in pairwise(starts)} == {span.step}
    assert starts[-1] <= NOW < starts[-1] + span.step


def test_days_begin_at_the_sites_midnight() -> None:
    with timezone.override("Asia/Kolkata"):
        newest = performance_of(SPANS["month"], NOW).intervals[-1]
        assert timezone.localtime(newest.began).isoformat() == "2026-11-25T00:00:00+05:30"


def test_of_very_many_a_share_is_read_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance, "SAMPLE", 20)
    turns = [ended(NOW, timings={"queued": float(number)}) for number in range(80)]
    keys = sorted(str(turn.conversation_id) for turn in turns)
    with CaptureQueriesContext(connection) as captured:
        measured = performance_of(DAY, NOW)
    assert measured.whole.turns == 80
    # A quarter of all possible keys: about twenty of these, and never all.
    quarter = [turn for turn in turns if turn.conversation_id.int < 2**126]
    assert 0 < len(quarter) < len(keys)
    waits = sorted(turn.timings["queued"] for turn in quarter)
    assert measured.whole.queue_p50 == pytest.approx((waits[(len(waits) - 1) // 2] + waits[len(waits) // 2]) / 2)
    assert len(captured) <= 1 + 2 * (DAY.steps + 1)
