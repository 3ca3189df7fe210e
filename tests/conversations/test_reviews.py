"""What reviewers do: judgements that nobody overwrites unseen, conversations kept out of training, all of it logged."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, connection, transaction

from chatbot.conversations import reviews
from chatbot.conversations.models import Conversation, Review, Turn
from chatbot.conversations.reviews import Judgement, review_turn
from chatbot.exceptions import Conflict, NotFound, StaleReview
from tests.conversations.records import Told, intent

pytestmark = pytest.mark.django_db


@pytest.fixture
def robin() -> User:
    return User.objects.create_user("robin", is_staff=True)


def answered(**fields: Any) -> Turn:
    reply = Told().answered("Where is my parcel?", "On its way.", **{"best": "track-a-parcel", **fields})
    assert reply.turn is not None
    return reply.turn


def review(turn: Turn, reviewer: User, seen_version: int = 0, **judgement: Any) -> Review:
    return review_turn(turn_id=turn.pk, reviewer=reviewer, judgement=Judgement(**judgement), seen_version=seen_version)


# --- Judgements -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "judgement",
    [
        {},
        {"note": "  "},
        {"verdict": "perhaps"},
        {"verdict": "edited"},
        {"verdict": "edited", "edited_reply": " \n"},
        {"verdict": "accepted", "edited_reply": "other words"},
        {"edited_reply": "other words"},
        {"out_of_scope": True, "intent": "some"},
    ],
)
def test_a_judgement_that_contradicts_itself_or_says_nothing_is_refused(judgement: dict[str, Any]) -> None:
    if judgement.get("intent"):
        judgement = {**judgement, "intent": intent("some")}
    with pytest.raises(ValueError, match=r"not both|no verdict|comes with|nothing was judged"):
        Judgement(**judgement)


def test_a_review_is_stored_and_changed_with_a_version_each(robin: User) -> None:
    turn, other = answered(), User.objects.create_user("kim")
    first = review(turn, robin, intent=intent("refund"), verdict="rejected", note=" Wrong parcel. ")
    assert (first.version, first.intent, first.note) == (1, intent("refund"), "Wrong parcel.")
    second = review(turn, other, 1, out_of_scope=True, verdict="edited", edited_reply="It was returned to us.\n")
    stored = Review.objects.get(turn=turn)
    assert stored.pk == first.pk == second.pk
    assert (stored.version, stored.intent, stored.out_of_scope) == (2, None, True)
    assert (stored.verdict, stored.edited_reply, stored.note) == ("edited", "It was returned to us.", "")
    assert stored.reviewed_by == other


def test_halves_may_be_left_open_and_a_note_alone_judges_nothing(robin: User) -> None:
    only_intent = review(answered(), robin, intent=intent("refund"))
    only_reply = review(answered(), robin, verdict="accepted")
    only_note = review(answered(), robin, note="Ask the warehouse.")
    assert [each.summary for each in (only_intent, only_reply, only_note)] == ["Intent reviewed", "Accepted", "Noted"]
    assert [each.is_judged for each in (only_intent, only_reply, only_note)] == [True, True, False]
    assert set(Review.objects.filter(Review.JUDGED)) == {only_intent, only_reply}


def test_nobody_overwrites_what_they_have_not_seen(robin: User) -> None:
    turn = answered()
    review(turn, robin, verdict="accepted")
    for seen in (0, 2):
        with pytest.raises(StaleReview):
            review(turn, robin, seen, verdict="rejected")
        with pytest.raises(StaleReview):
            reviews.retract_review(turn_id=turn.pk, seen_version=seen)
    assert Review.objects.get().verdict == "accepted"
    reviews.retract_review(turn_id=turn.pk, seen_version=1)
    with pytest.raises(StaleReview):
        review(turn, robin, 1, verdict="rejected")


@pytest.mark.django_db(transaction=True)
def test_of_reviewers_at_the_same_moment_one_wins_and_the_others_are_told(robin: User) -> None:
    turn = answered()
    start, outcomes = threading.Barrier(4), []

    def judge() -> None:
        start.wait()
        try:
            outcomes.append(review(turn, robin, verdict="accepted").version)
        except StaleReview:
            outcomes.append(0)
        finally:
            connection.close()

    threads = [threading.Thread(target=judge) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [0, 0, 0, 1]
    assert Review.objects.get().version == 1


def test_what_cannot_be_judged_is_said(robin: User) -> None:
    told = Told()
    question = told.says("customer", "hello?")
    with pytest.raises(Conflict, match="still being answered"):
        review(told.turn(question, status=Turn.Status.RUNNING), robin, intent=intent("greeting"))
    unanswered = told.turn(question, status=Turn.Status.FAILED)
    with pytest.raises(Conflict, match="without a reply"):
        review(unanswered, robin, verdict="rejected")
    assert review(unanswered, robin, intent=intent("greeting")).is_judged
    with pytest.raises(NotFound):
        review_turn(turn_id=uuid.uuid4(), reviewer=robin, judgement=Judgement(note="x"), seen_version=0)


def test_the_database_itself_keeps_intent_and_out_of_scope_apart() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Review.objects.create(turn=answered(), intent=intent("refund"), out_of_scope=True)


def test_an_intent_that_leaves_the_catalogue_leaves_the_reviews_unjudged(robin: User) -> None:
    turn = answered()
    review(turn, robin, intent=intent("refund"))
    intent("refund").delete()
    stored = Review.objects.get(turn=turn)
    assert (stored.intent, stored.out_of_scope, stored.is_judged) == (None, False, False)


def test_the_audit_log_says_who_judged_how_and_quotes_nobody(robin: User) -> None:
    turn = answered()
    review(turn, robin, verdict="edited", edited_reply="Dear Zebedee, it was sent.", note="Zebedee is upset")
    review(turn, robin, 1, verdict="rejected")
    reviews.retract_review(turn_id=turn.pk, seen_version=2)
    entries = list(LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(Review)).order_by("id"))
    assert [entry.action for entry in entries] == [
        LogEntry.Action.CREATE, LogEntry.Action.UPDATE, LogEntry.Action.DELETE,
    ]  # fmt: skip
    assert entries[0].changes["edited_reply"][1] == "(26 characters)"
    assert entries[1].changes["verdict"] == ["edited", "rejected"]
    assert "Zebedee" not in str([(entry.changes, entry.object_repr, entry.additional_data) for entry in entries])


# --- Many at once -----------------------------------------------------------------------------------


def test_turns_are_accepted_together_where_the_bot_gave_a_whole_answer(robin: User, monkeypatch: Any) -> None:
    monkeypatch.setattr(reviews, "BATCH", 2)
    told = Told()
    question = told.says("customer", "?")
    good = [answered() for _ in range(3)]
    judged = answered()
    review(judged, robin, verdict="rejected")
    left = [
        judged,
        answered(is_miss=True),
        answered(status=Turn.Status.CANCELLED),
        answered(best=None),
        told.turn(question, best="greeting"),
        told.turn(question, best="greeting", status=Turn.Status.RUNNING),
    ]
    ids = [turn.pk for turn in (*good, *left)]
    assert reviews.accept_turns(turn_ids=ids, reviewer=robin) == 3
    assert reviews.accept_turns(turn_ids=ids, reviewer=robin) == 0
    accepted = Review.objects.filter(verdict="accepted", intent=intent("track-a-parcel"), reviewed_by=robin)
    assert set(accepted.values_list("turn", flat=True)) == {turn.pk for turn in good}
    assert LogEntry.objects.filter(object_repr="Accepted by robin").count() == 3


def test_conversations_are_kept_out_of_training_and_let_in_again(robin: User, monkeypatch: Any) -> None:
    monkeypatch.setattr(reviews, "BATCH", 2)
    told = [Told(title="Zebedee asks").conversation for _ in range(3)]
    ids = [conversation.pk for conversation in told]
    assert reviews.exclude_conversation(conversation_id=ids[0], actor=robin)
    assert not reviews.exclude_conversation(conversation_id=ids[0], actor=robin)
    assert reviews.exclude_conversations(conversation_ids=ids, actor=robin) == 2
    assert Conversation.objects.filter(excluded_from_training=True).count() == 3
    assert reviews.include_conversations(conversation_ids=ids[:2], actor=robin) == 2
    assert reviews.include_conversation(conversation_id=ids[2], actor=robin)
    assert not Conversation.objects.filter(excluded_from_training=True).exists()
    entries = LogEntry.objects.filter(object_pk=str(ids[0])).order_by("id")
    assert [entry.changes for entry in entries] == [
        {"excluded_from_training": ["False", "True"]},
        {"excluded_from_training": ["True", "False"]},
    ]
    assert {entry.actor for entry in LogEntry.objects.filter(object_pk__in=map(str, ids))} == {robin}
    assert not LogEntry.objects.filter(object_repr__contains="Zebedee").exists()
