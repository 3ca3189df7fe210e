"""The demo shop's reviewed conversations, from `demo/conversations.jsonl` into the database.

One JSON object a line: `id`, `status`, `language`, `consent`, `started_minutes_ago`, `messages` (customer and bot take
turns) and `review`. A review's verdict is for every reply, or with `message` for that one while the others are
accepted; `intent_corrections` maps the index of a customer's message to the intent that it should have had, null for
out of scope. A reply that is `stopped` was stopped by the customer.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db.models import Model
from django.utils import timezone

from chatbot.conversations.models import Conversation, Message, Review, Turn, Visitor
from chatbot.intents.models import Intent
from chatbot.knowledge.chunking import chunk_markdown
from chatbot.knowledge.models import Article

# Every id follows from the demo's own, so that seeding twice finds what the first time made.
_NAMESPACE = uuid.UUID("5f0c6a2e-3b53-4f6e-9d0a-6f1f8c1f7d11")
# How long the customer takes to write, and the bot to answer.
_CUSTOMER_PAUSE = timedelta(seconds=25)
_BOT_PAUSE = timedelta(seconds=3)
_TITLE_LENGTH = 60


@dataclass(slots=True)
class _Rows:
    """What is to be stored, in the order that foreign keys ask for."""

    visitors: list[Visitor] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    questions: list[Message] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    replies: list[Message] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Catalogue:
    intents: dict[str, Intent]
    articles: dict[str, Article]


def seed_transcripts(path: Path) -> int:
    """Add the conversations that are not there yet, marked as demo. Returns how many.

    Raises:
        KeyError, ValueError: the file is damaged, or names an intent or article that does not exist.
    """
    described = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    known = set(Conversation.objects.filter(is_demo=True).values_list("pk", flat=True))
    catalogue = _Catalogue(
        {intent.slug: intent for intent in Intent.objects.all()},
        {article.slug: article for article in Article.objects.all()},
    )
    rows, now = _Rows(), timezone.now()
    for entry in described:
        if _id(entry["id"]) not in known:
            _lay_out(entry, now - timedelta(minutes=entry["started_minutes_ago"]), catalogue, rows)
    _store(rows)
    return len(rows.conversations)


def _lay_out(entry: dict[str, Any], started: datetime, catalogue: _Catalogue, rows: _Rows) -> None:
    messages = entry["messages"]
    title = " ".join(messages[0]["text"].split())
    visitor = Visitor(id=_id(entry["id"], "visitor"), created_at=started, last_seen_at=started)
    conversation = Conversation(
        id=_id(entry["id"]),
        visitor=visitor,
        status=entry["status"],
        title=title if len(title) <= _TITLE_LENGTH else title[: _TITLE_LENGTH - 1].rstrip() + "…",
        language=entry["language"],
        last_seq=len(messages),
        is_demo=True,
        training_consent=entry["consent"],
        created_at=started,
    )
    clock = started
    for index, (asked, answered) in enumerate(zip(messages[::2], messages[1::2], strict=True)):
        if (asked["role"], answered["role"]) != ("customer", "bot"):
            raise ValueError(f"{entry['id']}: customer and bot must take turns")
        question = Message(
            id=_id(entry["id"], 2 * index),
            conversation=conversation,
            seq=2 * index + 1,
            role=Message.Role.CUSTOMER,
            text=asked["text"],
            created_at=clock,
        )
        turn = _turn(entry, index, question, answered, clock, catalogue)
        clock += _BOT_PAUSE
        reply = Message(
            id=_id(entry["id"], 2 * index + 1),
            conversation=conversation,
            seq=2 * index + 2,
            role=Message.Role.BOT,
            text=answered["text"],
            turn=turn,
            quick_replies=answered.get("quick_replies", []),
            stopped=answered.get("stopped", False),
            rating=answered.get("rating", ""),
            rating_reason=answered.get("reason", ""),
            created_at=clock,
        )
        if turn.action == Turn.Action.HANDOFF and conversation.handed_over_at is None:
            conversation.handed_over_at = clock
        clock += _CUSTOMER_PAUSE
        rows.questions.append(question)
        rows.turns.append(turn)
        rows.replies.append(reply)
        if entry.get("review"):
            rows.reviews.append(_review(entry["review"], 2 * index, turn, catalogue))
    conversation.updated_at = visitor.last_seen_at = rows.replies[-1].created_at
    rows.visitors.append(visitor)
    rows.conversations.append(conversation)


def _turn(
    entry: dict[str, Any],
    index: int,
    question: Message,
    answered: dict[str, Any],
    clock: datetime,
    catalogue: _Catalogue,
) -> Turn:
    slug = entry["messages"][2 * index]["intent"]
    intent = catalogue.intents[slug] if slug else None
    was_stopped = answered.get("stopped", False)
    asks_back = intent is None or bool(answered.get("quick_replies"))
    by_mode = {
        Intent.Mode.GENERATE: Turn.Action.GENERATE,
        Intent.Mode.APPROVED: Turn.Action.ANSWER,
        Intent.Mode.HANDOFF: Turn.Action.HANDOFF,
    }
    return Turn(
        id=_id(entry["id"], 2 * index, "turn"),
        conversation=question.conversation,
        message=question,
        number=index + 1,
        status=Turn.Status.CANCELLED if was_stopped else Turn.Status.DONE,
        cancel_requested=was_stopped,
        attempt=1,
        intent=intent,
        out_of_scope=intent is None,
        action=Turn.Action.CLARIFY if intent is None or asks_back else by_mode[Intent.Mode(intent.mode)],
        reason="Written for the demo shop; no model took part.",
        is_miss=asks_back,
        sources=[_source(named, catalogue) for named in answered.get("sources", [])],
        finish_reason="cancelled" if was_stopped else "stop",
        next_nudge_at=clock,
        created_at=clock,
        started_at=clock,
        finished_at=clock + _BOT_PAUSE,
    )


def _source(named: dict[str, str], catalogue: _Catalogue) -> dict[str, str]:
    article = catalogue.articles[named["article"]]
    for chunk in chunk_markdown(article.body):
        if chunk.heading == named["section"]:
            url = f"{article.get_absolute_url()}#{chunk.anchor}" if chunk.anchor else article.get_absolute_url()
            return {"title": article.title, "url": url, "passage": chunk.text}
    raise ValueError(f"the article {article.slug} has no section “{named['section']}”")


def _review(review: dict[str, Any], index: int, turn: Turn, catalogue: _Catalogue) -> Review:
    """The review of the turn that answers message number `index`."""
    corrections = review.get("intent_corrections", {})
    slug = corrections.get(str(index), turn.intent.slug if turn.intent else None)
    intent = catalogue.intents[slug] if slug else None
    is_meant = review.get("message", index + 1) == index + 1
    return Review(
        turn=turn,
        intent=intent,
        out_of_scope=intent is None,
        verdict=review["verdict"] if is_meant else Review.Verdict.ACCEPTED,
        edited_reply=review.get("edited_reply", "") if is_meant else "",
        note=review.get("note", "") if is_meant else "",
    )


def _store(rows: _Rows) -> None:
    # A conversation that was deleted has left its visitor behind.
    _insert(rows.visitors, "created_at", "last_seen_at", may_exist=True)
    _insert(rows.conversations, "created_at", "updated_at")
    _insert(rows.questions, "created_at")
    _insert(rows.turns, "created_at")
    _insert(rows.replies, "created_at")
    _insert(rows.reviews)


def _insert(rows: Sequence[Model], *times: str, may_exist: bool = False) -> None:
    """Insert rows with these times: on insertion their fields take the current one, so they are written once more."""
    if not rows:
        return
    wanted = [[getattr(row, name) for name in times] for row in rows]
    manager = type(rows[0])._default_manager
    manager.bulk_create(rows, ignore_conflicts=may_exist)
    for row, moments in zip(rows, wanted, strict=True):
        for name, moment in zip(times, moments, strict=True):
            setattr(row, name, moment)
    if times:
        manager.bulk_update(rows, times)


def _id(*parts: object) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, "/".join(str(part) for part in parts))
