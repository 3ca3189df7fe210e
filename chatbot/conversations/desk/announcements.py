"""Telling the inbox that something has changed. Its sockets read the rest from the database, each for its own agent.

Nothing here goes to a group that a customer's socket listens to.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from chatbot.conversations.publisher import publisher

GROUP = "desk"


def announce_change(conversation_id: UUID) -> None:
    """Once committed: how the conversation stands, or what was said in it, is no longer what the inbox shows."""
    message = {"type": "desk.changed", "conversation": str(conversation_id)}
    transaction.on_commit(lambda: publisher.send(GROUP, message))


def announce_to_staff(conversation_id: UUID, frame: dict[str, Any]) -> None:
    """Once committed: a frame for those of the staff who have the conversation open."""
    message = {"type": "desk.thread", "conversation": str(conversation_id), "frame": frame}
    transaction.on_commit(lambda: publisher.send(GROUP, message))


def announce_typing(conversation_id: UUID) -> None:
    """The customer is typing. Nothing is stored, and who hears of it forgets it after a few seconds."""
    frame = {"type": "customer.typing", "conversation": str(conversation_id)}
    publisher.send(GROUP, {"type": "desk.thread", "conversation": str(conversation_id), "frame": frame})


def announce_agents() -> None:
    """Somebody came to the inbox or left it."""
    publisher.send(GROUP, {"type": "desk.agents"})
