"""What a customer says of a conversation that has ended: once, changeable for a while, and read by staff alone."""

from __future__ import annotations

import csv
import io
import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from chatbot.conversations import exports, services
from chatbot.conversations.desk import selectors as desk_selectors
from chatbot.conversations.desk import services as desk
from chatbot.conversations.models import Conversation, Survey, Turn
from chatbot.conversations.selectors import snapshot
from chatbot.conversations.surveys.services import answer_survey
from chatbot.exceptions import Conflict, ConversationClosed, NotFound

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script> =1+1"


def write(conversation: Conversation, text: str = "Where is it?") -> None:
    services.send_message(
        visitor_id=conversation.visitor_id, conversation_id=conversation.pk, client_id=uuid.uuid4().hex, text=text
    )


def end(conversation: Conversation) -> None:
    services.end_conversation(visitor_id=conversation.visitor_id, conversation_id=conversation.pk)


def answer(conversation: Conversation, score: int, comment: str = "") -> Survey:
    return answer_survey(
        visitor_id=conversation.visitor_id, conversation_id=conversation.pk, score=score, comment=comment
    )


@pytest.fixture
def ended(conversation: Conversation) -> Conversation:
    write(conversation)
    end(conversation)
    conversation.refresh_from_db()
    return conversation


def test_a_customer_ends_a_conversation_and_nothing_more_is_answered(conversation: Conversation) -> None:
    write(conversation)
    end(conversation)
    conversation.refresh_from_db()
    assert conversation.status == "closed"
    assert not conversation.turns.filter(status__in=Turn.OPEN).exists()
    assert conversation.transitions.get().by == "customer"
    with pytest.raises(ConversationClosed):
        write(conversation, "One more thing")
    with pytest.raises(ConversationClosed):
        end(conversation)


def test_a_conversation_in_which_nothing_was_said_cannot_be_ended(conversation: Conversation) -> None:
    with pytest.raises(Conflict):
        end(conversation)


def test_nobody_ends_or_rates_the_conversation_of_somebody_else(ended: Conversation) -> None:
    stranger = uuid.uuid4()
    with pytest.raises(NotFound):
        services.end_conversation(visitor_id=stranger, conversation_id=ended.pk)
    with pytest.raises(NotFound):
        answer_survey(visitor_id=stranger, conversation_id=ended.pk, score=1)
    assert not Survey.objects.exists()


def test_an_answer_is_kept_once_and_can_be_changed(ended: Conversation) -> None:
    answer(ended, 2, "Slow")
    answer(ended, 5)
    assert list(Survey.objects.values_list("score", "comment")) == [(5, "")]
    assert snapshot(ended)["survey"] == {"open": True, "score": 5}


def test_a_conversation_that_goes_on_is_not_rated(conversation: Conversation) -> None:
    write(conversation)
    with pytest.raises(Conflict):
        answer(conversation, 4)
    assert "survey" not in snapshot(conversation)


def test_it_can_be_changed_until_the_next_conversation_has_begun(ended: Conversation) -> None:
    answer(ended, 4, "Good")
    following = services.start_conversation(visitor_id=ended.visitor_id)
    answer(ended, 3, "Hm")  # one that nobody has written in has not begun
    write(following)
    with pytest.raises(Conflict):
        answer(ended, 1)
    assert snapshot(ended)["survey"] == {"open": False, "score": 3, "comment": "Hm"}


def test_an_older_conversation_that_goes_on_does_not_end_the_survey(conversation: Conversation) -> None:
    write(conversation)
    later = services.start_conversation(visitor_id=conversation.visitor_id)
    write(later)
    end(later)
    write(conversation, "Still here")
    later.refresh_from_db()
    assert answer(later, 4).score == 4


@pytest.mark.parametrize("score", [0, 6])
def test_the_database_takes_no_other_score(ended: Conversation, score: int) -> None:
    with pytest.raises(IntegrityError):
        Survey.objects.create(conversation=ended, score=score)


def test_the_pages_of_the_customer_are_told(
    ended: Conversation, published: list[dict[str, Any]], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer(ended, 4, "Good")
    told = [frame for frame in published if frame.get("type") == "conversation.updated"]
    assert told == [
        {
            "type": "conversation.updated",
            "conversation": str(ended.pk),
            "status": "closed",
            "survey": {"open": True, "score": 4, "comment": "Good"},
        }
    ]


def test_staff_read_it_in_the_inbox_and_on_the_transcript(
    ended: Conversation, client: Client, admin_user: User
) -> None:
    answer(ended, 1, HOSTILE)
    state = desk_selectors.thread_state(ended.pk)
    assert state is not None
    assert state["survey"] == {"score": 1, "comment": HOSTILE}
    client.force_login(admin_user)
    for page in (
        reverse("admin:conversations_conversation_change", args=[ended.pk]),
        reverse("admin:conversations_survey_changelist"),
        reverse("admin:conversations_survey_change", args=[Survey.objects.get().pk]),
    ):
        text = client.get(page).content.decode()
        assert "1 of 5" in text
        assert "&lt;script&gt;alert(1)" in text
        assert "<script>alert(1)" not in text


def test_it_is_exported_with_the_transcript(ended: Conversation) -> None:
    answer(ended, 1, "=HYPERLINK(1)")
    document = json.loads("".join(exports.jsonl_chunks([ended.pk])))
    assert (document["survey"]["score"], document["survey"]["comment"]) == (1, "=HYPERLINK(1)")
    text = "".join(exports.csv_chunks([ended.pk])).removeprefix(exports.BYTE_ORDER_MARK)
    *_, row = csv.DictReader(io.StringIO(text))
    assert (row["role"], row["text"], row["rating"]) == (exports.SURVEY, "'=HYPERLINK(1)", "1")


def test_one_that_staff_closed_can_be_rated(conversation: Conversation, admin_user: User) -> None:
    write(conversation)
    desk.close_conversation(conversation_id=conversation.pk, agent=admin_user)
    assert answer(conversation, 5).score == 5
