"""Retention: what is deleted by its age, a little at a time, so that nobody waits for it.

Transcripts go; what a dataset was frozen of stays in it, redacted, until its person is erased (`training.erasure`). For
that, a deleted conversation leaves its id with its visitor, as long as a dataset has rows of it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from chatbot.conversations import traces
from chatbot.conversations.forgetting import delete_conversations
from chatbot.conversations.models import Conversation, Departure, Turn, Visitor
from chatbot.exceptions import TracesRemain
from chatbot.training.dataset_erasure import conversations_in_datasets
from chatbot.training.dataset_lock import dataset_lock

logger = logging.getLogger(__name__)

# Each batch is one transaction, between which customers' messages are stored.
BATCH = 50


@dataclass(frozen=True, slots=True)
class Retained:
    """How many of each were deleted, or would be; `reduced` visitors keep their ids alone, since datasets hold rows."""

    conversations: int
    visitors: int
    reduced: int
    streams_cleared: bool = False


def preview_retention() -> Retained:
    """What is due now. Writes nothing."""
    due = due_visitors()
    known = conversations_in_datasets() if due.filter(departures__isnull=False).exists() else set()
    held = _held(due, known)
    return Retained(due_conversations().count(), due.count() - len(held), _named(held).count())


def apply_retention() -> Retained:
    """Delete what is due, and have the embedded broker forget the words of old replies."""
    traces.overwrite_what_is_deleted()
    conversations = 0
    while ids := list(due_conversations().values_list("pk", flat=True)[:BATCH]):
        conversations += delete_conversations(ids)
    visitors, reduced = _apply_to_visitors()
    done = Retained(conversations, visitors, reduced, _clear_streams())
    if conversations or visitors or reduced:
        logger.info("retention: %s", done)
    return done


def due_conversations() -> QuerySet[Conversation]:
    """Closed ones, and those that the bot has, in which nothing was written for so long, and no answer is owed."""
    days = settings.RETENTION_CONVERSATIONS_DAYS
    owed = Turn.objects.filter(conversation=OuterRef("pk"), status__in=Turn.OPEN)
    done = Conversation.objects.filter(status__in=[Conversation.Status.CLOSED, Conversation.Status.BOT], is_demo=False)
    old = done.filter(~Exists(owed), updated_at__lt=_before(days), last_seq__gt=0)
    # Of an import the day counts on which it came here: it was brought to be reviewed.
    due = old.exclude(is_imported=True, visitor__created_at__gte=_before(days)).order_by("updated_at")
    return due if days else due.none()


def due_visitors() -> QuerySet[Visitor]:
    """Those without a conversation who were not seen for so long."""
    days = settings.RETENTION_VISITORS_DAYS
    due = Visitor.objects.filter(conversations=None, last_seen_at__lt=_before(days)).order_by("last_seen_at")
    return due if days else due.none()


def _before(days: int) -> datetime:
    return timezone.now() - timedelta(days=days)


def _apply_to_visitors() -> tuple[int, int]:
    due, reduced = due_visitors(), 0
    if due.filter(departures__isnull=False).exists():
        # No dataset may come to hold rows between the look and the deletion.
        with dataset_lock():
            held = _held(due, conversations_in_datasets())
            reduced = _named(held).update(name="", email="")
            return _delete_visitors(due.exclude(pk__in=held)), reduced
    return _delete_visitors(due), reduced


def _delete_visitors(due: QuerySet[Visitor]) -> int:
    deleted = 0
    while ids := list(due.values_list("pk", flat=True)[:BATCH]):
        # Asked again: one of them may be writing at this moment.
        deleted += Visitor.objects.filter(pk__in=ids, conversations=None).delete()[1].get(Visitor._meta.label, 0)
    return deleted


def _held(due: QuerySet[Visitor], in_datasets: set[str]) -> set[UUID]:
    departures = Departure.objects.filter(visitor__in=due).values_list("visitor", "conversation")
    return {visitor for visitor, conversation in departures if str(conversation) in in_datasets}


def _named(visitors: set[UUID]) -> QuerySet[Visitor]:
    return Visitor.objects.filter(pk__in=visitors).exclude(name="", email="")


def _clear_streams() -> bool:
    days = settings.RETENTION_STREAMS_DAYS
    if not days or not settings.USES_EMBEDDED_BROKER:
        return False
    try:
        if traces.broker_file_age() < timedelta(days=days):
            return False
        traces.scrub_broker()
    except TracesRemain as problem:
        logger.warning("the words of old replies are still in the broker's file: %s", problem)
        return False
    return True
