"""What the audit log keeps of conversations: who did what and when, never what anybody wrote."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from auditlog.models import LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.contenttypes.models import ContentType

from chatbot.conversations.models import Conversation


def masked(text: str) -> str:
    """In place of a text that somebody wrote."""
    return f"({len(text)} characters)" if text else ""


def record_training_use(*, actor: AbstractBaseUser, conversation_ids: Iterable[UUID], excluded: bool) -> None:
    """Note who kept which conversations out of training, or let them in again.

    One entry each, so that the history of a conversation is found by its id. Not through auditlog's own signals, which
    would keep the title, and with it what the customer wrote.
    """
    content_type = ContentType.objects.get_for_model(Conversation)
    LogEntry.objects.bulk_create(
        LogEntry(
            content_type=content_type,
            object_pk=str(pk),
            object_repr=f"Conversation {str(pk)[:8]}",
            action=LogEntry.Action.UPDATE,
            changes={"excluded_from_training": [str(not excluded), str(excluded)]},
            actor=actor,
        )
        for pk in conversation_ids
    )


def record_move(*, actor: AbstractBaseUser, conversation_id: UUID, move: str, before: str, after: str) -> None:
    """Note which member of staff took, released, returned or closed a conversation."""
    LogEntry.objects.create(
        content_type=ContentType.objects.get_for_model(Conversation),
        object_pk=str(conversation_id),
        object_repr=f"Conversation {str(conversation_id)[:8]}",
        action=LogEntry.Action.UPDATE,
        changes={"status": [before, after]},
        additional_data={"move": move},
        actor=actor,
    )
