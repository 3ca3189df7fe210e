"""What a customer may know of the people behind the chat: the place in the queue, when they are there, who joined."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q, QuerySet
from django.utils import timezone

from chatbot.conversations import events, wording
from chatbot.conversations.models import Conversation, Message
from chatbot.conversations.surveys.selectors import survey_payload
from chatbot.conversations.translations import translated
from chatbot.sites.hours import BusinessHours
from chatbot.sites.models import Site

Status = Conversation.Status
# Nobody counts further, and each change of the queue is told to all of these.
TOLD_AT_ONCE = 200
# Whether people are there, and when they are again.
Opening = tuple[bool, datetime | None]


def business_hours(conversation: Conversation) -> BusinessHours | None:
    """When people answer this conversation; None where that is always.

    The hours of the visitor's site. A visitor of our own page has none: the only active site's, if there is just one.
    """
    site = conversation.visitor.site
    if site is None:
        active = list(Site.objects.filter(is_active=True)[:2])
        site = active[0] if len(active) == 1 else None
    return site.business_hours if site else None


def opens_at(conversation: Conversation, now: datetime) -> Opening:
    """Whether people are there, and if not, when they are again as far as that is known."""
    hours = business_hours(conversation)
    if hours is None or hours.is_open(now):
        return True, None
    return False, hours.next_opening(now)


def customer_language(conversation: Conversation) -> str:
    """What the customer last wrote in, as far as that was certain; empty where it never was."""
    told = conversation.messages.filter(role=Message.Role.CUSTOMER).exclude(language="").order_by("-seq")
    return told.values_list("language", flat=True).first() or ""


def handed_over(conversation: Conversation, language: str = "") -> str:
    """What the customer is told when a person was asked for; in `language`, or else in what they last wrote in."""
    is_open, opening = opens_at(conversation, timezone.now())
    language = language or customer_language(conversation)
    if is_open:
        return translated(wording.HANDED_OVER, language)
    when = wording.back_at(opening) if opening else ""
    return translated(wording.HANDED_OVER_OUTSIDE_HOURS, language).format(when=when)


def named(agent: AbstractBaseUser | None, field: str) -> dict[str, str]:
    """How customers are told of a member of staff, as this field: by the first name alone, or not at all."""
    words = str(getattr(agent, "first_name", "")).split()
    return {field: words[0]} if words else {}


def place_of(conversation: Conversation) -> int:
    """How many are served before it is, and itself."""
    since = conversation.waiting_since or conversation.updated_at
    earlier = Q(waiting_since__lt=since) | Q(waiting_since=since, pk__lt=conversation.pk)
    return Conversation.objects.filter(earlier, status=Status.WAITING, is_demo=False).count() + 1


def waiting_behind(moved: Conversation, since: datetime) -> QuerySet[Conversation]:
    """The others that wait since then or later, the longest first."""
    waiting = Conversation.objects.filter(status=Status.WAITING, is_demo=False, waiting_since__gte=since)
    return waiting.exclude(pk=moved.pk).select_related("visitor__site").order_by("waiting_since", "pk")[:TOLD_AT_ONCE]


def standing_of(
    conversation: Conversation, *, place: int | None = None, opening: Opening | None = None
) -> dict[str, Any]:
    """`queue` while it waits, `agent` while a person has it, `survey` once it has ended.

    `place` and `opening` are found where not known.
    """
    if conversation.status == Status.HUMAN:
        return {"agent": named(conversation.assignee, "name")}
    if conversation.status == Status.CLOSED:
        return {"survey": survey_payload(conversation)}
    if conversation.status != Status.WAITING:
        return {}
    is_open, again_at = opening or opens_at(conversation, timezone.now())
    queue: dict[str, Any] = {"place": place or place_of(conversation), "open": is_open}
    if again_at is not None:
        queue["opens_at"] = again_at.isoformat()
    if conversation.contact_email:
        queue["email"] = conversation.contact_email
    return {"queue": queue}


def updated(
    conversation: Conversation, *, place: int | None = None, opening: Opening | None = None
) -> events.ConversationUpdated:
    """The event that tells the conversation's pages how it stands."""
    standing = standing_of(conversation, place=place, opening=opening)
    return events.ConversationUpdated(str(conversation.id), conversation.status, **standing)
