"""The catalogue in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from chatbot.intents.models import Example, Intent


class ExampleInline(admin.TabularInline):
    """The intent's training phrases."""

    model = Example
    fields = ("text", "origin")
    readonly_fields = ("origin",)
    extra = 2


class HasApprovedAnswer(admin.SimpleListFilter):
    title = "approved answer"
    parameter_name = "answer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "With one"), ("no", "Without")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Intent]) -> QuerySet[Intent]:
        if self.value() == "yes":
            return queryset.exclude(approved_answer="")
        if self.value() == "no":
            return queryset.filter(approved_answer="")
        return queryset


@admin.register(Intent)
class IntentAdmin(admin.ModelAdmin[Intent]):
    list_display = ("name", "slug", "mode_name", "example_count", "is_active", "updated_at")
    list_filter = ("mode", "is_active", HasApprovedAnswer)
    search_fields = ("name", "slug", "description", "examples__text")
    prepopulated_fields = {"slug": ("name",)}
    inlines = [ExampleInline]
    fieldsets = [
        (None, {"fields": ("name", "slug", "description", "is_active")}),
        ("What the bot may do", {"fields": ("mode", "guidance", "approved_answer", "question")}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Intent]:
        return super().get_queryset(request).annotate(number_of_examples=Count("examples", distinct=True))

    @admin.display(description="mode", ordering="mode")
    def mode_name(self, intent: Intent) -> str:
        """The labels are whole sentences, too long for a column."""
        return intent.mode.capitalize()

    @admin.display(description="examples", ordering="number_of_examples")
    def example_count(self, intent: Intent) -> int:
        return intent.number_of_examples  # type: ignore[attr-defined]  # annotated above


class ScopeFilter(admin.SimpleListFilter):
    title = "scope"
    parameter_name = "scope"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("in", "Of an intent"), ("out", "Out of scope")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Example]) -> QuerySet[Example]:
        return queryset if self.value() is None else queryset.filter(intent__isnull=self.value() == "out")


@admin.register(Example)
class ExampleAdmin(admin.ModelAdmin[Example]):
    list_display = ("text", "intent_or_scope", "origin", "created_at")
    list_filter = (ScopeFilter, "origin", "intent")
    list_select_related = ("intent",)
    search_fields = ("text",)
    autocomplete_fields = ("intent",)
    readonly_fields = ("origin", "created_at")

    @admin.display(description="intent", ordering="intent__name")
    def intent_or_scope(self, example: Example) -> str:
        return str(example.intent) if example.intent else "out of scope"
