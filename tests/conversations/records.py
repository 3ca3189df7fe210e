"""Conversations as they look once they have been answered, without a worker."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from chatbot.conversations.models import Conversation, Message, Turn, Visitor
from chatbot.intents.models import Intent
from chatbot.releases.models import Kind, Release


def release(name: str, kind: str = Kind.CLASSIFIER) -> Release:
    return Release.objects.get_or_create(name=name, defaults={"kind": kind, "path": name, "manifest_digest": "0" * 64})[
        0
    ]


def intent(slug: str) -> Intent:
    return Intent.objects.get_or_create(slug=slug, defaults={"name": slug.replace("-", " ").capitalize()})[0]


class Told:
    """A conversation that is told message by message."""

    def __init__(self, *, external_id: str = "", **fields: Any) -> None:
        visitor = Visitor.objects.create(external_id=external_id)
        self.conversation = Conversation.objects.create(visitor=visitor, **fields)

    def says(self, role: str, text: str, **fields: Any) -> Message:
        self.conversation.last_seq += 1
        if role == Message.Role.CUSTOMER and not self.conversation.title:
            self.conversation.title = " ".join(text.split())[:80]
        self.conversation.save()
        return Message.objects.create(
            conversation=self.conversation, seq=self.conversation.last_seq, role=role, text=text, **fields
        )

    def turn(self, question: Message, *, best: str | None = None, confidence: float = 0.9, **fields: Any) -> Turn:
        """A turn that has ended; with `best`, one that was classified so."""
        if best is not None:
            rest = intent("something-else").slug
            fields = {
                "intent": intent(best),
                "confidence": confidence,
                "out_of_scope": False,
                "classifier": release("classifier-0001"),
                "prediction": {
                    "ranking": [[best, confidence], [rest, round(1 - confidence, 4)]],
                    "out_of_scope_score": 0.12,
                    "threshold": 0.55,
                },
            } | fields
        return Turn.objects.create(
            conversation=self.conversation,
            message=question,
            number=self.conversation.turns.count() + 1,
            next_nudge_at=timezone.now(),
            **{"status": Turn.Status.DONE, "attempt": 1} | fields,
        )

    def answered(self, question: str, reply: str, *, rating: str = "", **fields: Any) -> Message:
        """A question and the bot's reply, as one finished turn."""
        turn = self.turn(self.says(Message.Role.CUSTOMER, question), **fields)
        return self.says(Message.Role.BOT, reply, turn=turn, rating=rating)
