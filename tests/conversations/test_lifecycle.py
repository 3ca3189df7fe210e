"""The state machine of who has a conversation: what may happen, what is refused, and what is kept of it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatbot.conversations import lifecycle, services
from chatbot.conversations.desk.models import Transition
from chatbot.conversations.lifecycle import ALLOWED, TARGET, By, Move, Status
from chatbot.conversations.models import Conversation
from chatbot.conversations.threads import lock_conversation
from chatbot.exceptions import Conflict, ConversationClosed

pytestmark = pytest.mark.django_db

moves = st.tuples(st.sampled_from(list(Move)), st.sampled_from(list(By)))


def make(conversation: Conversation, move: Move, by: By, agent: User) -> None:
    with transaction.atomic():
        locked = lock_conversation(conversation.pk)
        lifecycle.move(locked, move, by=by, actor=agent if by == By.STAFF else None, assignee=agent)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
@given(st.lists(moves, max_size=12))
def test_whatever_is_tried_only_what_is_allowed_happens_and_all_of_it_is_kept(tried: list[tuple[Move, By]]) -> None:
    agent, _ = User.objects.get_or_create(username="kim")
    conversation = services.start_conversation(visitor_id=uuid.uuid4())
    status, happened = Status.BOT, []
    for move, by in tried:
        allowed = status != Status.CLOSED and status in ALLOWED.get((move, by), ())
        try:
            make(conversation, move, by, agent)
        except (Conflict, ConversationClosed):
            assert not allowed
        else:
            assert allowed
            happened.append((move, status, TARGET[move], by))
            status = TARGET[move]
        conversation.refresh_from_db()
        assert conversation.status == status
        assert conversation.assignment == len(happened)
        assert (conversation.assignee == agent) == (status == Status.HUMAN)
        assert conversation.waiting_since is not None or status != Status.WAITING
    kept = conversation.transitions.values_list("move", "from_status", "to_status", "by")
    assert list(kept) == happened


def test_nothing_leads_out_of_closed(conversation: Conversation, django_user_model: Any) -> None:
    agent = django_user_model.objects.create_user("kim")
    make(conversation, Move.CLOSE, By.STAFF, agent)
    for move in Move:
        for by in By:
            with pytest.raises(ConversationClosed):
                make(conversation, move, by, agent)
    assert Transition.objects.count() == 1


def test_who_was_put_back_keeps_the_place_that_they_had(django_user_model: Any) -> None:
    agent = django_user_model.objects.create_user("kim")
    first, second = (services.start_conversation(visitor_id=uuid.uuid4()) for _ in range(2))
    for conversation in (first, second):
        make(conversation, Move.ASK, By.CUSTOMER, agent)
    make(first, Move.TAKE, By.STAFF, agent)
    make(first, Move.RELEASE, By.STAFF, agent)
    waiting = Conversation.objects.filter(status="waiting").order_by("waiting_since")
    assert list(waiting) == [first, second]
