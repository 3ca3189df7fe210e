"""What a list of conversations can be narrowed down to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.options import ModelAdmin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest

from chatbot.conversations.confidence import Band, bounds_of
from chatbot.conversations.models import Conversation, Message, Turn
from chatbot.intents.models import Intent
from chatbot.releases.models import Release

Choices = list[tuple[str, str]]
# With what `selectors.with_overview` adds to each.
Conversations = QuerySet[Any]

NONE = "none"


def _conversations_with(**turn: Any) -> QuerySet[Any]:
    """The ids of conversations that have such a turn.

    A list on its own, not a question asked of each conversation: SQLite would answer that from the index on the turn's
    field, reading the same turns again for every conversation (57 s for 20,000 of them).
    """
    return Turn.objects.filter(**turn).values("conversation")


class ContentsFilter(SimpleListFilter):
    """Pages that were opened but never written in are left out unless they are asked for."""

    title = "contents"
    parameter_name = "contents"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return [("unused", "Never written in"), ("all", "All")]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        everything, *named = super().choices(changelist)
        yield {**everything, "display": "With messages"}
        yield from named

    def queryset(self, request: HttpRequest, queryset: Conversations) -> Conversations:
        match self.value():
            case "all":
                return queryset
            case "unused":
                return queryset.filter(last_seq=0)
        return queryset.filter(last_seq__gt=0)


class IntentFilter(SimpleListFilter):
    """Conversations in which an intent occurred at all."""

    title = "any intent"
    parameter_name = "intent"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        occurring = Intent.objects.filter(Exists(Turn.objects.filter(intent=OuterRef("pk")))).order_by("name")
        return [*occurring.values_list("slug", "name"), (NONE, "None recognised")]

    def queryset(self, request: HttpRequest, queryset: Conversations) -> Conversations | None:
        match self.value():
            case None:
                return None
            case "none":
                return queryset.filter(latest_intent_id=None)
            case slug:
                return queryset.filter(pk__in=_conversations_with(intent__slug=slug))


class LatestIntentFilter(IntentFilter):
    """Conversations by what they came to at last."""

    title = "latest intent"
    parameter_name = "latest_intent"

    def queryset(self, request: HttpRequest, queryset: Conversations) -> Conversations | None:
        match self.value():
            case None:
                return None
            case "none":
                return queryset.filter(latest_intent_id=None)
            case slug:
                return queryset.filter(latest_intent_id=Intent.objects.filter(slug=slug).values("pk")[:1])


class ConfidenceFilter(SimpleListFilter):
    """By the least certain of a conversation's predictions."""

    title = "lowest confidence"
    parameter_name = "confidence"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        low, medium = bounds_of(Band.MEDIUM)
        return [
            (Band.LOW, f"Low, under {low:.0%}"),
            (Band.MEDIUM, f"Medium, {low:.0%} to {medium:.0%}"),
            (Band.HIGH, f"High, from {medium:.0%}"),
            (NONE, "No prediction"),
        ]

    def queryset(self, request: HttpRequest, queryset: Conversations) -> Conversations | None:
        value = self.value()
        if value == NONE:
            return queryset.filter(lowest_confidence=None)
        if value not in Band.values:
            return None
        lower, upper = bounds_of(Band(value))
        return queryset.filter(lowest_confidence__gte=lower, lowest_confidence__lt=upper)


class RatingFilter(SimpleListFilter):
    """By what the customer thought of the replies."""

    title = "rating"
    parameter_name = "rating"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return [("down", "Has thumbs down"), ("up", "Has thumbs up"), (NONE, "Not rated")]

    def queryset(self, request: HttpRequest, queryset: Conversations) -> Conversations | None:
        match self.value():
            case "down":
                return queryset.filter(thumbs_down__gt=0)
            case "up":
                return queryset.filter(thumbs_up__gt=0)
            case "none":
                return queryset.exclude(Exists(Message.objects.filter(conversation=OuterRef("pk")).exclude(rating="")))
        return None


class ReleaseFilter(SimpleListFilter):
    """Conversations in which a release classified or wrote."""

    title = "release"
    parameter_name = "release"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return [(str(pk), name) for pk, name in Release.objects.order_by("kind", "-id").values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: Conversations) -> Conversations | None:
        value = self.value()
        if value is None:
            return None
        if not value.isdecimal():
            return queryset.none()
        written = Q(pk__in=_conversations_with(generator=value))
        return queryset.filter(written | Q(pk__in=_conversations_with(classifier=value)))


class LanguageFilter(SimpleListFilter):
    """By the language that was detected last."""

    title = "language"
    parameter_name = "language"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        detected = Conversation.objects.exclude(language="").order_by("language")
        return [
            *((code, code) for code in detected.values_list("language", flat=True).distinct()),
            (NONE, "Not detected"),
        ]

    def queryset(self, request: HttpRequest, queryset: Conversations) -> Conversations | None:
        value = self.value()
        if value is None:
            return None
        return queryset.filter(language="" if value == NONE else value)
