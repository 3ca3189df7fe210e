"""The bot's drafts for agents: asked for by a page, written by the replies worker, and never sent by themselves."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from celery import current_app
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from chatbot.conversations.desk.announcements import announce_to_staff
from chatbot.conversations.desk.selectors import suggestion_payload
from chatbot.conversations.models import Conversation, Message, Review, Suggestion, Turn
from chatbot.conversations.reviews import Judgement, review_turn
from chatbot.conversations.threads import lock_conversation
from chatbot.exceptions import Conflict, EngineError, FrontdeskError, NotFound
from chatbot.intents.models import Intent
from chatbot.releases.models import Release

if TYPE_CHECKING:
    from chatbot.releases.runtime import ServedModels

logger = logging.getLogger(__name__)

# By name, since tasks stand above everything that nudges.
SUGGEST_TASK = "chatbot.conversations.tasks.suggest_reply"
NO_BROKER = "No worker could be told: the broker does not answer. Ask again once it is back."
NOTHING = "The assistant has nothing to suggest: no help article is close enough to the question."
TROUBLE = "The assistant could not write a draft. Ask again in a moment."
# After this nobody is writing it any more: the task was lost with its worker or its broker.
LOST_AFTER = timedelta(seconds=60)
Status = Suggestion.Status


@transaction.atomic
def request_suggestion(*, conversation_id: UUID, agent: AbstractBaseUser) -> Suggestion:
    """Have the bot draft an answer to the customer's latest message. A draft that is there is kept.

    Raises:
        NotFound: there is no such conversation.
        Conflict: no person has to answer it, or the customer has not said anything.
    """
    conversation = lock_conversation(conversation_id)
    if conversation.status not in (Conversation.Status.WAITING, Conversation.Status.HUMAN):
        raise Conflict("No person has to answer this conversation.")
    latest = conversation.messages.filter(role=Message.Role.CUSTOMER).order_by("-seq").first()
    if latest is None:
        raise Conflict("The customer has not written anything yet.")
    now = timezone.now()
    suggestion, created = Suggestion.objects.get_or_create(
        message=latest,
        defaults={"requested_by": agent, "requested_at": now},  # type: ignore[misc]
    )
    is_lost = suggestion.status == Status.WAITING and now - suggestion.requested_at > LOST_AFTER
    if suggestion.status == Status.SENT:
        raise Conflict("The draft for this message was sent already.")
    if suggestion.status == Status.FAILED or is_lost:
        suggestion.status, suggestion.error, suggestion.requested_at = Status.WAITING, "", now
        suggestion.save()
        created = True
    if created:
        transaction.on_commit(lambda: _nudge(suggestion.pk))
    _announce(suggestion)
    return suggestion


def _nudge(suggestion_id: UUID) -> None:
    try:
        current_app.send_task(SUGGEST_TASK, args=[str(suggestion_id)])
    except (OperationalError, RedisError, OSError) as error:
        logger.warning("no worker was told to write suggestion %s: %s", suggestion_id, error)
        _settle(suggestion_id, Status.FAILED, error=NO_BROKER)


# --- Writing it, in a worker ----------------------------------------------------------------------


def write_suggestion(*, suggestion_id: UUID, models: ServedModels) -> None:
    """Write and store the draft if it is waited for; what goes wrong is stored as its error."""
    from chatbot.conversations.replies import draft_reply

    suggestion = Suggestion.objects.select_related("message__conversation").filter(
        pk=suggestion_id, status=Status.WAITING
    )
    found = suggestion.first()
    if found is None:
        return
    try:
        text, record = draft_reply(found.message, models)
    except EngineError as error:
        logger.error("suggestion %s was not written: %s", suggestion_id, error)
        _settle(suggestion_id, Status.FAILED, error=TROUBLE)
    except FrontdeskError as error:
        logger.error("suggestion %s was not written: %s", suggestion_id, error)
        _settle(suggestion_id, Status.FAILED, error=str(error)[:400])
    except Exception:  # a fault of ours must not leave an agent waiting
        logger.exception("suggestion %s was not written", suggestion_id)
        _settle(suggestion_id, Status.FAILED, error=TROUBLE)
    else:
        if text:
            _settle(suggestion_id, Status.DONE, text=text, record=record)
        else:
            _settle(suggestion_id, Status.FAILED, error=NOTHING)


@transaction.atomic
def _settle(suggestion_id: UUID, status: str, **fields: Any) -> None:
    waiting = Suggestion.objects.filter(pk=suggestion_id, status=Status.WAITING)
    if waiting.update(status=status, changed_at=timezone.now(), **fields):
        _announce(Suggestion.objects.select_related("message").get(pk=suggestion_id))


def _announce(suggestion: Suggestion) -> None:
    conversation = suggestion.message.conversation_id
    frame = {"type": "suggestion.updated", "conversation": str(conversation)}
    announce_to_staff(conversation, frame | {"suggestion": suggestion_payload(suggestion)})


# --- Sending it -----------------------------------------------------------------------------------


def turn_of(conversation: Conversation, suggestion_id: UUID) -> Turn:
    """The turn that the draft becomes as it is sent in the locked conversation.

    Raises:
        NotFound: it is no draft of this conversation.
        Conflict: it was sent already, or was never written.
    """
    suggestion = Suggestion.objects.filter(pk=suggestion_id, message__conversation=conversation).first()
    if suggestion is None:
        raise NotFound("This draft does not exist.")
    if suggestion.status != Status.DONE:
        raise Conflict("This draft was sent already.")
    newest = conversation.turns.order_by("-number").first()
    now = timezone.now()
    return Turn.objects.create(
        conversation=conversation,
        message=suggestion.message,
        number=newest.number + 1 if newest else 1,
        status=Turn.Status.DONE,
        started_at=now,
        finished_at=now,
        next_nudge_at=now,
        **_still_there(suggestion.record),
    )


def _still_there(record: dict[str, Any]) -> dict[str, Any]:
    """Without what was deleted since the draft was written."""
    models = {"intent_id": Intent, "classifier_id": Release, "generator_id": Release}
    gone = {
        name
        for name, model in models.items()
        if record.get(name) is not None and not model._default_manager.filter(pk=record[name]).exists()
    }
    return {name: value for name, value in record.items() if name not in gone}


def settle_sent(*, suggestion_id: UUID, message: Message, agent: AbstractBaseUser) -> None:
    """The draft was sent as `message`: as it was, which accepts it, or edited. Either way it is reviewed."""
    suggestion = Suggestion.objects.select_related("message").get(pk=suggestion_id)
    suggestion.status = Status.SENT
    suggestion.save(update_fields=["status", "changed_at"])
    assert message.turn_id is not None, "a draft is sent as a turn"
    is_unchanged = message.text.strip() == suggestion.text.strip()
    verdict = Review.Verdict.ACCEPTED if is_unchanged else Review.Verdict.EDITED
    judgement = Judgement(verdict=verdict, edited_reply="" if is_unchanged else message.text)
    review_turn(turn_id=message.turn_id, reviewer=agent, judgement=judgement, seen_version=0)
    _announce(suggestion)
