"""What the inbox reads: who waits, who has what, and one conversation with what only staff may see of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, Permission
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery

from chatbot.conversations.legibility import legible
from chatbot.conversations.models import CannedReply, Conversation, Message, Note, Suggestion
from chatbot.conversations.selectors import message_payload, snapshot, utc_text
from chatbot.conversations.surveys.selectors import answer_payload, survey_of

MAY_ANSWER = "conversations.answer_conversation"
# More than a team can look after at once; those beyond appear as the others are done.
MOST_ROWS = 500
EXCERPT = 140
FILES_ALONE = "Sent a file"
Status = Conversation.Status


def called(agent: AbstractBaseUser | None) -> str:
    """How staff call a colleague."""
    if agent is None:
        return "Somebody"
    return str(getattr(agent, "get_full_name", str)()) or agent.get_username()


def may_answer(user: Any) -> bool:
    """Whether the account, as it is right now, may answer customers."""
    return bool(user.is_active and user.is_staff and user.has_perm(MAY_ANSWER))


def current_agent(user_id: int) -> AbstractBaseUser | None:
    """The account, read anew, if it may answer customers."""
    user = get_user_model()._default_manager.filter(pk=user_id).first()
    return user if user is not None and may_answer(user) else None


def agents() -> list[dict[str, Any]]:
    """Everybody who may answer customers."""
    permission = Permission.objects.filter(
        content_type__app_label="conversations", codename=MAY_ANSWER.partition(".")[2]
    )
    allowed = Q(is_superuser=True) | Q(groups__permissions__in=permission) | Q(user_permissions__in=permission)
    users = get_user_model()._default_manager.filter(allowed, is_active=True, is_staff=True).distinct()
    return sorted((agent_payload(user) for user in users), key=lambda agent: str(agent["name"]).lower())


def agent_payload(agent: AbstractBaseUser) -> dict[str, Any]:
    return {"id": agent.pk, "name": called(agent)}


# --- The list -----------------------------------------------------------------------------------


def desk_conversations() -> QuerySet[Conversation]:
    """Everything that waits for a person or is with one: who has waited longest first. Nobody waits in the demo's."""
    people = (Message.Role.CUSTOMER, Message.Role.AGENT)
    last = Message.objects.filter(conversation=OuterRef("pk"), role__in=people).order_by("-seq")
    unread = Q(messages__role=Message.Role.CUSTOMER, messages__seq__gt=F("seen_seq"))
    return (
        Conversation.objects.filter(status__in=(Status.WAITING, Status.HUMAN), is_demo=False)
        .select_related("visitor", "assignee")
        .annotate(
            unread=Count("messages", filter=unread),
            last_role=Subquery(last.values("role")[:1]),
            last_text=Subquery(last.values("text")[:1]),
            last_at=Subquery(last.values("created_at")[:1]),
        )
        .order_by("waiting_since", "created_at", "pk")
    )


def desk_rows(conversation_ids: Iterable[UUID] | None = None) -> list[dict[str, Any]]:
    """The rows of the list; only those of the given conversations that are at the desk, if any are given."""
    found = desk_conversations()
    if conversation_ids is not None:
        found = found.filter(pk__in=list(conversation_ids))
    return [row_payload(conversation) for conversation in found[:MOST_ROWS]]


def row_payload(conversation: Any) -> dict[str, Any]:
    """A row of the list."""
    row = {
        "conversation": str(conversation.id),
        "title": legible(conversation.title),
        "customer": str(conversation.visitor),
        "language": conversation.language,
        "unread": conversation.unread,
        "waiting_since": utc_text(conversation.waiting_since or conversation.updated_at),
        **_hands(conversation),
    }
    if conversation.last_text is not None:
        row["last"] = {
            "role": conversation.last_role,
            "text": " ".join(legible(conversation.last_text[: 4 * EXCERPT]).split())[:EXCERPT] or FILES_ALONE,
            "at": utc_text(conversation.last_at),
        }
    return row


def _hands(conversation: Conversation) -> dict[str, Any]:
    """In whose hands it is, as every command about it has to say."""
    hands: dict[str, Any] = {
        "status": conversation.status,
        "assignment": conversation.assignment,
        "assignee": agent_payload(conversation.assignee) if conversation.assignee else None,
    }
    if conversation.contact_email:
        hands["email"] = conversation.contact_email
    return hands


# --- One conversation ---------------------------------------------------------------------------


def thread_snapshot(conversation_id: UUID, *, after_seq: int = 0) -> dict[str, Any] | None:
    """The `thread.ready` frame's contents but for its type; None where there is no such conversation."""
    conversation = Conversation.objects.select_related("visitor", "assignee").filter(pk=conversation_id).first()
    if conversation is None:
        return None
    seen_by_customer = snapshot(conversation, after_seq=after_seq)
    suggestion = latest_suggestion(conversation_id)
    return {
        "conversation": str(conversation.id),
        "customer": str(conversation.visitor),
        "messages": with_client_ids(conversation, seen_by_customer["messages"]),
        "seq": seen_by_customer["seq"],
        "has_earlier": seen_by_customer["has_earlier"],
        "notes": [note_payload(note) for note in conversation.notes.select_related("author")],
        "suggestion": suggestion_payload(suggestion) if suggestion else None,
        **_hands(conversation),
        **_survey(conversation),
    }


def state_in(ready: dict[str, Any]) -> dict[str, Any]:
    """What `thread_state` gives, out of a snapshot of the same moment."""
    names = ("conversation", "status", "assignment", "assignee", "email", "survey")
    return {name: ready[name] for name in names if name in ready}


def thread_state(conversation_id: UUID) -> dict[str, Any] | None:
    """The `thread.updated` frame's contents but for its type."""
    conversation = Conversation.objects.select_related("assignee").filter(pk=conversation_id).first()
    if conversation is None:
        return None
    return {"conversation": str(conversation.id), **_hands(conversation), **_survey(conversation)}


def _survey(conversation: Conversation) -> dict[str, Any]:
    """What the customer made of it, where they have said so."""
    answer = answer_payload(survey_of(conversation)) if conversation.status == Status.CLOSED else {}
    return {"survey": answer} if answer else {}


def with_client_ids(conversation: Conversation, payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An agent's page recognises by them what it sent; customers are not told of them."""
    own = conversation.messages.filter(role=Message.Role.AGENT, pk__in=[payload["id"] for payload in payloads])
    client_ids = {str(pk): client_id for pk, client_id in own.exclude(client_id="").values_list("pk", "client_id")}
    return [
        payload | ({"client_id": client_ids[payload["id"]]} if payload["id"] in client_ids else {})
        for payload in payloads
    ]


def staff_message(message: Message) -> dict[str, Any]:
    """A message as the inbox carries it."""
    payload = message_payload(message)
    return payload | {"client_id": message.client_id} if message.client_id else payload


def latest_suggestion(conversation_id: UUID) -> Suggestion | None:
    """The draft for the customer's latest message, if one was asked for and not sent."""
    latest = Message.objects.filter(conversation=conversation_id, role=Message.Role.CUSTOMER).order_by("-seq").first()
    suggestion: Suggestion | None = getattr(latest, "suggestion", None)
    return suggestion if suggestion is not None and suggestion.status != Suggestion.Status.SENT else None


def note_payload(note: Note) -> dict[str, Any]:
    payload = {
        "id": str(note.id),
        "after_seq": note.after_seq,
        "author": called(note.author),
        "text": note.text,
        "created_at": utc_text(note.created_at),
    }
    return payload | {"client_id": note.client_id} if note.client_id else payload


def suggestion_payload(suggestion: Suggestion) -> dict[str, Any]:
    return {
        "id": str(suggestion.id),
        "message": str(suggestion.message_id),
        "status": suggestion.status,
        "text": suggestion.text,
        "error": suggestion.error,
        "sources": [
            {"title": source["title"], "url": source["url"], "passage": source["passage"]}
            for source in suggestion.record.get("sources", [])
        ],
    }


def canned_replies() -> list[dict[str, Any]]:
    """What agents can insert by its shortcut."""
    return [dict(row) for row in CannedReply.objects.filter(is_active=True).values("shortcut", "title", "text")]
