"""What pages and workers read. Nothing here writes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from redis.exceptions import RedisError

from chatbot.conversations import events
from chatbot.conversations.attachments.selectors import attachment_payload
from chatbot.conversations.connections import connect
from chatbot.conversations.models import Conversation, Message, Turn
from chatbot.conversations.standing import named, standing_of, updated
from chatbot.conversations.streams import read_deltas

# What a page shows before anyone scrolls up.
FIRST_PAGE = 50
# What one catch-up may carry; a browser that missed more gets a fresh first page.
CATCH_UP_LIMIT = 500
# A rating or a turn's state may have changed on messages that the browser already has; those it can act on are recent.
REFRESHED_TAIL = 20
EARLIER_PAGE = 50
# What a search takes for the start of a conversation's id; anything shorter is as likely a number that someone wrote.
ID_PREFIX = re.compile(r"[0-9a-fA-F]{8}[0-9a-fA-F-]{0,28}")
# Each word costs a scan of the messages; a pasted letter must not cost a hundred.
SEARCHED_WORDS = 8


@dataclass(frozen=True, slots=True)
class Resume:
    """How much of a running reply the browser already shows."""

    turn: UUID
    attempt: int
    k: int


def utc_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def own_conversation(visitor_id: UUID, conversation_id: UUID) -> Conversation | None:
    """The conversation, if it is this visitor's."""
    return Conversation.objects.filter(pk=conversation_id, visitor_id=visitor_id).first()


def own_conversations(visitor_id: UUID, limit: int = 100) -> list[dict[str, Any]]:
    """The visitor's conversations that hold anything, newest first, for the page's list."""
    rows = Conversation.objects.filter(visitor_id=visitor_id, last_seq__gt=0).order_by("-updated_at")[:limit]
    return [
        {"id": str(row.id), "title": row.title, "status": row.status, "updated_at": utc_text(row.updated_at)}
        for row in rows
    ]


def message_payload(message: Message, turn: Turn | None = None) -> dict[str, Any]:
    """A message as the wire carries it. For customer messages `turn` is the latest turn that answers it."""
    payload: dict[str, Any] = {
        "id": str(message.id),
        "seq": message.seq,
        "role": message.role,
        "text": message.text,
        "created_at": utc_text(message.created_at),
    }
    if message.role == Message.Role.CUSTOMER:
        if message.client_id:
            payload["client_id"] = message.client_id
        if files := [attachment_payload(attachment) for attachment in message.attachments.all()]:
            payload["attachments"] = files
        if turn is not None:
            payload["turn"] = turn_payload(turn)
        return payload
    if message.role == Message.Role.AGENT:
        payload |= named(message.author, "author")
    # What an agent sent rests on their word, even where the bot had suggested it.
    elif message.turn is not None:
        payload["turn"] = {"id": str(message.turn.id)}
        if message.turn.intent is not None and not message.turn.is_miss:
            payload["intent"] = message.turn.intent.name
        if message.turn.sources and not message.stopped:
            payload["sources"] = [
                {"title": source["title"], "url": source["url"], "passage": source["passage"]}
                for source in message.turn.sources
            ]
    if message.quick_replies:
        payload["quick_replies"] = message.quick_replies
    if message.rating:
        payload["rating"] = message.rating
    if message.stopped:
        payload["stopped"] = True
    return payload


def turn_payload(turn: Turn) -> dict[str, Any]:
    """A turn's state as a customer message carries it."""
    payload: dict[str, Any] = {"id": str(turn.id), "status": turn.status}
    if turn.status == Turn.Status.FAILED:
        payload |= {"code": turn.error_code, "detail": turn.error_detail}
    return payload


def owed_turns() -> QuerySet[Turn]:
    """Turns that the bot owed. A draft that an agent has sent is a turn too, of which the customer knows nothing."""
    return Turn.objects.exclude(reply__role=Message.Role.AGENT)


def message_payloads(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Messages as the wire carries them, with their turns, in two queries."""
    messages = list(messages)
    questions = [message.id for message in messages if message.role == Message.Role.CUSTOMER]
    latest: dict[UUID, Turn] = {}
    for turn in owed_turns().filter(message__in=questions).order_by("number"):
        latest[turn.message_id] = turn
    return [message_payload(message, latest.get(message.id)) for message in messages]


def snapshot(conversation: Conversation, *, after_seq: int = 0, resume: Resume | None = None) -> dict[str, Any]:
    """The `ready` frame's contents but for type and protocol.

    Read the turn before the messages: a turn that ends in between is then shown as running, and its terminal event,
    for which the socket has already subscribed, puts that right. The other order could lose the reply.
    """
    turn = Turn.objects.filter(conversation=conversation, status__in=Turn.OPEN).order_by("number").first()
    messages = _messages_after(conversation, after_seq)
    conversation.refresh_from_db(
        fields=["status", "last_seq", "assignee", "assignment", "waiting_since", "contact_email", "updated_at"],
    )
    ready: dict[str, Any] = {
        "conversation": str(conversation.id),
        "status": conversation.status,
        "messages": message_payloads(messages),
        "seq": messages[-1].seq if messages else min(after_seq, conversation.last_seq),
        "has_earlier": bool(messages) and messages[0].seq > 1,
        **standing_of(conversation),
    }
    if turn is not None:
        ready["turn"] = _open_turn(turn, resume)
    return ready


def _messages_after(conversation: Conversation, after_seq: int) -> list[Message]:
    messages = _with_turns(conversation.messages.all()).prefetch_related("attachments")
    if after_seq:
        since = min(after_seq, max(0, conversation.last_seq - REFRESHED_TAIL))
        caught_up = list(messages.filter(seq__gt=since).order_by("seq")[: CATCH_UP_LIMIT + 1])
        if len(caught_up) <= CATCH_UP_LIMIT:
            return caught_up
    return list(messages.order_by("-seq")[:FIRST_PAGE])[::-1]


def _with_turns(messages: QuerySet[Message]) -> QuerySet[Message]:
    return messages.select_related("turn", "turn__intent", "author")


def _open_turn(turn: Turn, resume: Resume | None) -> dict[str, Any]:
    start = resume.k if resume and resume.turn == turn.id and resume.attempt == turn.attempt else 0
    text, next_k = "", start
    if turn.attempt:
        try:
            with connect() as client:
                deltas = read_deltas(client, turn.id, turn.attempt, start)
        except RedisError:
            deltas = []  # the whole text follows with reply.finished
        text = "".join(delta.text for delta in deltas)
        next_k = start + len(deltas)
    return {
        "id": str(turn.id),
        "message": str(turn.message_id),
        "status": turn.status,
        "attempt": turn.attempt,
        "from": start,
        "k": next_k,
        "text": text,
    }


def earlier_messages(conversation: Conversation, before_seq: int) -> tuple[list[dict[str, Any]], bool]:
    """At most `EARLIER_PAGE` messages before `before_seq`, oldest first, and whether there are older ones."""
    older = conversation.messages.filter(seq__lt=before_seq).prefetch_related("attachments")
    page = list(_with_turns(older).order_by("-seq")[:EARLIER_PAGE])[::-1]
    return message_payloads(page), bool(page) and page[0].seq > 1


def missing_deltas(turn_id: UUID, attempt: int, from_k: int, before_k: int) -> list[str] | None:
    """The texts of deltas `from_k` … `before_k - 1`; None where the stream no longer has them all."""
    try:
        with connect() as client:
            deltas = read_deltas(client, turn_id, attempt, from_k)
    except RedisError:
        return None
    texts = [delta.text for delta in deltas if delta.k < before_k]
    return texts if len(texts) == before_k - from_k else None


def last_seq(conversation_id: UUID) -> int:
    """The conversation's newest `seq`; 0 where it is gone."""
    return Conversation.objects.filter(pk=conversation_id).values_list("last_seq", flat=True).first() or 0


def standing_frame(conversation_id: UUID) -> dict[str, Any] | None:
    """The `conversation.updated` frame of how the conversation stands now; None where it is gone."""
    found = Conversation.objects.select_related("assignee", "visitor__site").filter(pk=conversation_id).first()
    return events.frame(updated(found)) if found else None


def open_turn_ids(conversation_id: UUID) -> list[UUID]:
    """The turns that still owe an answer, oldest first."""
    turns = Turn.objects.filter(conversation_id=conversation_id, status__in=Turn.OPEN).order_by("number")
    return list(turns.values_list("id", flat=True))


def ending_frames(turn_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """For those of the given turns that have ended: the frame that says how, oldest turn first."""
    ended = Turn.objects.filter(pk__in=turn_ids, status__in=Turn.TERMINAL).order_by("number")
    return {turn.id: events.frame(_ending(turn)) for turn in ended}


def _ending(turn: Turn) -> events.Event:
    reply = reply_of(turn)
    payload = message_payload(reply) if reply is not None else None
    if turn.status == Turn.Status.FAILED:
        return events.TurnFailed(str(turn.id), turn.error_code, turn.error_detail)
    if turn.status == Turn.Status.DONE and payload is not None:
        return events.ReplyFinished(str(turn.id), payload)
    return events.TurnCancelled(str(turn.id), payload)


def accepted_frame(message: Message, turn: Turn | None) -> dict[str, Any]:
    """The `message.accepted` frame for the browser that sent the message."""
    return events.frame(
        events.MessageAccepted(message.client_id, message_payload(message, turn), str(turn.id) if turn else None)
    )


def reply_of(turn: Turn) -> Message | None:
    """The message that answers the turn, if there is one."""
    return _with_turns(Message.objects.filter(turn=turn)).first()


def history(turn: Turn, limit: int) -> list[Message]:
    """Up to `limit` messages before the one that the turn answers, oldest first, with their turns."""
    if turn.message.seq == 1:
        return []
    before = turn.conversation.messages.filter(seq__lt=turn.message.seq)
    return list(_with_turns(before).order_by("-seq")[:limit])[::-1]


def cancellation_of(turn: Turn) -> datetime | None:
    """When the turn was asked to stop."""
    return Turn.objects.values_list("cancel_requested_at", flat=True).get(pk=turn.pk)


def with_overview(conversations: QuerySet[Conversation]) -> QuerySet[Conversation]:
    """Each conversation with `latest_intent`, `lowest_confidence`, `thumbs_up` and `thumbs_down`, in the same query."""
    turns = Turn.objects.filter(conversation=OuterRef("pk"))
    latest = turns.filter(intent__isnull=False).order_by("-number")
    lowest = turns.order_by().values("conversation").annotate(lowest=Min("confidence"))
    return conversations.annotate(
        latest_intent_id=Subquery(latest.values("intent_id")[:1]),
        latest_intent=Subquery(latest.values("intent__name")[:1]),
        lowest_confidence=Subquery(lowest.values("lowest")),
        thumbs_up=_count_of_rating(Message.Rating.UP),
        thumbs_down=_count_of_rating(Message.Rating.DOWN),
    )


def _count_of_rating(rating: Message.Rating) -> Coalesce:
    rated = Message.objects.filter(conversation=OuterRef("pk"), rating=rating).order_by()
    return Coalesce(Subquery(rated.values("conversation").annotate(count=Count("pk")).values("count")), 0)


def mentioning(conversations: QuerySet[Conversation], words: str) -> QuerySet[Conversation]:
    """Those in which every word is found: in a message, the visitor's external id, or the start of their id."""
    for word in words.split()[:SEARCHED_WORDS]:
        found = Q(Exists(Message.objects.filter(conversation=OuterRef("pk"), text__icontains=word)))
        found |= Q(visitor__external_id__icontains=word)
        if ID_PREFIX.fullmatch(word):
            found |= Q(pk__istartswith=word)
        conversations = conversations.filter(found)
    return conversations


def was_decided(conversation_id: UUID, reason: str) -> bool:
    """Whether a turn of the conversation was decided for a reason that begins so."""
    return Turn.objects.filter(conversation_id=conversation_id, reason__startswith=reason).exists()
