"""What came of conversations, against counts made by hand."""

from __future__ import annotations

import importlib
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chatbot.conversations import services, wording
from chatbot.conversations.desk import services as desk
from chatbot.conversations.models import Conversation, Message, Review, Turn
from chatbot.conversations.outcomes import Outcome, Period, outcomes_of
from tests.conversations.records import Told, intent

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = NOON.date()
WEEK = Period(DAY - timedelta(days=6), DAY)


def told(
    at: datetime = NOON, *, handed_over: bool = False, rating: str = "", is_demo: bool = False, **turn: Any
) -> Turn:
    """A conversation of one turn, begun, answered and rated at that time."""
    story = Told(is_demo=is_demo)
    reply = story.answered("?", "!", rating=rating, **{"finished_at": at, **turn})
    Conversation.objects.filter(pk=story.conversation.pk).update(
        created_at=at, handed_over_at=at + timedelta(minutes=1) if handed_over else None
    )
    Message.objects.filter(pk=reply.pk).update(created_at=at)
    assert reply.turn is not None
    return reply.turn


def last_day() -> Outcome:
    return outcomes_of(WEEK).intervals[-1]


# --- Periods --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "each", "intervals"),
    [(1, "day", 1), (45, "day", 45), (46, "week", 7), (315, "week", 45), (366, "four weeks", 14)],
)
def test_a_period_is_read_in_intervals_that_cover_it(days: int, each: str, intervals: int) -> None:
    period = Period(DAY - timedelta(days=days - 1), DAY)
    assert (period.days, period.each, len(period.starts)) == (days, each, intervals)
    assert period.starts[0] == period.first
    assert period.starts[-1] <= period.last < period.starts[-1] + period.step


@pytest.mark.parametrize(("first", "last"), [(DAY, DAY - timedelta(days=1)), (date(2020, 1, 1), DAY)])
def test_what_is_no_period_is_refused(first: date, last: date) -> None:
    with pytest.raises(ValueError, match=r"before the first|two years"):
        Period(first, last)


# --- Counts -----------------------------------------------------------------------------------------


def test_each_thing_counts_on_its_own_day() -> None:
    told(best="refund", rating="up", timings={"customer_wait": 0.2})
    told(best="refund", is_miss=True, handed_over=True, timings={"customer_wait": 0.4})
    told(best="refund", rating="down", status=Turn.Status.FAILED)
    told(NOON - timedelta(hours=12, microseconds=1), best="refund", rating="up")
    told(NOON + timedelta(hours=12), best="refund")
    told(NOON - timedelta(days=7), best="refund")
    outcomes = outcomes_of(WEEK)
    today = outcomes.intervals[-1]
    assert (today.conversations, today.handed_over, today.turns, today.misses) == (3, 1, 2, 1)
    assert (today.up, today.down) == (1, 1)
    assert today.first_token_p50 == pytest.approx(0.3)
    assert today.containment == pytest.approx(2 / 3)
    assert (today.fallback, today.satisfied) == (0.5, 0.5)
    assert outcomes.intervals[-2].conversations == outcomes.intervals[-2].up == 1
    assert (outcomes.whole.conversations, outcomes.whole.turns, outcomes.whole.up) == (4, 3, 2)


def test_where_nothing_happened_nothing_is_claimed() -> None:
    Told()  # opened and never written in
    day = last_day()
    assert day.is_empty
    assert (day.containment, day.fallback, day.satisfied, day.first_token_p50) == (None,) * 4


def test_the_demo_shop_is_left_out_unless_asked_for() -> None:
    told(is_demo=True, best="refund", rating="up", handed_over=True)
    assert last_day().is_empty
    assert outcomes_of(WEEK).by_intent == []
    shown = outcomes_of(WEEK, with_demo=True)
    assert (shown.whole.conversations, shown.whole.turns, shown.whole.up) == (1, 1, 1)
    assert len(shown.by_intent) == 1


def test_by_intent_the_commonest_first() -> None:
    refunds = [told(best="refund", rating=rating) for rating in ("up", "down", "")]
    told(best="track", is_miss=True)
    strange = told()
    Review.objects.create(turn=refunds[0], intent=intent("refund"), verdict="accepted")
    Review.objects.create(turn=refunds[1], intent=intent("track"))
    Review.objects.create(turn=refunds[2], verdict="rejected")
    Review.objects.create(turn=strange, out_of_scope=True)
    rows = outcomes_of(WEEK).by_intent
    assert [(row.intent.slug if row.intent else None, row.turns, row.misses) for row in rows] == [
        ("refund", 3, 0), (None, 1, 0), ("track", 1, 1),
    ]  # fmt: skip
    assert (rows[0].up, rows[0].down, rows[0].reviewed, rows[0].corrected) == (1, 1, 2, 1)
    assert (rows[1].reviewed, rows[1].corrected) == (1, 0)


def test_days_begin_at_the_sites_midnight_also_when_clocks_change() -> None:
    with timezone.override("Europe/Dublin"):
        autumn = Period(date(2026, 10, 24), date(2026, 10, 26))
        begins = [interval.began.astimezone(UTC) for interval in outcomes_of(autumn).intervals]
    assert [(begin.day, begin.hour) for begin in begins] == [(23, 23), (24, 23), (26, 0)]


def test_the_number_of_queries_depends_on_the_intervals_alone() -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            outcomes_of(WEEK)
        return len(captured)

    told(best="refund", rating="up")
    one = queries()
    for number in range(12):
        told(best=f"intent-{number % 3}", rating="up")
    assert queries() == one <= 5 * (WEEK.days + 1) + 6


@pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's plan")
def test_what_is_counted_is_read_from_indexes() -> None:
    told(best="refund", rating="up")
    with CaptureQueriesContext(connection) as captured:
        outcomes_of(Period(DAY, DAY))
    plans = ""
    with connection.cursor() as cursor:
        for query in captured:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plans += "\n".join(str(row[-1]) for row in cursor.fetchall()) + "\n"
    assert "COVERING INDEX conversation_begun" in plans
    assert "COVERING INDEX turn_ended" in plans
    assert "INDEX message_rated" in plans


# --- Handing over -------------------------------------------------------------------------------------


def test_a_conversation_keeps_when_it_was_first_handed_over(conversation: Conversation) -> None:
    def handed_over_at() -> datetime | None:
        return Conversation.objects.get().handed_over_at

    assert handed_over_at() is None
    services.request_handoff(visitor_id=conversation.visitor_id, conversation_id=conversation.pk)
    first = handed_over_at()
    assert first is not None
    kim = User.objects.create_user("kim")
    desk.return_to_bot(conversation_id=conversation.pk, agent=kim)
    desk.post_agent_message(conversation_id=conversation.pk, author=kim, text="Hello")
    desk.close_conversation(conversation_id=conversation.pk, agent=kim)
    assert handed_over_at() == first


def test_what_was_handed_over_before_it_was_noted_is_found_by_its_traces() -> None:
    by_turn, by_button, by_agent, waits = Told(), Told(), Told(), Told(status="waiting")
    by_turn.turn(by_turn.says("customer", "a person!"), action="handoff", finished_at=NOON)
    by_button.says("system", wording.HANDED_OVER)
    by_agent.says("agent", "Hello")
    Told().answered("thanks", "Welcome!")
    migration = importlib.import_module("chatbot.conversations.migrations.0009_outcomes")
    migration.note_handovers(apps, None)
    noted = dict(Conversation.objects.exclude(handed_over_at=None).values_list("pk", "handed_over_at"))
    assert set(noted) == {told.conversation.pk for told in (by_turn, by_button, by_agent, waits)}
    assert noted[by_turn.conversation.pk] == NOON
    assert noted[by_agent.conversation.pk] == by_agent.conversation.messages.get().created_at
