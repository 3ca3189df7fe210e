"""Forgetting a customer: what there is of them, ending what runs for them, deleting it with what logs say of it.

Datasets stand above, and are seen to first (`training.erasure`): they know conversations by their ids.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from uuid import UUID

from auditlog.context import disable_auditlog
from auditlog.models import LogEntry as AuditEntry
from django.conf import settings
from django.contrib.admin.models import LogEntry as AdminEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet

from chatbot.conversations.delivery import cancel_open_turn, silence_bot
from chatbot.conversations.desk.announcements import announce_change
from chatbot.conversations.models import (
    Attachment,
    Conversation,
    Departure,
    Message,
    Note,
    PredictionExplanation,
    Review,
    ReviewItem,
    ShadowPrediction,
    Suggestion,
    Survey,
    Transition,
    Turn,
    Visitor,
)
from chatbot.conversations.reviews import batched
from chatbot.conversations.threads import lock_conversation
from chatbot.exceptions import Conflict, NotFound
from chatbot.inference.normalisation import text_key
from chatbot.intents.models import Example

# Everything that goes with a visitor: what it is called, and how it is found.
_RECORDS: tuple[tuple[str, type[Model], str], ...] = (
    ("conversations", Conversation, "visitor"),
    ("messages", Message, "conversation__visitor"),
    ("files", Attachment, "conversation__visitor"),
    ("turns", Turn, "conversation__visitor"),
    ("reviews", Review, "turn__conversation__visitor"),
    ("notes", Note, "conversation__visitor"),
    ("surveys", Survey, "conversation__visitor"),
    ("drafts", Suggestion, "message__conversation__visitor"),
    ("moves between bot and staff", Transition, "conversation__visitor"),
    ("places in the review queue", ReviewItem, "turn__conversation__visitor"),
    ("explanations", PredictionExplanation, "turn__conversation__visitor"),
    ("shadow predictions", ShadowPrediction, "turn__conversation__visitor"),
)
# How often it is looked whether workers have stopped.
_LOOK_AGAIN_S = 0.2


def find_visitor(*, visitor_id: str = "", external_id: str = "", site: str = "") -> Visitor:
    """The visitor of that id or, with `external_id`, whom a site vouches for under that identity.

    Raises:
        NotFound: there is none, in one sentence.
        Conflict: several sites vouch for somebody under that identity, and `site` (its key) names none of them.
    """
    if not external_id:
        try:
            found = Visitor.objects.filter(pk=visitor_id).first()
        except ValidationError:
            raise NotFound(f"{visitor_id!r} is no visitor's id; one looks like {UUID(int=0)}.") from None
        if found is None:
            raise NotFound(f"There is no visitor {visitor_id}.")
        return found
    vouched = Visitor.objects.filter(external_id=external_id).select_related("site")
    if site:
        vouched = vouched.filter(site__key=site)
    visitors = list(vouched)
    if not visitors:
        raise NotFound(f"There is no visitor with the external identity {external_id!r}{_at(site)}.")
    if len(visitors) > 1:
        keys = ", ".join(sorted(visitor.site.key if visitor.site else "–" for visitor in visitors))
        raise Conflict(
            f"The external identity {external_id!r} stands for visitors of several sites ({keys}): name one."
        )
    return visitors[0]


def _at(site: str) -> str:
    return f" at the site {site!r}" if site else ""


def belongings(visitor_id: UUID) -> Counter[str]:
    """What there is of the visitor, counted by kind; kinds of which there is nothing are left out."""
    counts = Counter({name: _records(model, path, visitor_id).count() for name, model, path in _RECORDS})
    counts["examples made from messages"] = len(examples_made_from(visitor_id))
    counts["log entries"] = sum(logs.count() for logs in _log_entries(visitor_id))
    return +counts


def conversation_ids(visitor_id: UUID) -> set[UUID]:
    """All that the visitor ever had, also those that are deleted."""
    present = Conversation.objects.filter(visitor=visitor_id).values_list("pk", flat=True)
    return {*present, *Departure.objects.filter(visitor=visitor_id).values_list("conversation", flat=True)}


def examples_made_from(visitor_id: UUID) -> list[int]:
    """Examples that came into the catalogue by a review and say what one of the visitor's messages says."""
    examples = list(Example.objects.filter(origin=Example.Origin.REVIEW).values_list("pk", "text"))
    if not examples:
        return []
    said = Message.objects.filter(conversation__visitor=visitor_id, role=Message.Role.CUSTOMER)
    keys = {text_key(text) for text in said.values_list("text", flat=True).iterator()}
    return [pk for pk, text in examples if text_key(text) in keys]


def end_turns(visitor_id: UUID) -> None:
    """End every reply that is owed to the visitor, and wait until their workers have stopped writing.

    A worker that does not stop while its lease lasts loses the turn: it can store nothing any more.
    """
    deadline = time.monotonic() + settings.TURN_LEASE_S + settings.TURN_HEARTBEAT_S
    while waiting := list(Turn.objects.filter(conversation__visitor=visitor_id, status__in=Turn.OPEN)):
        is_late = time.monotonic() > deadline
        for turn in waiting:
            _end(turn, is_late)
        if is_late:
            return
        # Those that had not begun are ended by now; for the others a worker has to look up.
        if Turn.objects.filter(conversation__visitor=visitor_id, status=Turn.Status.RUNNING).exists():
            time.sleep(_LOOK_AGAIN_S)


@transaction.atomic
def _end(turn: Turn, is_late: bool) -> None:
    try:
        conversation = lock_conversation(turn.conversation_id)
    except NotFound:
        return
    if is_late:
        silence_bot(conversation)
    else:
        cancel_open_turn(turn)


@transaction.atomic
def forget_visitor(visitor_id: UUID) -> Counter[str]:
    """Delete the visitor with all that is theirs. Returns what there was; nothing where there is no such visitor."""
    visitor = Visitor.objects.select_for_update().filter(pk=visitor_id).first()
    if visitor is None:
        return Counter()
    counts = belongings(visitor_id)
    conversations = conversation_ids(visitor_id)
    for conversation in conversations:
        announce_change(conversation)
    _take_out_of_exports({str(pk) for pk in conversations})
    for logs in _log_entries(visitor_id):
        logs.delete()
    # The audit log would otherwise keep what is deleted here.
    with disable_auditlog():
        Example.objects.filter(pk__in=examples_made_from(visitor_id)).delete()
        visitor.delete()
    return counts


@transaction.atomic
def delete_conversations(ids: Collection[UUID]) -> int:
    """Delete conversations with all that belongs to them; their visitors keep the ids. Returns how many there were."""
    found = list(Conversation.objects.select_for_update().filter(pk__in=ids).values_list("pk", "visitor"))
    Departure.objects.bulk_create(
        (Departure(conversation=pk, visitor_id=visitor) for pk, visitor in found), ignore_conflicts=True
    )
    for pk, _ in found:
        announce_change(pk)
    with disable_auditlog():
        Conversation.objects.filter(pk__in=[pk for pk, _ in found]).delete()
    return len(found)


def _records(model: type[Model], path: str, visitor_id: UUID) -> QuerySet[Model]:
    return model._default_manager.filter(**{path: visitor_id})


def _log_entries(visitor_id: UUID) -> Iterator[QuerySet[Model]]:
    """What Django's log and the audit log say of the visitor's records; titles and texts stand in them."""
    yield from _about(Visitor, [visitor_id])
    yield from _about(Example, examples_made_from(visitor_id))
    yield from _about(Conversation, conversation_ids(visitor_id))
    for _, model, path in _RECORDS[1:]:
        yield from _about(model, _records(model, path, visitor_id).values_list("pk", flat=True))


def _about(model: type[Model], pks: Iterable[object]) -> Iterator[QuerySet[Model]]:
    content_type = ContentType.objects.get_for_model(model)
    for ids in batched(str(pk) for pk in pks):
        yield AuditEntry.objects.filter(content_type=content_type, object_pk__in=ids)
        yield AdminEntry.objects.filter(content_type=content_type, object_id__in=ids)


def _take_out_of_exports(conversations: set[str]) -> None:
    """Who took conversations out of the system stays known, and which others they were."""
    for entry in AuditEntry.objects.filter(action=AuditEntry.Action.ACCESS, additional_data__isnull=False):
        exported = entry.additional_data.get("conversations", [])
        if not conversations.isdisjoint(exported):
            left = [pk for pk in exported if pk not in conversations]
            AuditEntry.objects.filter(pk=entry.pk).update(
                additional_data={**entry.additional_data, "conversations": left}
            )
