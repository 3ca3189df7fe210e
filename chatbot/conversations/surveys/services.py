"""A customer says what they make of a conversation that has ended."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from chatbot.conversations import events
from chatbot.conversations.desk.announcements import announce_change
from chatbot.conversations.standing import updated
from chatbot.conversations.surveys.models import Survey
from chatbot.conversations.surveys.selectors import is_open
from chatbot.conversations.threads import lock_conversation
from chatbot.exceptions import Conflict


@transaction.atomic
def answer_survey(*, visitor_id: UUID, conversation_id: UUID, score: int, comment: str = "") -> Survey:
    """Keep the answer, in place of an earlier one.

    Raises:
        NotFound: the conversation is not this visitor's.
        Conflict: it has not ended, or the visitor has begun another one since.
    """
    conversation = lock_conversation(conversation_id, visitor_id)
    if not is_open(conversation):
        raise Conflict("This conversation can't be rated: it goes on, or you have begun another one since.")
    survey, _ = Survey.objects.update_or_create(
        conversation=conversation, defaults={"score": score, "comment": comment}
    )
    events.publish(conversation.id, updated(conversation))
    announce_change(conversation.id)
    return survey
