"""Which turn a worker takes: the oldest that is free, whatever it was told of, and not all of one visitor's."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
from django.db import connections
from pytest_django import Settings

from chatbot.conversations import delivery, services
from chatbot.conversations.claims import claim_oldest_turn
from chatbot.conversations.delivery import Reply
from chatbot.conversations.models import Conversation, Turn

from .conftest import expire_lease

pytestmark = pytest.mark.django_db


def asked(visitor_id: uuid.UUID | None = None) -> Turn:
    """A queued turn of a new conversation, of a visitor of its own where none is given."""
    visitor_id = visitor_id or uuid.uuid4()
    conversation = services.start_conversation(visitor_id=visitor_id)
    return ask(conversation)


def ask(conversation: Conversation) -> Turn:
    turn = services.send_message(
        visitor_id=conversation.visitor_id,
        conversation_id=conversation.id,
        client_id=uuid.uuid4().hex,
        text="How can I cancel?",
    ).turn
    assert turn is not None
    return turn


def oldest(owner: str = "worker") -> Turn | None:
    return claim_oldest_turn(owner=owner)


def test_turns_are_taken_in_the_order_in_which_they_were_asked() -> None:
    turns = [asked() for _ in range(3)]
    assert [oldest(), oldest(), oldest(), oldest()] == [*turns, None]


def test_a_turn_whose_worker_vanished_comes_before_all_that_were_asked_since() -> None:
    first, second = asked(), asked()
    assert oldest("worker-a") == first
    expire_lease(first)
    again = oldest("worker-b")
    assert again is not None
    assert (again, again.attempt, again.lease_owner) == (first, 2, "worker-b")
    assert oldest() == second


def test_a_turn_behind_an_open_one_of_its_conversation_waits_and_others_pass_it(conversation: Conversation) -> None:
    first, second = ask(conversation), ask(conversation)
    other = asked()
    assert [oldest(), oldest(), oldest()] == [first, other, None]
    first.refresh_from_db()
    delivery.finish_turn(turn=first, reply=Reply(text="answer"))
    assert oldest() == second


def test_one_visitor_cannot_have_all_replies_written_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    settings.MAX_RUNNING_TURNS_PER_VISITOR = 2
    visitor = uuid.uuid4()
    greedy = [asked(visitor) for _ in range(4)]
    modest = asked()
    assert [oldest(), oldest(), oldest(), oldest()] == [greedy[0], greedy[1], modest, None]
    nudged: list[uuid.UUID] = []
    monkeypatch.setattr(delivery, "nudge", nudged.append)
    greedy[0].refresh_from_db()
    with django_capture_on_commit_callbacks(execute=True):
        delivery.finish_turn(turn=greedy[0], reply=Reply(text="answer"))
    assert nudged == [greedy[2].id], "the visitor's next turn has nobody else who would tell of it"
    assert [oldest(), oldest()] == [greedy[2], None]


def test_turns_that_a_dead_worker_held_do_not_count_against_their_visitor(settings: Settings) -> None:
    settings.MAX_RUNNING_TURNS_PER_VISITOR = 1
    visitor = uuid.uuid4()
    first, second = asked(visitor), asked(visitor)
    assert oldest() == first
    assert oldest() is None
    expire_lease(first)
    Turn.objects.filter(pk=first.pk).update(cancel_requested=True)
    assert oldest() == second


def test_a_turn_that_is_to_be_stopped_or_has_no_attempt_left_is_not_taken(settings: Settings) -> None:
    tired, unwanted = asked(), asked()
    Turn.objects.filter(pk=tired.pk).update(attempt=settings.TURN_MAX_ATTEMPTS)
    services.cancel_turn(visitor_id=unwanted.conversation.visitor_id, turn_id=unwanted.id)
    assert oldest() is None


@pytest.mark.django_db(transaction=True)
def test_workers_that_ask_at_the_same_moment_get_different_turns() -> None:
    """Real concurrency on the real database: each gets one, nobody goes without."""
    turns = {asked().id for _ in range(6)}
    start, taken = threading.Barrier(6), []

    def work() -> None:
        start.wait()
        try:
            taken.append(oldest(str(uuid.uuid4())))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {turn.id for turn in taken if turn is not None} == turns
    assert oldest() is None
