"""A small shop with conversations that somebody has reviewed, for tests of what becomes of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from chatbot.conversations.models import Conversation, Message, Review, Turn
from chatbot.intents.models import Example, Intent
from tests.conversations.records import Told, intent
from tests.training.shop_examples import EXAMPLES, OUT_OF_SCOPE

SOURCE = {"title": "Cancel an order", "url": "/help/cancel/", "passage": "Cancel under Account, Orders."}


def make_examples() -> None:
    """The easy examples as the catalogue."""
    Example.objects.bulk_create(Example(intent=intent(slug), text=text) for text, slug in EXAMPLES)
    Example.objects.bulk_create(Example(text=text) for text in OUT_OF_SCOPE)


def reviewed(
    question: str,
    reply: str = "Under Account, Orders.",
    *,
    told: Told | None = None,
    of: str = "cancel_order",
    days_ago: float = 0,
    turn: dict[str, Any] | None = None,
    **review: Any,
) -> Told:
    """A conversation of one reviewed turn that the model answered, or another such turn of one that was begun."""
    told = told or Told()
    fields = {"action": Turn.Action.GENERATE, "sources": [SOURCE], "intent": intent(of), **(turn or {})}
    answer = told.answered(question, reply, **fields)
    assert answer.turn is not None
    if review.pop("unreviewed", False):
        return told
    defaults: dict[str, Any] = {"verdict": Review.Verdict.ACCEPTED, "intent": intent(of)}
    Review.objects.create(turn=answer.turn, **{**defaults, **review})
    began(told.conversation, timezone.now() - timedelta(days=days_ago))
    return told


def began(conversation: Conversation, moment: datetime) -> None:
    """Set when the conversation began; otherwise it takes the time of its insertion."""
    Conversation.objects.filter(pk=conversation.pk).update(created_at=moment)


def inactive(slug: str) -> Intent:
    """An intent that is neither trained nor predicted."""
    found = intent(slug)
    found.is_active = False
    found.save()
    return found


def last_reply(told: Told) -> Message:
    return told.conversation.messages.filter(role=Message.Role.BOT).latest("seq")
