"""Delivery: every accepted message is stored, every turn ends once, with at most one reply."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from chatbot.conversations import delivery, services, sweeper
from chatbot.conversations.delivery import Reply
from chatbot.conversations.desk import services as desk
from chatbot.conversations.models import Conversation, Message, Turn
from chatbot.exceptions import Busy, Conflict, ConversationClosed, LeaseLost, NotFound

from .conftest import expire_lease

pytestmark = pytest.mark.django_db


def send(conversation: Conversation, client_id: str = "c-1", text: str = "How can I cancel?") -> services.Accepted:
    return services.send_message(
        visitor_id=conversation.visitor_id, conversation_id=conversation.id, client_id=client_id, text=text
    )


def queued(conversation: Conversation, client_id: str = "c-1") -> Turn:
    turn = send(conversation, client_id).turn
    assert turn is not None
    return turn


def claimed(turn: Turn, owner: str = "worker-a") -> Turn:
    mine = delivery.claim_turn(turn_id=turn.id, owner=owner)
    assert mine is not None
    return mine


def statuses(conversation: Conversation) -> list[str]:
    return list(conversation.turns.order_by("number").values_list("status", flat=True))


def test_sending_again_returns_the_first_message(conversation: Conversation) -> None:
    first, second = send(conversation), send(conversation, text="something else")
    assert first == second
    assert conversation.messages.get().text == "How can I cancel?"
    assert conversation.turns.count() == 1


def test_seq_is_contiguous_and_the_first_message_gives_the_title(conversation: Conversation) -> None:
    for number in range(3):
        turn = queued(conversation, f"c-{number}")
        delivery.finish_turn(turn=claimed(turn), reply=Reply(text=f"answer {number}"))
    assert list(conversation.messages.values_list("seq", flat=True)) == [1, 2, 3, 4, 5, 6]
    conversation.refresh_from_db()
    assert conversation.title == "How can I cancel?"


def test_nobody_writes_in_a_conversation_that_is_not_theirs(conversation: Conversation) -> None:
    turn = queued(conversation)
    stranger = uuid.uuid4()
    reply = delivery.finish_turn(turn=claimed(turn), reply=Reply(text="answer"))
    assert reply is not None
    attempts: list[Any] = [
        lambda: services.send_message(visitor_id=stranger, conversation_id=conversation.id, client_id="x", text="x"),
        lambda: services.cancel_turn(visitor_id=stranger, turn_id=turn.id),
        lambda: services.retry_turn(visitor_id=stranger, turn_id=turn.id),
        lambda: services.rate_message(visitor_id=stranger, message_id=reply.id, rating="up"),
        lambda: services.request_handoff(visitor_id=stranger, conversation_id=conversation.id),
        lambda: services.return_to_bot(visitor_id=stranger, conversation_id=conversation.id),
        lambda: services.open_conversation(visitor_id=stranger, conversation_id=conversation.id),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            attempt()
    assert conversation.messages.count() == 2


def test_the_queue_is_bounded(conversation: Conversation, settings: Settings) -> None:
    settings.MAX_OPEN_TURNS_PER_CONVERSATION = 2
    queued(conversation, "c-1")
    queued(conversation, "c-2")
    with pytest.raises(Busy) as busy:
        send(conversation, "c-3")
    assert busy.value.retry_after
    assert conversation.messages.count() == 2
    settings.MAX_QUEUED_TURNS = 2
    with pytest.raises(Busy):
        send(services.start_conversation(visitor_id=uuid.uuid4()))


def test_a_turn_is_claimed_once_and_turns_run_in_order(conversation: Conversation) -> None:
    first, second = queued(conversation, "c-1"), queued(conversation, "c-2")
    assert delivery.claim_turn(turn_id=second.id, owner="worker-a") is None
    mine = claimed(first)
    assert delivery.claim_turn(turn_id=first.id, owner="worker-b") is None
    delivery.finish_turn(turn=mine, reply=Reply(text="answer"))
    assert delivery.claim_turn(turn_id=first.id, owner="worker-b") is None
    assert claimed(second).attempt == 1


def test_a_stale_worker_can_write_nothing(conversation: Conversation) -> None:
    turn = queued(conversation)
    stale = claimed(turn, "worker-a")
    expire_lease(turn)
    fresh = claimed(turn, "worker-b")
    assert fresh.attempt == stale.attempt + 1
    writes: tuple[Callable[[], object], ...] = (
        lambda: delivery.finish_turn(turn=stale, reply=Reply(text="stale")),
        lambda: delivery.finish_cancelled_turn(turn=stale, text="stale", record={}),
        lambda: delivery.fail_turn(turn=stale, code="engine"),
    )
    for write in writes:
        with pytest.raises(LeaseLost):
            write()
    held, _ = delivery.renew_leases(owner="worker-a", attempts={turn.id: stale.attempt})
    assert held == set()
    delivery.finish_turn(turn=fresh, reply=Reply(text="fresh"))
    assert [message.text for message in conversation.messages.filter(role="bot")] == ["fresh"]


def test_the_database_itself_refuses_a_second_reply(conversation: Conversation) -> None:
    turn = claimed(queued(conversation))
    delivery.finish_turn(turn=turn, reply=Reply(text="answer"))
    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.create(conversation=conversation, seq=9, role="bot", text="again", turn=turn)


def test_a_vanished_worker_costs_an_attempt_and_the_third_time_the_customer_reads_an_apology(
    conversation: Conversation, published: list[Any], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    turn = queued(conversation)
    for attempt in (1, 2, 3):
        assert claimed(turn).attempt == attempt
        expire_lease(turn)
        with django_capture_on_commit_callbacks(execute=True):
            assert delivery.requeue_expired_turns() == 1
    turn.refresh_from_db()
    assert turn.status == Turn.Status.FAILED
    assert published[-1]["type"] == "turn.failed"
    assert published[-1]["code"] == "attempts_exhausted"
    assert "person" in published[-1]["detail"]
    assert delivery.requeue_expired_turns() == 0


def test_a_lease_that_is_renewed_is_not_swept(conversation: Conversation) -> None:
    turn = claimed(queued(conversation))
    Turn.objects.filter(pk=turn.pk).update(lease_expires_at=timezone.now() + timedelta(seconds=0.1))
    assert delivery.renew_leases(owner="worker-a", attempts={turn.id: 1}) == ({turn.id}, set())
    turn.refresh_from_db()
    assert turn.lease_expires_at is not None
    assert turn.lease_expires_at > timezone.now() + timedelta(seconds=5)
    assert delivery.requeue_expired_turns() == 0


def test_reminders_come_at_growing_gaps(conversation: Conversation) -> None:
    turn = queued(conversation)
    assert delivery.take_overdue_nudges() == []
    gaps = []
    for _ in range(6):
        Turn.objects.filter(pk=turn.pk).update(next_nudge_at=timezone.now())
        assert delivery.take_overdue_nudges() == [turn.id]
        turn.refresh_from_db()
        gaps.append(round((turn.next_nudge_at - timezone.now()).total_seconds()))
    assert gaps == [5, 10, 20, 40, 60, 60]


def test_a_turn_may_wait_for_a_worker_over_many_weekends(conversation: Conversation) -> None:
    turn = queued(conversation)
    Turn.objects.filter(pk=turn.pk).update(next_nudge_at=timezone.now(), nudges=delivery.MOST_NUDGES_COUNTED)
    assert delivery.take_overdue_nudges() == [turn.id]
    turn.refresh_from_db()
    assert turn.nudges == delivery.MOST_NUDGES_COUNTED
    assert turn.next_nudge_at < timezone.now() + timedelta(seconds=61)


def test_a_turn_that_is_given_up_is_free_at_once_and_its_last_attempt_ends_it(conversation: Conversation) -> None:
    turn = queued(conversation)
    first = claimed(turn)
    delivery.release_turn(turn=first)
    assert statuses(conversation) == ["queued"]
    with pytest.raises(LeaseLost):
        delivery.finish_turn(turn=first, reply=Reply(text="half a sent"))
    delivery.release_turn(turn=claimed(turn))
    delivery.release_turn(turn=claimed(turn))
    delivery.requeue_expired_turns()
    assert statuses(conversation) == ["failed"]


def test_a_turn_that_is_to_be_stopped_is_not_given_to_another_worker(conversation: Conversation) -> None:
    turn = claimed(queued(conversation))
    services.cancel_turn(visitor_id=conversation.visitor_id, turn_id=turn.id)
    delivery.release_turn(turn=turn)
    assert delivery.claim_turn(turn_id=turn.id, owner="worker-b") is None
    delivery.requeue_expired_turns()
    assert statuses(conversation) == ["cancelled"]


def test_only_the_first_waiting_turn_of_a_conversation_is_reminded_of(conversation: Conversation) -> None:
    first = queued(conversation, "c-1")
    queued(conversation, "c-2")
    Turn.objects.update(next_nudge_at=timezone.now())
    assert delivery.take_overdue_nudges() == [first.id]


def test_the_end_of_a_turn_nudges_the_next(
    conversation: Conversation, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    nudged: list[uuid.UUID] = []
    monkeypatch.setattr(delivery, "nudge", nudged.append)
    first, second = queued(conversation, "c-1"), queued(conversation, "c-2")
    with django_capture_on_commit_callbacks(execute=True):
        delivery.finish_turn(turn=claimed(first), reply=Reply(text="answer"))
    assert nudged == [second.id]


def test_a_dead_broker_does_not_stop_acceptance_and_the_sweeper_stops_at_the_first_refusal(
    conversation: Conversation, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    asked: list[uuid.UUID] = []
    monkeypatch.setattr(sweeper, "nudge", lambda turn_id: asked.append(turn_id))
    queued(conversation)
    queued(services.start_conversation(visitor_id=uuid.uuid4()))
    Turn.objects.update(next_nudge_at=timezone.now())
    assert sweeper.sweep_once().nudged == 0
    assert len(asked) == 1


def test_stop_before_the_start_ends_the_turn_at_once(conversation: Conversation) -> None:
    turn = queued(conversation)
    services.cancel_turn(visitor_id=conversation.visitor_id, turn_id=turn.id)
    assert statuses(conversation) == ["cancelled"]
    assert delivery.claim_turn(turn_id=turn.id, owner="worker-a") is None
    with pytest.raises(Conflict):
        services.cancel_turn(visitor_id=conversation.visitor_id, turn_id=turn.id)


def test_stop_while_running_reaches_the_worker_and_keeps_what_was_written(conversation: Conversation) -> None:
    turn = claimed(queued(conversation))
    services.cancel_turn(visitor_id=conversation.visitor_id, turn_id=turn.id)
    assert delivery.renew_leases(owner="worker-a", attempts={turn.id: 1}) == ({turn.id}, {turn.id})
    delivery.finish_cancelled_turn(turn=turn, text="Open Acc", record={})
    reply = conversation.messages.get(role="bot")
    assert (reply.text, reply.stopped) == ("Open Acc", True)
    assert statuses(conversation) == ["cancelled"]


def test_stop_of_a_turn_whose_worker_vanished_ends_it(conversation: Conversation) -> None:
    turn = claimed(queued(conversation))
    services.cancel_turn(visitor_id=conversation.visitor_id, turn_id=turn.id)
    expire_lease(turn)
    delivery.requeue_expired_turns()
    assert statuses(conversation) == ["cancelled"]


def test_retry_makes_a_new_turn_for_the_same_message_and_only_for_the_latest(conversation: Conversation) -> None:
    visitor = conversation.visitor_id
    turn = queued(conversation)
    with pytest.raises(Conflict):
        services.retry_turn(visitor_id=visitor, turn_id=turn.id)
    delivery.finish_turn(turn=claimed(turn), reply=Reply(text="answer"))
    again = services.retry_turn(visitor_id=visitor, turn_id=turn.id)
    assert (again.message, again.is_retry, again.number) == (turn.message, True, 2)
    with pytest.raises(Conflict):
        services.retry_turn(visitor_id=visitor, turn_id=turn.id)
    delivery.finish_turn(turn=claimed(again), reply=Reply(text="another answer"))
    assert conversation.messages.filter(role="bot").count() == 2


def test_asking_for_a_person_silences_the_bot(conversation: Conversation) -> None:
    visitor = conversation.visitor_id
    running, waiting = queued(conversation, "c-1"), queued(conversation, "c-2")
    mine = claimed(running)
    services.request_handoff(visitor_id=visitor, conversation_id=conversation.id)
    assert statuses(conversation) == ["cancelled", "cancelled"]
    with pytest.raises(LeaseLost):
        delivery.finish_turn(turn=mine, reply=Reply(text="too late"))
    assert send(conversation, "c-3").turn is None
    assert not conversation.messages.filter(role="bot").exists()
    assert waiting.pk
    with pytest.raises(Conflict):
        services.request_handoff(visitor_id=visitor, conversation_id=conversation.id)
    services.return_to_bot(visitor_id=visitor, conversation_id=conversation.id)
    assert send(conversation, "c-4").turn is not None


def test_a_reply_that_hands_over_leaves_the_conversation_waiting(conversation: Conversation) -> None:
    delivery.finish_turn(turn=claimed(queued(conversation)), reply=Reply(text="A person comes.", hands_over=True))
    conversation.refresh_from_db()
    assert conversation.status == Conversation.Status.WAITING


def test_an_agent_takes_over_and_a_closed_conversation_takes_nothing(
    conversation: Conversation, django_user_model: Any
) -> None:
    agent = django_user_model.objects.create_user("agent")
    desk.post_agent_message(conversation_id=conversation.id, author=agent, text="Hello, I am Kim.")
    assert send(conversation).turn is None
    desk.close_conversation(conversation_id=conversation.id, agent=agent)
    with pytest.raises(ConversationClosed):
        send(conversation, "c-2")
    with pytest.raises(ConversationClosed):
        desk.post_agent_message(conversation_id=conversation.id, author=agent, text="Too late.")


def test_ratings_are_given_changed_and_taken_back(conversation: Conversation) -> None:
    visitor = conversation.visitor_id
    reply = delivery.finish_turn(turn=claimed(queued(conversation)), reply=Reply(text="answer"))
    assert reply is not None
    services.rate_message(visitor_id=visitor, message_id=reply.id, rating="down", reason="wrong")
    reply.refresh_from_db()
    assert (reply.rating, reply.rating_reason) == ("down", "wrong")
    services.rate_message(visitor_id=visitor, message_id=reply.id, rating=None)
    reply.refresh_from_db()
    assert (reply.rating, reply.rating_reason) == ("", "")
    question = conversation.messages.get(seq=1)
    with pytest.raises(NotFound):
        services.rate_message(visitor_id=visitor, message_id=question.id, rating="up")


def test_conversations_that_nobody_wrote_in_are_swept_away(conversation: Conversation) -> None:
    queued(services.start_conversation(visitor_id=uuid.uuid4()))
    Conversation.objects.update(created_at=timezone.now() - timedelta(days=2))
    services.delete_unused_conversations(older_than=timedelta(days=1))
    assert Conversation.objects.get().last_seq == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_claims_and_of_many_sends_one_is_stored(settings: Settings) -> None:
    """Real concurrency on the real database: threads with their own connections."""
    settings.MAX_OPEN_TURNS_PER_CONVERSATION = 10
    conversation = services.start_conversation(visitor_id=uuid.uuid4())
    start = threading.Barrier(6)
    results: list[Any] = []

    def run(work: Any) -> None:
        start.wait()
        try:
            results.append(work())
        finally:
            connections.close_all()

    def together(work: Any) -> list[Any]:
        results.clear()
        threads = [threading.Thread(target=run, args=(work,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return list(results)

    accepted = together(lambda: send(conversation).message.id)
    assert len(set(accepted)) == 1
    assert conversation.messages.count() == 1
    turn = conversation.turns.get()
    claims = together(lambda: delivery.claim_turn(turn_id=turn.id, owner=str(uuid.uuid4())))
    assert len([claim for claim in claims if claim is not None]) == 1
    seqs = together(lambda: send(conversation, client_id=uuid.uuid4().hex, text="x").message.seq)
    assert sorted(seqs) == [2, 3, 4, 5, 6, 7]
