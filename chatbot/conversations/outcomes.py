"""What came of conversations: how many ended without a person, what was not understood, what customers thought of it.

Counted over whole days of the site's time zone, from indexes that cover what is counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import Avg, Count, F, Q, QuerySet
from django.utils import timezone

from chatbot.conversations.models import Conversation, Message, Review, Survey, Turn
from chatbot.conversations.performance import measured_in, sample_of
from chatbot.inference.percentiles import percentile
from chatbot.intents.models import Intent

LONGEST = timedelta(days=731)
# So many intervals at most are shown, else they become weeks or months: a plot and a table that can still be read.
_INTERVALS = 45


@dataclass(frozen=True, slots=True)
class Period:
    """From the first day to the last, both included. Raises ValueError where that is no period, or over two years."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError("The last day lies before the first.")
        if self.last - self.first > LONGEST:
            raise ValueError("At most two years can be shown at once.")

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def step(self) -> timedelta:
        """Of an interval: a day, a week, or four weeks."""
        steps = (timedelta(days=1), timedelta(weeks=1))
        return next((step for step in steps if self.days <= step.days * _INTERVALS), timedelta(weeks=4))

    @property
    def each(self) -> str:
        """An interval in a word."""
        return {1: "day", 7: "week"}.get(self.step.days, "four weeks")

    @property
    def starts(self) -> list[date]:
        return [self.first + timedelta(days=days) for days in range(0, self.days, self.step.days)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of the conversations that began, the turns that ended, the ratings and surveys that were given.

    Seconds, and the mean score of the surveys, are None where nothing was measured.
    """

    began: datetime
    conversations: int
    handed_over: int
    turns: int
    misses: int
    up: int
    down: int
    surveys: int
    survey_score: float | None
    first_token_p50: float | None
    first_token_p95: float | None

    @property
    def containment(self) -> float | None:
        """Share of the conversations in which no person was needed, so far."""
        return 1 - self.handed_over / self.conversations if self.conversations else None

    @property
    def fallback(self) -> float | None:
        """Share of the turns in which the bot did not understand and asked back."""
        return self.misses / self.turns if self.turns else None

    @property
    def satisfied(self) -> float | None:
        """Share of thumbs up among the ratings."""
        return self.up / (self.up + self.down) if self.up + self.down else None

    @property
    def is_empty(self) -> bool:
        return not (self.conversations or self.turns or self.up or self.down or self.surveys)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentOutcome:
    """What came of the turns that were taken for an intent. `intent` is None where none was recognised."""

    intent: Intent | None
    turns: int
    misses: int
    up: int
    down: int
    reviewed: int
    corrected: int


@dataclass(frozen=True, slots=True)
class Outcomes:
    """A period as a whole, and interval by interval, the oldest first."""

    period: Period
    whole: Outcome
    intervals: list[Outcome]
    by_intent: list[IntentOutcome]


def outcomes_of(period: Period, *, with_demo: bool = False) -> Outcomes:
    """Imported conversations are left out, and the demo shop's unless they are asked for."""
    demo = [] if with_demo else list(Conversation.objects.filter(is_demo=True).values_list("pk", flat=True))
    end = _midnight(period.last + timedelta(days=1))
    bounds = [*(_midnight(start) for start in period.starts), end]
    intervals = [_outcome(bounds[i], bounds[i + 1], demo) for i in range(len(bounds) - 1)]
    return Outcomes(period, _outcome(bounds[0], end, demo), intervals, _by_intent(bounds[0], end, demo))


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _outcome(began: datetime, until: datetime, demo: list[Any]) -> Outcome:
    # Turns that were imported ended at no moment, and so are in no period; conversations began once, wherever that was.
    begun_here = Conversation.objects.filter(is_imported=False, last_seq__gt=0)
    conversations = begun_here.filter(created_at__gte=began, created_at__lt=until)
    if demo:
        conversations = conversations.filter(is_demo=False)
    begun = conversations.aggregate(count=Count("*"), handed_over=Count("handed_over_at"))
    ended = _ended(began, until, demo)
    turns = ended.filter(status=Turn.Status.DONE).aggregate(
        count=Count("*"), misses=Count("finished_at", filter=Q(is_miss=True))
    )
    timings = list(sample_of(ended, turns["count"]).values_list("timings", flat=True)) if turns["count"] else []
    waits = measured_in(timings, "customer_wait")
    ratings = dict(_rated(began, until, demo).values_list("rating").annotate(count=Count("*")))
    answered = Survey.objects.filter(created_at__gte=began, created_at__lt=until).exclude(conversation__in=demo)
    surveys = answered.order_by().aggregate(count=Count("*"), score=Avg("score"))
    return Outcome(
        began=began,
        conversations=begun["count"],
        handed_over=begun["handed_over"],
        turns=turns["count"],
        misses=turns["misses"],
        up=ratings.get(Message.Rating.UP, 0),
        down=ratings.get(Message.Rating.DOWN, 0),
        surveys=surveys["count"],
        survey_score=surveys["score"],
        first_token_p50=percentile(waits, 0.5),
        first_token_p95=percentile(waits, 0.95),
    )


def _ended(began: datetime, until: datetime, demo: Iterable[Any]) -> QuerySet[Turn]:
    return Turn.objects.filter(finished_at__gte=began, finished_at__lt=until).exclude(conversation__in=demo).order_by()


def _rated(began: datetime, until: datetime, demo: Iterable[Any]) -> QuerySet[Message]:
    given = Message.objects.exclude(rating="").filter(created_at__gte=began, created_at__lt=until)
    return given.exclude(conversation__in=demo).order_by()


def _by_intent(began: datetime, until: datetime, demo: list[Any]) -> list[IntentOutcome]:
    """The commonest first."""
    ended = _ended(began, until, demo).filter(status=Turn.Status.DONE).values_list("intent")
    turns = ended.annotate(count=Count("*"), misses=Count("finished_at", filter=Q(is_miss=True)))
    ratings = _rated(began, until, demo).filter(turn__isnull=False).values_list("turn__intent", "rating")
    rated = {(intent, rating): count for intent, rating, count in ratings.annotate(count=Count("*"))}
    judged = Review.objects.filter(Q(intent__isnull=False) | Q(out_of_scope=True))
    judged = judged.filter(turn__finished_at__gte=began, turn__finished_at__lt=until)
    judged = judged.exclude(turn__conversation__in=demo).order_by()
    confirmed = Q(intent=F("turn__intent")) | Q(out_of_scope=True, turn__intent=None)
    reviews = {
        intent: (count, count - right)
        for intent, count, right in judged.values_list("turn__intent").annotate(
            count=Count("*"), right=Count("pk", filter=confirmed)
        )
    }
    rows = list(turns)
    intents = Intent.objects.in_bulk([intent for intent, _, _ in rows if intent is not None])
    outcomes = [
        IntentOutcome(
            intent=intents.get(intent),
            turns=count,
            misses=misses,
            up=rated.get((intent, Message.Rating.UP), 0),
            down=rated.get((intent, Message.Rating.DOWN), 0),
            reviewed=reviews.get(intent, (0, 0))[0],
            corrected=reviews.get(intent, (0, 0))[1],
        )
        for intent, count, misses in rows
    ]
    return sorted(outcomes, key=lambda outcome: (-outcome.turns, str(outcome.intent or "")))
