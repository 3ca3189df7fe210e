"""What reviewers do: judge turns, take a judgement back, keep conversations out of training. Each in one transaction.

The audit log hears of all of it: of reviews by their signals, of conversations here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet

from chatbot.conversations.audit import record_training_use
from chatbot.conversations.models import Conversation, Message, Review, ReviewItem, Turn
from chatbot.conversations.triage import triage_again, triage_turns
from chatbot.exceptions import Conflict, NotFound, StaleReview
from chatbot.intents.models import Intent

Verdict = Review.Verdict
BATCH = 500
Id = TypeVar("Id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a reviewer makes of a turn.

    With neither `intent` nor `out_of_scope` the intent is left open; with an empty `verdict` the reply is.

    Raises ValueError where it contradicts itself or says nothing.
    """

    intent: Intent | None = None
    out_of_scope: bool = False
    verdict: str = ""
    edited_reply: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if self.out_of_scope and self.intent is not None:
            raise ValueError("a turn has an intent or is out of scope, not both")
        if self.verdict and self.verdict not in Verdict.values:
            raise ValueError(f"there is no verdict {self.verdict!r}")
        if (self.verdict == Verdict.EDITED) != bool(self.edited_reply.strip()):
            raise ValueError("an edited reply comes with the verdict “edited”, and that verdict with one")
        if not (self.intent or self.out_of_scope or self.verdict or self.note.strip()):
            raise ValueError("nothing was judged and nothing noted")


# --- One turn -----------------------------------------------------------------------------------


@transaction.atomic
def review_turn(*, turn_id: UUID, reviewer: AbstractBaseUser, judgement: Judgement, seen_version: int) -> Review:
    """Store the judgement in place of the review that the reviewer saw: `seen_version`, or 0 where there was none.

    Raises:
        NotFound: there is no such turn.
        Conflict: it has not ended yet, or has no reply that could be judged.
        StaleReview: the review is no longer the one that the reviewer saw.
    """
    turn = _lock_turn(turn_id)
    if not turn.is_terminal:
        raise Conflict("This turn is still being answered.")
    if judgement.verdict and not Message.objects.filter(turn=turn).exists():
        raise Conflict("This turn ended without a reply, so there is none to judge.")
    review = _seen_review(turn, seen_version) or Review(turn=turn, version=0)
    review.intent = judgement.intent
    review.out_of_scope = judgement.out_of_scope
    review.verdict = judgement.verdict
    review.edited_reply = judgement.edited_reply.strip()
    review.note = judgement.note.strip()
    review.version += 1
    review.reviewed_by = reviewer  # type: ignore[assignment]  # AUTH_USER_MODEL is Django's own
    review.save()
    triage_turns(turn_ids=[turn.pk])
    return review


@transaction.atomic
def retract_review(*, turn_id: UUID, seen_version: int) -> None:
    """Take a review back: the turn is as it was before anybody had judged it.

    Raises:
        NotFound: there is no such turn.
        StaleReview: the review is no longer the one that the reviewer saw.
    """
    review = _seen_review(_lock_turn(turn_id), seen_version)
    if review is not None:
        review.delete()
        triage_turns(turn_ids=[turn_id])


def _lock_turn(turn_id: UUID) -> Turn:
    turn = Turn.objects.select_for_update(of=("self",)).filter(pk=turn_id).first()
    if turn is None:
        raise NotFound("This turn does not exist.")
    return turn


def _seen_review(turn: Turn, seen_version: int) -> Review | None:
    review = Review.objects.filter(turn=turn).first()
    if (review.version if review else 0) != seen_version:
        raise StaleReview("Somebody else has reviewed this turn since you opened it.")
    return review


# --- Many turns ---------------------------------------------------------------------------------


@transaction.atomic
def accept_turns(*, turn_ids: Collection[UUID], reviewer: AbstractBaseUser) -> int:
    """Confirm intent and reply of those turns that can be accepted as they are. Returns how many there were."""
    accepted = 0
    for ids in batched(turn_ids):
        for turn in acceptable_turns(ids).select_for_update(of=("self",)):
            judgement = Judgement(intent=turn.intent, verdict=Verdict.ACCEPTED)
            review_turn(turn_id=turn.pk, reviewer=reviewer, judgement=judgement, seen_version=0)
            accepted += 1
    return accepted


def acceptable_turns(turn_ids: Collection[UUID]) -> QuerySet[Turn]:
    """Of these turns those that nobody has reviewed and in which the bot gave a whole answer to an intent."""
    answered = Turn.objects.filter(pk__in=turn_ids, status=Turn.Status.DONE, is_miss=False, intent__isnull=False)
    return answered.filter(review=None, reply__isnull=False).select_related("intent").order_by("pk")


# --- Conversations ------------------------------------------------------------------------------


def exclude_conversation(*, conversation_id: UUID, actor: AbstractBaseUser) -> bool:
    """Keep the conversation out of training. Returns whether it was not already."""
    return bool(exclude_conversations(conversation_ids=[conversation_id], actor=actor))


def include_conversation(*, conversation_id: UUID, actor: AbstractBaseUser) -> bool:
    """Let the conversation in again, as far as the customer agrees. Returns whether it had been excluded."""
    return bool(include_conversations(conversation_ids=[conversation_id], actor=actor))


def exclude_conversations(*, conversation_ids: Collection[UUID], actor: AbstractBaseUser) -> int:
    """Keep the conversations out of training. Returns how many were not already."""
    return _set_excluded(conversation_ids, actor, excluded=True)


def include_conversations(*, conversation_ids: Collection[UUID], actor: AbstractBaseUser) -> int:
    """Let the conversations in again, as far as their customers agree. Returns how many had been excluded."""
    return _set_excluded(conversation_ids, actor, excluded=False)


@transaction.atomic
def _set_excluded(conversation_ids: Collection[UUID], actor: AbstractBaseUser, *, excluded: bool) -> int:
    count = 0
    for ids in batched(conversation_ids):
        others = Conversation.objects.filter(pk__in=ids, excluded_from_training=not excluded)
        changed = list(others.select_for_update().order_by("pk").values_list("pk", flat=True))
        Conversation.objects.filter(pk__in=changed).update(excluded_from_training=excluded)
        record_training_use(actor=actor, conversation_ids=changed, excluded=excluded)
        triage_again(Turn.objects.filter(conversation__in=changed))
        if excluded:
            ReviewItem.objects.filter(turn__conversation__in=changed).delete()
        count += len(changed)
    return count


def batched(ids: Iterable[Id]) -> Iterator[list[Id]]:
    """So many ids at a time as one statement takes on any database."""
    remaining = iter(ids)
    while batch := list(islice(remaining, BATCH)):
        yield batch
