"""Everything a conversation's pages can be told, each as its own closed type, and the one way to tell them.

`publish` runs on commit, so nobody hears of what a rollback took back. Delivery is the fast path only: a lost event is
made good by the next snapshot, and state plus applied events equals freshly fetched state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.db import transaction

from chatbot.conversations.publisher import publisher

Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MessageAccepted:
    """A customer's message is stored. `turn` is None where no answer is owed by the bot."""

    type: ClassVar = "message.accepted"
    client_id: str
    message: Payload
    turn: str | None


@dataclass(frozen=True, slots=True)
class MessagePosted:
    """A message that answers no turn: from the system or an agent."""

    type: ClassVar = "message.posted"
    message: Payload


@dataclass(frozen=True, slots=True)
class MessageRated:
    """A rating was given or (None) taken back."""

    type: ClassVar = "message.rated"
    message: str
    rating: str | None


@dataclass(frozen=True, slots=True)
class ConversationUpdated:
    """The conversation's status changed, or what the customer may know of the people behind it."""

    type: ClassVar = "conversation.updated"
    conversation: str
    status: str
    queue: Payload | None = None
    agent: Payload | None = None
    survey: Payload | None = None


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A worker began this attempt."""

    type: ClassVar = "turn.started"
    turn: str
    attempt: int


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """The reply as stored: the truth, whatever the deltas spelled."""

    type: ClassVar = "reply.finished"
    turn: str
    message: Payload


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """No answer will come of this turn."""

    type: ClassVar = "turn.failed"
    turn: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class TurnCancelled:
    """Stopped. `message` is what had been written, if anything."""

    type: ClassVar = "turn.cancelled"
    turn: str
    message: Payload | None


Event = (
    MessageAccepted
    | MessagePosted
    | MessageRated
    | ConversationUpdated
    | TurnStarted
    | ReplyFinished
    | TurnFailed
    | TurnCancelled
)


_OMITTED_WHERE_NONE = {TurnCancelled.type: ("message",), ConversationUpdated.type: ("queue", "agent", "survey")}


def frame(event: Event) -> dict[str, Any]:
    """The event as the server frame that tells of it."""
    fields = {name: getattr(event, name) for name in event.__slots__}
    left_out = _OMITTED_WHERE_NONE.get(event.type, ())
    return {
        "type": event.type,
        **{name: value for name, value in fields.items() if value is not None or name not in left_out},
    }


def group_name(conversation_id: UUID | str) -> str:
    """The channel-layer group of everyone who watches this conversation."""
    return f"conversation.{conversation_id}"


def publish(conversation_id: UUID, event: Event, *, except_channel: str = "") -> None:
    """Tell everyone who watches the conversation, once the transaction has committed.

    `except_channel` names a socket that hears it in another way.
    """
    message = {
        "type": "conversation.event",
        "conversation": str(conversation_id),
        "frame": frame(event),
        "except_channel": except_channel,
    }
    transaction.on_commit(lambda: publisher.send(group_name(conversation_id), message))
