"""How quickly turns were answered: counts and percentiles over a span of time, in equal intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet
from django.utils import timezone

from chatbot.conversations.models import Conversation, Turn
from chatbot.inference.percentiles import percentile

# About as many turns are read for a percentile. A month of a busy shop has a million; of this many, the 95th percentile
# lies between the 93rd and the 97th of all.
SAMPLE = 500


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time that ends now, and the intervals that it is read in. `each` names the length of one."""

    name: str
    each: str
    step: timedelta
    steps: int


SPANS = {
    span.name: span
    for span in (
        Span("hour", "2 minutes", timedelta(minutes=2), 30),
        Span("day", "30 minutes", timedelta(minutes=30), 48),
        Span("week", "4 hours", timedelta(hours=4), 42),
        Span("month", "day", timedelta(days=1), 30),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The turns that ended in it. Seconds and tokens a second are None where nothing was measured."""

    began: datetime
    turns: int
    failed: int
    cancelled: int
    first_token_p50: float | None
    first_token_p95: float | None
    queue_p50: float | None
    queue_p95: float | None
    tokens_per_second: float | None


@dataclass(frozen=True, slots=True)
class Performance:
    """A span as a whole, and interval by interval, the oldest first."""

    span: Span
    began: datetime
    whole: Interval
    intervals: list[Interval]


def performance_of(span: Span, now: datetime) -> Performance:
    """The span that ends with the interval in which `now` lies. The demo shop's conversations are left out."""
    demo = list(Conversation.objects.filter(is_demo=True).values_list("pk", flat=True))
    turns = Turn.objects.exclude(conversation__in=demo).order_by()
    newest = _interval_start(now, span.step)
    began = newest - span.step * (span.steps - 1)
    starts = [began + span.step * number for number in range(span.steps)]
    intervals = [_interval(turns, start, start + span.step) for start in starts]
    return Performance(span, began, _interval(turns, began, newest + span.step), intervals)


def _interval_start(moment: datetime, step: timedelta) -> datetime:
    """Days begin at the site's midnight, not at Greenwich's."""
    offset = timezone.localtime(moment).utcoffset() or timedelta()
    since_epoch = moment - datetime.fromtimestamp(0, UTC) + offset
    return moment - since_epoch % step


def _interval(turns: QuerySet[Turn], began: datetime, until: datetime) -> Interval:
    ended = turns.filter(finished_at__gte=began, finished_at__lt=until)
    counts = dict(ended.values_list("status").annotate(count=Count("*")))
    total = sum(counts.values())
    timings = list(sample_of(ended, total).values_list("timings", flat=True)) if total else []
    first_token, queue = measured_in(timings, "customer_wait"), measured_in(timings, "queued")
    return Interval(
        began=began,
        turns=total,
        failed=counts.get(Turn.Status.FAILED, 0),
        cancelled=counts.get(Turn.Status.CANCELLED, 0),
        first_token_p50=percentile(first_token, 0.5),
        first_token_p95=percentile(first_token, 0.95),
        queue_p50=percentile(queue, 0.5),
        queue_p95=percentile(queue, 0.95),
        tokens_per_second=percentile(measured_in(timings, "tokens_per_second"), 0.5),
    )


def sample_of(turns: QuerySet[Turn], total: int) -> QuerySet[Turn]:
    """All of them, or the turns of a share of the conversations: their keys are random, and stand in the index."""
    if total <= SAMPLE:
        return turns
    return turns.filter(conversation__lt=UUID(int=2**128 * SAMPLE // total))


def measured_in(timings: Sequence[dict[str, Any]], name: str) -> list[float]:
    """The measure `name` of those turns that have it."""
    return [timing[name] for timing in timings if name in timing]
