"""What a customer has answered, and whether they may still."""

from __future__ import annotations

from typing import Any

from chatbot.conversations.models import Conversation, Message
from chatbot.conversations.surveys.models import Survey


def survey_of(conversation: Conversation) -> Survey | None:
    return Survey.objects.filter(conversation=conversation.pk).first()


def is_open(conversation: Conversation) -> bool:
    """Whether the customer may answer, or change the answer: once it has ended, until their next one has begun."""
    if conversation.status != Conversation.Status.CLOSED or conversation.last_seq == 0:
        return False
    of_visitor = Message.objects.filter(conversation__visitor=conversation.visitor_id)
    begun = of_visitor.filter(seq=1, created_at__gt=conversation.updated_at).exclude(conversation=conversation.pk)
    return not begun.exists()


def survey_payload(conversation: Conversation) -> dict[str, Any]:
    """The survey as the customer's page carries it."""
    return {"open": is_open(conversation), **answer_payload(survey_of(conversation))}


def answer_payload(survey: Survey | None) -> dict[str, Any]:
    """The answer alone; nothing where there is none."""
    if survey is None:
        return {}
    return {"score": survey.score} | ({"comment": survey.comment} if survey.comment else {})
