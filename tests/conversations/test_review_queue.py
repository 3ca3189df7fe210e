"""Triage and the queue: what gets in, what leaves, in which order, and that none of it costs more with more turns."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chatbot.conversations import review_queue, reviews, services, wording
from chatbot.conversations.models import Message, Review, ReviewItem, Turn
from chatbot.conversations.review_reasons import revive
from chatbot.conversations.reviews import Judgement
from chatbot.conversations.triage import triage_due
from tests.conversations.records import Told, intent

pytestmark = pytest.mark.django_db


@pytest.fixture
def robin() -> User:
    return User.objects.create_user("robin", is_staff=True)


@pytest.fixture
def kim() -> User:
    return User.objects.create_user("kim", is_staff=True)


def turn_of(message: Message) -> Turn:
    assert message.turn is not None
    return message.turn


def tie(confidence: float = 0.52, **fields: Any) -> Turn:
    """A turn whose two best intents are nearly a tie: the nearer to 0.5, the nearer."""
    told = Told(**fields)
    turn = turn_of(told.answered("which?", "This one.", best="refund", confidence=confidence))
    Turn.objects.filter(pk=turn.pk).update(finished_at=timezone.now())
    return turn


def waiting() -> list[Turn]:
    return [item.turn for item in ReviewItem.objects.select_related("turn")]


def kinds(turn: Turn) -> set[str]:
    item = ReviewItem.objects.filter(turn=turn).first()
    return {reason.kind for reason in revive(item.reasons)} if item else set()


# --- What gets in and what leaves -----------------------------------------------------------------


def test_turns_that_ended_are_triaged_once_and_only_what_teaches_waits() -> None:
    uncertain = tie()
    Told().answered("sure", "yes", best="refund", confidence=0.97)
    told = Told()
    told.turn(told.says("customer", "?"), best="refund", confidence=0.5, status=Turn.Status.RUNNING)
    assert triage_due() == 2
    assert triage_due() == 0
    assert waiting() == [uncertain]
    assert kinds(uncertain) == {"near_tie"}


def test_a_round_takes_the_oldest_and_leaves_the_rest_to_the_next() -> None:
    turns = [tie() for _ in range(3)]
    for age, turn in enumerate(turns):
        Turn.objects.filter(pk=turn.pk).update(finished_at=timezone.now() - timedelta(hours=age))
    assert triage_due(limit=2) == 2
    assert set(waiting()) == set(turns[1:])
    assert triage_due(limit=2) == 1


def test_thumbs_down_brings_a_turn_in_and_taking_it_back_takes_it_out() -> None:
    told = Told()
    reply = told.answered("sure?", "Yes.", best="refund", confidence=0.97)
    visitor = told.conversation.visitor_id
    triage_due()
    assert not waiting()
    services.rate_message(visitor_id=visitor, message_id=reply.pk, rating="down", reason="no")
    triage_due()
    assert kinds(turn_of(reply)) == {"thumbs_down"}
    services.rate_message(visitor_id=visitor, message_id=reply.pk, rating=None)
    triage_due()
    assert not waiting()


def asked_back(told: Told) -> Turn:
    """A turn in which the bot asked what was meant."""
    question = told.says("customer", "it is about the thing")
    unsure = {"ranking": [["refund", 0.3], ["return-it", 0.05]]}
    turn = told.turn(question, best="refund", prediction=unsure, is_miss=True, action="clarify")
    told.says("bot", wording.DID_YOU_MEAN, turn=turn, quick_replies=["Refund?", wording.TALK_TO_A_PERSON])
    return turn


def test_what_the_bot_asked_is_judged_by_what_was_written_next() -> None:
    chosen, missed, open_still = Told(), Told(), Told()
    asked = [asked_back(told) for told in (chosen, missed, open_still)]
    triage_due()
    assert [kinds(turn) for turn in asked] == [{"unsure"}] * 3
    chosen.answered("Refund?", "Here.", best="refund", confidence=0.99)
    missed.answered("no, something else", "Here.", best="return-it", confidence=0.99)
    # Another answer to the same message says nothing about what was meant.
    open_still.turn(open_still.conversation.messages.get(seq=1), best="refund", is_retry=True)
    triage_due()
    assert [kinds(turn) for turn in asked] == [
        {"unsure", "chosen_afterwards"}, {"unsure", "missed_clarification"}, {"unsure"},
    ]  # fmt: skip


def test_whoever_goes_over_to_a_person_was_not_understood() -> None:
    told = Told()
    turn = asked_back(told)
    triage_due()
    services.request_handoff(visitor_id=told.conversation.visitor_id, conversation_id=told.conversation.pk)
    triage_due()
    assert "missed_clarification" in kinds(turn)


def test_a_judged_turn_leaves_at_once_and_comes_back_when_that_is_undone(robin: User) -> None:
    turn = tie()
    triage_due()
    noted = Judgement(note="ask the warehouse")
    reviews.review_turn(turn_id=turn.pk, reviewer=robin, judgement=noted, seen_version=0)
    assert waiting() == [turn], "a note judges nothing"
    judged = Judgement(intent=intent("refund"), note="ask the warehouse")
    reviews.review_turn(turn_id=turn.pk, reviewer=robin, judgement=judged, seen_version=1)
    assert not waiting()
    reviews.retract_review(turn_id=turn.pk, seen_version=2)
    assert waiting() == [turn]
    assert not Review.objects.exists()


def test_what_may_not_be_learnt_from_does_not_wait(robin: User) -> None:
    turn = tie()
    tie(training_consent=False)
    triage_due()
    assert waiting() == [turn]
    reviews.exclude_conversation(conversation_id=turn.conversation_id, actor=robin)
    assert not waiting()
    triage_due()
    assert not waiting()
    reviews.include_conversation(conversation_id=turn.conversation_id, actor=robin)
    triage_due()
    assert waiting() == [turn]


def test_triage_again_keeps_who_looks_and_what_was_put_off(robin: User) -> None:
    turn = tie()
    triage_due()
    review_queue.put_off_items(ReviewItem.objects.all())
    review_queue.claim_item(turn_id=turn.pk, reviewer=robin)
    Message.objects.filter(turn=turn).update(rating="down")
    Turn.objects.update(is_triaged=False)
    triage_due()
    item = ReviewItem.objects.get()
    assert (item.skips, item.claimed_by, item.priority) == (1, robin, 100 + 48)
    turn.conversation.delete()
    assert not ReviewItem.objects.exists()


# --- The order ------------------------------------------------------------------------------------


def test_what_teaches_most_comes_first_and_what_was_put_off_last(robin: User) -> None:
    far, near, nearer = tie(0.58), tie(0.54), tie(0.51)
    triage_due()
    assert waiting() == [nearer, near, far]
    review_queue.put_off_items(ReviewItem.objects.filter(turn=nearer))
    assert waiting() == [near, far, nearer]
    first = review_queue.next_item(reviewer=robin)
    assert first is not None
    assert first.turn == near
    after = review_queue.next_item(reviewer=robin, but=near.pk)
    assert after is not None
    assert after.turn == far


def test_reviewers_rarely_meet(robin: User, kim: User) -> None:
    first, second = tie(0.51), tie(0.55)
    triage_due()

    def next_for(reviewer: User) -> Turn | None:
        item = review_queue.next_item(reviewer=reviewer)
        return item.turn if item else None

    review_queue.claim_item(turn_id=first.pk, reviewer=robin)
    assert (next_for(robin), next_for(kim)) == (first, second)
    review_queue.claim_item(turn_id=second.pk, reviewer=kim)
    robin.delete()
    assert next_for(kim) == first, "who is gone looks at nothing"
    ReviewItem.objects.update(claimed_by=kim, claimed_at=timezone.now() - review_queue.CLAIM_LASTS)
    other = User.objects.create_user("lou")
    assert next_for(other) == first
    ReviewItem.objects.all().delete()
    assert next_for(other) is None


def test_progress_is_todays_and_without_what_came_with_the_demo(robin: User, kim: User) -> None:
    turns = [tie() for _ in range(5)]
    triage_due()
    for turn, reviewer in zip(turns[:3], (robin, robin, kim), strict=True):
        judgement = Judgement(out_of_scope=True)
        reviews.review_turn(turn_id=turn.pk, reviewer=reviewer, judgement=judgement, seen_version=0)
    Review.objects.filter(turn=turns[0]).update(reviewed_at=timezone.now() - timedelta(days=1, hours=1))
    Review.objects.create(turn=turns[3], verdict="accepted")
    assert review_queue.progress_of(robin) == review_queue.Progress(today=2, mine=1, waiting=2)


# --- What it costs ----------------------------------------------------------------------------------


def test_a_round_costs_the_same_queries_for_many_turns_as_for_one() -> None:
    def queries() -> int:
        Turn.objects.update(is_triaged=False)
        with CaptureQueriesContext(connection) as captured:
            triage_due()
        return len(captured)

    tie()
    one = queries()
    for _ in range(20):
        tie()
    assert queries() == one <= 10


@pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's plan")
def test_the_next_item_is_read_off_an_index(robin: User) -> None:
    with CaptureQueriesContext(connection) as captured:
        review_queue.next_item(reviewer=robin)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {captured[0]['sql']}")
        plan = " ".join(str(row[-1]) for row in cursor.fetchall())
    assert "review_item_order" in plan
    assert "TEMP B-TREE" not in plan
