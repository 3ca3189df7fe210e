"""Who has a conversation: the bot, the queue, a person, nobody any more. Every change of it goes through `move`.

bot ──ask──▶ waiting ──take──▶ human      a person may also be taken over from, and may take from the bot
 ▲            │   ▲              │
 ├───return───┘   └───release────┤
 └────────────return─────────────┘        close leads from everywhere to closed, and nothing leads out of it
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from chatbot.conversations import events, standing
from chatbot.conversations.audit import record_move
from chatbot.conversations.desk.announcements import announce_change
from chatbot.conversations.models import Conversation, Transition
from chatbot.conversations.triage import triage_again
from chatbot.exceptions import Conflict, ConversationClosed

Status = Conversation.Status
By = Transition.By
REASON_LENGTH = 200


class Move(StrEnum):
    """What can be done about who has a conversation."""

    ASK = "ask"
    TAKE = "take"
    RELEASE = "release"
    RETURN = "return"
    CLOSE = "close"


TARGET = {
    Move.ASK: Status.WAITING,
    Move.TAKE: Status.HUMAN,
    Move.RELEASE: Status.WAITING,
    Move.RETURN: Status.BOT,
    Move.CLOSE: Status.CLOSED,
}
# From which status who may make which move; what does not stand here is refused.
ALLOWED: dict[tuple[Move, By], frozenset[Status]] = {
    (Move.ASK, By.CUSTOMER): frozenset({Status.BOT}),
    (Move.ASK, By.BOT): frozenset({Status.BOT}),
    (Move.TAKE, By.STAFF): frozenset({Status.BOT, Status.WAITING, Status.HUMAN}),
    (Move.RELEASE, By.STAFF): frozenset({Status.HUMAN}),
    # Once a person has it, the customer says so to them.
    (Move.RETURN, By.CUSTOMER): frozenset({Status.WAITING}),
    (Move.RETURN, By.STAFF): frozenset({Status.WAITING, Status.HUMAN}),
    (Move.CLOSE, By.CUSTOMER): frozenset({Status.BOT, Status.WAITING, Status.HUMAN}),
    (Move.CLOSE, By.STAFF): frozenset({Status.BOT, Status.WAITING, Status.HUMAN}),
}
REFUSALS = {
    Move.ASK: "A person has been asked for already.",
    Move.TAKE: "This conversation can't be taken.",
    Move.RELEASE: "Nobody has this conversation.",
    Move.RETURN: "This conversation is not waiting for a person.",
    Move.CLOSE: "This conversation can't be closed.",
}

_MOVED = ("status", "assignee", "assignment", "waiting_since", "handed_over_at")


def move(
    conversation: Conversation,
    to: Move,
    *,
    by: By,
    actor: AbstractBaseUser | None = None,
    assignee: AbstractBaseUser | None = None,
    reason: str = "",
) -> None:
    """Make the move, note it, and tell everybody whom it concerns once it is committed. The conversation is locked.

    `actor` is the member of staff who makes it; `assignee` is who has the conversation after a TAKE.

    Raises:
        ConversationClosed: nothing leads out of closed.
        Conflict: the move does not lead from here, or is not theirs to make.
    """
    before = Status(conversation.status)
    if before == Status.CLOSED:
        raise ConversationClosed("This conversation is closed.")
    if before not in ALLOWED.get((to, by), frozenset()):
        raise Conflict(REFUSALS[to])
    now = timezone.now()
    since = conversation.waiting_since
    conversation.status = TARGET[to]
    conversation.assignee = assignee if to is Move.TAKE else None  # type: ignore[assignment]  # AUTH_USER_MODEL is Django's own
    conversation.assignment += 1
    if conversation.status == Status.WAITING:
        # Who is put back in the queue has waited before.
        conversation.waiting_since = since or now
    elif conversation.status != Status.HUMAN:
        conversation.waiting_since = None
    if conversation.status in (Status.WAITING, Status.HUMAN):
        conversation.handed_over_at = conversation.handed_over_at or now
    conversation.updated_at = now
    conversation.save(update_fields=[*_MOVED, "updated_at"])
    Transition.objects.create(
        conversation=conversation,
        move=to,
        from_status=before,
        to_status=conversation.status,
        by=by,
        actor=actor,  # type: ignore[misc]
        assignee=conversation.assignee,
        reason=reason[:REASON_LENGTH],
    )
    if actor is not None:
        record_move(actor=actor, conversation_id=conversation.pk, move=to, before=before, after=conversation.status)
    if to is Move.ASK:
        # What the customer gave up on is worth a reviewer's look.
        triage_again(conversation.turns.filter(is_miss=True))
    _tell(conversation, before, since)


def _tell(conversation: Conversation, before: Status, since: datetime | None) -> None:
    events.publish(conversation.id, standing.updated(conversation))
    announce_change(conversation.id)
    if Status.WAITING in (before, conversation.status):
        behind = conversation.waiting_since or since or conversation.updated_at
        # Others' places: what fails here must not cost the one who moved what comes after.
        transaction.on_commit(lambda: _tell_places(conversation, behind), robust=True)


def _tell_places(moved: Conversation, since: datetime) -> None:
    """Those who wait behind it learn their new place."""
    behind = list(standing.waiting_behind(moved, since))
    first = standing.place_of(behind[0]) if behind else 0
    now = timezone.now()
    openings: dict[int | None, standing.Opening] = {}
    for place, waiting in enumerate(behind, start=first):
        site = waiting.visitor.site_id
        if site not in openings:
            openings[site] = standing.opens_at(waiting, now)
        events.publish(waiting.id, standing.updated(waiting, place=place, opening=openings[site]))
