"""The line that a message joins: how long it is, by what was measured, and who is sent away."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from chatbot.conversations import delivery, services
from chatbot.conversations.delivery import Reply
from chatbot.conversations.models import Message, Turn
from chatbot.conversations.waiting import TYPICAL_REPLY_S, Line, line_now, reply_seconds
from chatbot.exceptions import Busy

pytestmark = pytest.mark.django_db


def ask() -> Turn:
    """A queued turn of a visitor of its own."""
    conversation = services.start_conversation(visitor_id=uuid.uuid4())
    turn = services.send_message(
        visitor_id=conversation.visitor_id, conversation_id=conversation.id, client_id="c-1", text="How can I cancel?"
    ).turn
    assert turn is not None
    return turn


def answered(seconds: float) -> None:
    """A turn that was answered just now and took so long."""
    turn = delivery.claim_turn(turn_id=ask().id, owner="worker")
    assert turn is not None
    delivery.finish_turn(turn=turn, reply=Reply(text="answer"))
    ended = timezone.now()
    Turn.objects.filter(pk=turn.pk).update(finished_at=ended, started_at=ended - timedelta(seconds=seconds))


def test_nobody_waits_and_one_query_tells(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert line_now(timezone.now()) == Line(0, 0.0)


def test_the_wait_is_what_the_latest_replies_took_shared_among_those_written_at_once(settings: Settings) -> None:
    settings.REPLY_STREAMS = 2
    answered(4.0)
    answered(8.0)
    for _ in range(3):
        ask()
    line = line_now(timezone.now())
    assert line.ahead == 3
    assert line.seconds == pytest.approx(3 * 6.0 / 2)


def test_where_several_workers_write_all_of_them_count(settings: Settings) -> None:
    settings.REPLY_STREAMS = 1
    answered(6.0)
    running = [ask() for _ in range(3)]
    for turn in running:
        delivery.claim_turn(turn_id=turn.id, owner="worker")
    ask()
    assert line_now(timezone.now()).seconds == pytest.approx(6.0 / 3)


def test_replies_of_last_night_say_nothing_about_now() -> None:
    answered(40.0)
    Turn.objects.update(finished_at=timezone.now() - timedelta(hours=8))
    assert reply_seconds(timezone.now()) == TYPICAL_REPLY_S


def test_who_would_wait_too_long_is_told_so_and_nothing_is_stored(settings: Settings) -> None:
    settings.REPLY_STREAMS, settings.MAX_WAIT_SECONDS = 1, 10.0
    answered(8.0)
    ask()
    ask()
    stored = Message.objects.count()
    with pytest.raises(Busy, match=r"2 are ahead of you.*about 6 seconds") as busy:
        ask()
    assert busy.value.retry_after == pytest.approx(6.0)
    assert Message.objects.count() == stored
    settings.MAX_WAIT_SECONDS = 20.0
    ask()
