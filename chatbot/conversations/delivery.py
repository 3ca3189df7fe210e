"""The delivery of replies: claiming, finishing, failing and requeueing turns.

The database owns it. Every write of a worker is guarded by the attempt it holds, so whatever a stale worker, a lost
task or a repeated one does, a turn reaches one terminal state with at most one reply.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from chatbot.conversations import events, wording
from chatbot.conversations.control import nudge, request_stop
from chatbot.conversations.lifecycle import By, Move, move
from chatbot.conversations.models import Conversation, Message, Turn
from chatbot.conversations.selectors import message_payload, reply_of
from chatbot.conversations.threads import append_message, lock_conversation
from chatbot.exceptions import LeaseLost

logger = logging.getLogger(__name__)

# The first nudge is sent with the message; the sweeper repeats it after this long, and then at growing gaps, so that a
# backlog is not multiplied by its own reminders.
FIRST_NUDGE_GAP_S = 5.0
LONGEST_NUDGE_GAP_S = 60.0
# The column is a small integer, and a turn may wait for a worker over many weekends.
MOST_NUDGES_COUNTED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a worker found out about a turn, and the text that answers it."""

    text: str
    quick_replies: list[str] = field(default_factory=list)
    hands_over: bool = False
    record: dict[str, Any] = field(default_factory=dict)
    """Fields of Turn: intent, confidence, prediction, action, sources, releases, timings …"""


# --- Owing an answer ---------------------------------------------------------------------------------


def queue_turn(conversation: Conversation, message: Message, *, is_retry: bool = False) -> Turn:
    newest = conversation.turns.order_by("-number").first()
    turn = Turn.objects.create(
        conversation=conversation,
        message=message,
        number=newest.number + 1 if newest else 1,
        is_retry=is_retry,
        next_nudge_at=timezone.now() + timedelta(seconds=FIRST_NUDGE_GAP_S),
    )
    nudge_on_commit(turn.id)
    return turn


def announce_queued(turn: Turn, *, except_channel: str = "") -> None:
    """Tell that the turn's message waits for an answer: for the first time, again, or once more."""
    payload = message_payload(turn.message, turn)
    accepted = events.MessageAccepted(turn.message.client_id, payload, str(turn.id))
    events.publish(turn.conversation_id, accepted, except_channel=except_channel)


def nudge_on_commit(turn_id: UUID) -> None:
    """Tell a worker that a turn waits. Only a nudge: if it is lost, the sweeper sends another."""
    transaction.on_commit(lambda: nudge(turn_id))


def cancel_open_turn(turn: Turn) -> None:
    """Cancel a queued turn, or ask the worker of a running one to. The conversation is locked."""
    now = timezone.now()
    unclaimed = Q(status=Turn.Status.QUEUED) | Q(status=Turn.Status.RUNNING, lease_expires_at__lt=now)
    if Turn.objects.filter(unclaimed, pk=turn.pk).update(status=Turn.Status.CANCELLED, finished_at=now):
        events.publish(turn.conversation_id, events.TurnCancelled(str(turn.id), None))
        _nudge_next(turn)
        return
    # The first wish counts: pressing again must not make a slow stop look quick.
    first_wish = Turn.objects.filter(pk=turn.pk, cancel_requested=False)
    first_wish.update(cancel_requested=True, cancel_requested_at=now)
    transaction.on_commit(lambda: request_stop(turn.id))


def silence_bot(conversation: Conversation) -> None:
    """The bot says nothing more: whatever it still owes in the locked conversation ends here, with nothing shown of it.

    A worker that is writing is told to stop; should it go on, it no longer holds the turn and can store nothing.
    """
    now = timezone.now()
    for turn in conversation.turns.filter(status__in=Turn.OPEN).order_by("-number"):
        ended = Turn.objects.filter(pk=turn.pk, status__in=Turn.OPEN)
        ended.update(status=Turn.Status.CANCELLED, finished_at=now, lease_expires_at=None)
        events.publish(conversation.id, events.TurnCancelled(str(turn.id), None))
        if turn.status == Turn.Status.RUNNING:
            transaction.on_commit(partial(request_stop, turn.id))


# --- A worker answers ---------------------------------------------------------------------------


def lease_end(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.TURN_LEASE_S)


def free_turns(now: datetime) -> QuerySet[Turn]:
    """What may be claimed: queued, or running with an expired lease, and no earlier one of its conversation open."""
    earlier = Turn.objects.filter(
        conversation=OuterRef("conversation"), number__lt=OuterRef("number"), status__in=Turn.OPEN
    )
    free = Q(status=Turn.Status.QUEUED) | Q(status=Turn.Status.RUNNING, lease_expires_at__lt=now)
    return Turn.objects.filter(
        free, ~Exists(earlier), attempt__lt=settings.TURN_MAX_ATTEMPTS, cancel_requested=False
    ).order_by()


@transaction.atomic
def claim_turn(*, turn_id: UUID, owner: str) -> Turn | None:
    """Take the turn for one attempt, if it is free.

    One conditional UPDATE decides, so that of many workers one wins.
    """
    now = timezone.now()
    claimed = (
        free_turns(now)
        .filter(pk=turn_id)
        .update(
            status=Turn.Status.RUNNING,
            attempt=F("attempt") + 1,
            lease_owner=owner,
            lease_expires_at=lease_end(now),
            started_at=now,
        )
    )
    if not claimed:
        return None
    turn = Turn.objects.select_related("conversation", "message").get(pk=turn_id)
    events.publish(turn.conversation_id, events.TurnStarted(str(turn.id), turn.attempt))
    return turn


def renew_leases(*, owner: str, attempts: dict[UUID, int]) -> tuple[set[UUID], set[UUID]]:
    """Extend the worker's leases. Returns the turns it still holds, and those of them that are to be stopped."""
    held: set[UUID] = set()
    to_stop: set[UUID] = set()
    now = timezone.now()
    mine = Turn.objects.filter(pk__in=attempts, lease_owner=owner, status=Turn.Status.RUNNING)
    mine.update(lease_expires_at=lease_end(now))
    for turn_id, attempt, cancel_requested in mine.values_list("pk", "attempt", "cancel_requested"):
        if attempts[turn_id] == attempt:
            held.add(turn_id)
            if cancel_requested:
                to_stop.add(turn_id)
    return held, to_stop


@transaction.atomic
def finish_turn(*, turn: Turn, reply: Reply) -> Message | None:
    """Store the reply. If a person took the conversation meanwhile, the turn is cancelled and nothing is said.

    Raises:
        LeaseLost: this attempt no longer holds the turn; nothing was written.
    """
    conversation = lock_conversation(turn.conversation_id)
    if conversation.status != Conversation.Status.BOT:
        _end_attempt(turn, Turn.Status.CANCELLED, **reply.record)
        events.publish(conversation.id, events.TurnCancelled(str(turn.id), None))
        return None
    _end_attempt(turn, Turn.Status.DONE, **reply.record)
    message = _store_reply(conversation, turn, text=reply.text, quick_replies=reply.quick_replies)
    events.publish(conversation.id, events.ReplyFinished(str(turn.id), message_payload(message)))
    if reply.hands_over:
        move(conversation, Move.ASK, by=By.BOT, reason=str(reply.record.get("reason", "")))
        silence_bot(conversation)
    _nudge_next(turn)
    return message


@transaction.atomic
def finish_cancelled_turn(*, turn: Turn, text: str, record: dict[str, Any]) -> None:
    """End a turn that was stopped, keeping what had been written.

    Raises:
        LeaseLost: this attempt no longer holds the turn; nothing was written.
    """
    conversation = lock_conversation(turn.conversation_id)
    _end_attempt(turn, Turn.Status.CANCELLED, **record)
    payload = None
    if text.strip() and conversation.status == Conversation.Status.BOT:
        payload = message_payload(_store_reply(conversation, turn, text=text, stopped=True))
    events.publish(conversation.id, events.TurnCancelled(str(turn.id), payload))
    _nudge_next(turn)


def _store_reply(conversation: Conversation, turn: Turn, **fields: Any) -> Message:
    stored = append_message(conversation, role=Message.Role.BOT, turn=turn, **fields)
    reply = reply_of(turn)
    assert reply is not None, f"message {stored.pk} was stored a moment ago"
    return reply


@transaction.atomic
def fail_turn(*, turn: Turn, code: str, record: dict[str, Any] | None = None) -> None:
    """End a turn that cannot be answered; the customer reads an apology and is offered a person.

    Raises:
        LeaseLost: this attempt no longer holds the turn; nothing was written.
    """
    lock_conversation(turn.conversation_id)
    _end_attempt(turn, Turn.Status.FAILED, error_code=code, error_detail=wording.TURN_FAILED, **(record or {}))
    events.publish(turn.conversation_id, events.TurnFailed(str(turn.id), code, wording.TURN_FAILED))
    _nudge_next(turn)


@transaction.atomic
def release_turn(*, turn: Turn) -> None:
    """Give an attempt up so that another worker takes the turn at once, as when this worker is told to leave.

    Where it was the last one, or the customer wants it stopped, its lease ends now and the sweeper ends the turn.
    """
    now = timezone.now()
    held = Turn.objects.filter(pk=turn.pk, attempt=turn.attempt, status=Turn.Status.RUNNING)
    may_go_on = held.filter(cancel_requested=False, attempt__lt=settings.TURN_MAX_ATTEMPTS)
    requeued = may_go_on.update(
        status=Turn.Status.QUEUED, lease_owner="", lease_expires_at=None, nudges=0, next_nudge_at=now
    )
    if not requeued:
        held.update(lease_expires_at=now)
        return
    turn.refresh_from_db()
    announce_queued(turn)
    nudge_on_commit(turn.pk)


def _end_attempt(turn: Turn, status: str, **record: Any) -> None:
    """Make the turn terminal if this attempt still holds it; `attempt` and status guard against a stale worker."""
    held = Turn.objects.filter(pk=turn.pk, attempt=turn.attempt, status=Turn.Status.RUNNING)
    if not held.update(status=status, finished_at=timezone.now(), lease_expires_at=None, **record):
        raise LeaseLost(f"turn {turn.pk} attempt {turn.attempt} is no longer held")
    turn.refresh_from_db()


def _nudge_next(turn: Turn) -> None:
    """A turn that waited behind this one, or for its visitor to have fewer running, can start."""
    visitor = Conversation.objects.filter(pk=turn.conversation_id).values("visitor")[:1]
    waiting = Turn.objects.filter(conversation__visitor=visitor, status=Turn.Status.QUEUED)
    following = waiting.order_by("created_at").values_list("pk", flat=True).first()
    if following is not None:
        nudge_on_commit(following)


# --- The sweeper --------------------------------------------------------------------------------


def requeue_expired_turns() -> int:
    """Put turns whose worker vanished back in the queue, or end them where their attempts are used up."""
    expired = Turn.objects.filter(status=Turn.Status.RUNNING, lease_expires_at__lt=timezone.now())
    swept = 0
    for turn in expired.order_by("lease_expires_at")[:500]:
        swept += _requeue_expired(turn)
    return swept


@transaction.atomic
def _requeue_expired(turn: Turn) -> bool:
    now = timezone.now()
    still_expired = Turn.objects.filter(
        pk=turn.pk, attempt=turn.attempt, status=Turn.Status.RUNNING, lease_expires_at__lt=now
    )
    lock_conversation(turn.conversation_id)
    if turn.cancel_requested:
        if not still_expired.update(status=Turn.Status.CANCELLED, finished_at=now):
            return False
        events.publish(turn.conversation_id, events.TurnCancelled(str(turn.pk), None))
        _nudge_next(turn)
        return True
    if turn.attempt >= settings.TURN_MAX_ATTEMPTS:
        ended = still_expired.update(
            status=Turn.Status.FAILED,
            finished_at=now,
            error_code="attempts_exhausted",
            error_detail=wording.TURN_FAILED,
        )
        if not ended:
            return False
        logger.error("turn %s failed: %d attempts lost their worker", turn.pk, turn.attempt)
        events.publish(turn.conversation_id, events.TurnFailed(str(turn.pk), "attempts_exhausted", wording.TURN_FAILED))
        _nudge_next(turn)
        return True
    requeued = still_expired.update(
        status=Turn.Status.QUEUED, lease_owner="", lease_expires_at=None, nudges=0, next_nudge_at=now
    )
    if requeued:
        logger.warning("turn %s lost its worker in attempt %d; it is queued again", turn.pk, turn.attempt)
        turn.refresh_from_db()
        announce_queued(turn)
    return bool(requeued)


def nudge_gap(nudges: int) -> float:
    """Seconds until the next reminder after that many: 5, 10, 20, 40, and then every minute."""
    doublings = min(nudges, int(LONGEST_NUDGE_GAP_S / FIRST_NUDGE_GAP_S))
    return min(FIRST_NUDGE_GAP_S * 2.0**doublings, LONGEST_NUDGE_GAP_S)


@transaction.atomic
def take_overdue_nudges(*, limit: int = 500) -> list[UUID]:
    """The queued turns that a worker should be told of again; each one's next reminder comes later than the last."""
    now = timezone.now()
    earlier = Turn.objects.filter(
        conversation=OuterRef("conversation"), number__lt=OuterRef("number"), status__in=Turn.OPEN
    )
    overdue = list(
        Turn.objects.filter(~Exists(earlier), status=Turn.Status.QUEUED, next_nudge_at__lte=now)
        .order_by("next_nudge_at")
        .values_list("pk", "nudges")[:limit]
    )
    for turn_id, nudges in overdue:
        gap = nudge_gap(nudges)
        counted = min(nudges + 1, MOST_NUDGES_COUNTED)
        Turn.objects.filter(pk=turn_id).update(nudges=counted, next_nudge_at=now + timedelta(seconds=gap))
    return [turn_id for turn_id, _ in overdue]
