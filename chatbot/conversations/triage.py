"""Triage: which turns are worth a reviewer's time. Fills the review queue and clears it of what needs no look any more.

The sweeper triages every turn once it has ended, and again when something about it has changed (`is_triaged` is taken
back); replies never wait for it. Doing it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery

from chatbot.conversations.models import Conversation, Message, Review, ReviewItem, ShadowPrediction, Turn
from chatbot.conversations.review_reasons import Facts, FollowUp, reasons_for, store

# One round of the sweeper. Half a second's work, so that it does not keep turns waiting that lost their worker.
AT_ONCE = 500
# Gone over to a person, or waiting for one.
_LEFT = (Conversation.Status.WAITING, Conversation.Status.HUMAN)


def triage_due(*, limit: int = AT_ONCE) -> int:
    """Triage turns that ended, the oldest first. Returns how many."""
    due = Turn.objects.filter(is_triaged=False, status__in=Turn.TERMINAL).order_by("finished_at")
    rows = list(due.values_list("pk", "conversation")[:limit])
    # Whether something that the bot asked was to the point is known by what was written after it.
    asked = Turn.objects.filter(conversation__in={conversation for _, conversation in rows}, is_miss=True)
    triage_turns(turn_ids={*(pk for pk, _ in rows), *asked.values_list("pk", flat=True)})
    return len(rows)


@transaction.atomic
def triage_turns(*, turn_ids: Collection[UUID]) -> None:
    """Put these turns into the queue or take them out of it, as it is right now."""
    # Before anything is read: whoever changes something about a turn from here on takes the mark back afterwards.
    Turn.objects.filter(pk__in=turn_ids).update(is_triaged=True)
    items = []
    for turn in _worth_asking_about(turn_ids):
        reasons = reasons_for(_facts(turn))
        if reasons:
            points = sum(reason.points for reason in reasons)
            items.append(ReviewItem(turn=turn, reasons=store(reasons), priority=points))
    ReviewItem.objects.filter(turn__in=turn_ids).exclude(turn__in=[item.turn_id for item in items]).delete()
    ReviewItem.objects.bulk_create(
        items, update_conflicts=True, unique_fields=["turn"], update_fields=["reasons", "priority"]
    )


def triage_again(turns: QuerySet[Turn]) -> None:
    """Something about these turns has changed; the next round looks at them once more."""
    turns.update(is_triaged=False)


def _worth_asking_about(turn_ids: Collection[UUID]) -> QuerySet[Any]:
    """Turns that ended, whose conversation may be learnt from, and that nobody has judged."""
    judged = Review.objects.filter(Review.JUDGED, turn__in=turn_ids).values("turn")
    later = Turn.objects.filter(conversation=OuterRef("conversation"), number__gt=OuterRef("number"))
    # Asking for another answer to the same message says nothing about what was meant.
    following = later.exclude(message=OuterRef("message")).order_by("number")
    differing = ShadowPrediction.objects.filter(turn=OuterRef("pk"), agrees=False).order_by("-id")
    return (
        Turn.objects.filter(pk__in=turn_ids, status__in=Turn.TERMINAL)
        .filter(conversation__training_consent=True, conversation__excluded_from_training=False)
        .exclude(pk__in=judged)
        .select_related("conversation", "reply")
        .annotate(
            next_text=Subquery(following.values("message__text")[:1]),
            next_intent=Subquery(following.values("intent__slug")[:1]),
            shadow_intent=Subquery(differing.values("intent")[:1]),
            shadow_out_of_scope=Subquery(differing.values("out_of_scope")[:1]),
        )
    )


def _facts(turn: Any) -> Facts:
    prediction: dict[str, Any] = turn.prediction
    reply: Message | None = getattr(turn, "reply", None)
    return Facts(
        ranking=[(slug, confidence) for slug, confidence in prediction.get("ranking", [])],
        out_of_scope_score=prediction.get("out_of_scope_score"),
        threshold=prediction.get("threshold"),
        was_miss=turn.is_miss,
        was_stopped=reply is not None and reply.stopped,
        is_rated_down=reply is not None and reply.rating == Message.Rating.DOWN,
        offered=reply.quick_replies if reply else (),
        follow_up=(
            FollowUp(text=turn.next_text.strip(), intent=turn.next_intent or "") if turn.next_text is not None else None
        ),
        left_to_person=turn.conversation.status in _LEFT,
        is_out_of_scope=bool(turn.out_of_scope),
        shadow=None if turn.shadow_intent is None else "" if turn.shadow_out_of_scope else turn.shadow_intent,
    )
