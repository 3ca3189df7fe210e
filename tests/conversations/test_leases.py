"""Leases: the heartbeat keeps what is held, and stops what is lost or unwanted."""

from __future__ import annotations

import threading
import uuid

import pytest
from pytest_django import Settings

from chatbot.conversations import delivery, services
from chatbot.conversations.control import StopListener, request_stop
from chatbot.conversations.leases import ActiveTurn, Leases
from chatbot.conversations.models import Conversation, Turn

from .conftest import expire_lease

PATIENCE_S = 20


class Generation:
    """Something that can be cancelled, and counts how often it was."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def cancel(self) -> None:
        self.cancelled.set()


def claimed(conversation: Conversation, owner: str) -> Turn:
    accepted = services.send_message(
        visitor_id=conversation.visitor_id, conversation_id=conversation.id, client_id="c-1", text="hello"
    )
    assert accepted.turn is not None
    turn = delivery.claim_turn(turn_id=accepted.turn.id, owner=owner)
    assert turn is not None
    return turn


@pytest.mark.django_db
def test_a_turn_that_another_worker_took_is_stopped(conversation: Conversation) -> None:
    leases = Leases("worker-a", beat=lambda: None)
    turn = claimed(conversation, "worker-a")
    generation = Generation()
    with leases.hold(turn) as active:
        active.attach(generation)
        leases.renew()
        assert not generation.cancelled.is_set()
        expire_lease(turn)
        assert delivery.claim_turn(turn_id=turn.id, owner="worker-b") is not None
        leases.renew()
        assert active.lost, "another attempt holds the turn"
        assert generation.cancelled.is_set()
    assert leases.active_turns() == []


@pytest.mark.django_db
def test_the_customers_wish_reaches_the_worker_through_the_database_alone(conversation: Conversation) -> None:
    leases = Leases("worker-a", beat=lambda: None)
    turn = claimed(conversation, "worker-a")
    with leases.hold(turn) as active:
        services.cancel_turn(visitor_id=conversation.visitor_id, turn_id=turn.id)
        leases.renew()
        assert active.stop_requested
        assert not active.lost


def test_a_generation_that_begins_after_the_wish_is_cancelled_at_once() -> None:
    active = ActiveTurn(Turn(id=uuid.uuid4()))
    active.stop()
    generation = Generation()
    active.attach(generation)
    assert generation.cancelled.is_set()


def test_stop_requests_arrive_over_the_broker() -> None:
    heard: list[uuid.UUID] = []
    arrived = threading.Event()

    def stop(turn_id: uuid.UUID) -> None:
        heard.append(turn_id)
        arrived.set()

    listener = StopListener(stop)
    listener.start()
    wanted = uuid.uuid4()
    try:
        while not arrived.wait(0.1):  # the listener may not have subscribed yet
            request_stop(wanted)
    finally:
        listener.close()
    assert set(heard) == {wanted}


@pytest.mark.django_db(transaction=True)
def test_the_heartbeat_thread_renews_and_announces(conversation: Conversation, settings: Settings) -> None:
    settings.TURN_HEARTBEAT_S = 0.05
    beats = threading.Semaphore(0)
    leases = Leases("worker-a", beat=beats.release)
    turn = claimed(conversation, "worker-a")
    leases.start()
    with leases.hold(turn):
        expire_lease(turn)
        for _ in range(2):
            assert beats.acquire(timeout=PATIENCE_S)
        assert delivery.requeue_expired_turns() == 0
    leases.close()
