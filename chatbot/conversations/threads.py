"""A conversation's own rows: its lock, its next message. Every other write goes through these."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone

from chatbot.conversations import events
from chatbot.conversations.models import Conversation, Message
from chatbot.conversations.selectors import message_payload
from chatbot.exceptions import NotFound


def lock_conversation(conversation_id: UUID, visitor_id: UUID | None = None) -> Conversation:
    owned = Conversation.objects.select_for_update().filter(pk=conversation_id)
    if visitor_id is not None:
        owned = owned.filter(visitor_id=visitor_id)
    conversation = owned.first()
    if conversation is None:
        raise NotFound("This conversation does not exist.")
    return conversation


def append_message(conversation: Conversation, **fields: Any) -> Message:
    """Store the next message of a locked conversation."""
    conversation.last_seq += 1
    conversation.updated_at = timezone.now()
    conversation.save(update_fields=["last_seq", "updated_at"])
    return Message.objects.create(conversation=conversation, seq=conversation.last_seq, **fields)


def say(conversation: Conversation, text: str) -> None:
    """Tell everybody who reads the locked conversation, in nobody's name."""
    message = append_message(conversation, role=Message.Role.SYSTEM, text=text)
    events.publish(conversation.id, events.MessagePosted(message_payload(message)))
