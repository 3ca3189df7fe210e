"""Reads of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count

from chatbot.intents.models import Example, Intent


@dataclass(frozen=True, slots=True)
class IntentRule:
    """An intent as policy needs it. `mode` is a value of `Intent.Mode`; `pk` is its row, 0 where it has none."""

    slug: str
    name: str
    mode: str
    guidance: str = ""
    approved_answer: str = ""
    question: str = ""
    pk: int = 0


def catalogue_rules() -> dict[str, IntentRule]:
    """The active intents by slug."""
    fields = ("slug", "name", "mode", "guidance", "approved_answer", "question", "pk")
    rows = Intent.objects.filter(is_active=True).values_list(*fields)
    return {row[0]: IntentRule(*row) for row in rows}


def training_examples() -> list[tuple[str, str]]:
    """(text, intent slug) of every example of an active intent, in a stable order."""
    rows = Example.objects.filter(intent__is_active=True).order_by("id")
    return list(rows.values_list("text", "intent__slug"))


def catalogue_size() -> tuple[int, int]:
    """How many examples `training_examples` gives, and of how many intents."""
    active = Example.objects.filter(intent__is_active=True)
    counted = active.aggregate(examples=Count("pk"), intents=Count("intent", distinct=True))
    return counted["examples"], counted["intents"]


def identified_examples() -> list[tuple[int, str, str]]:
    """(id, text, intent slug) of what `training_examples` gives, in the same order."""
    rows = Example.objects.filter(intent__is_active=True).order_by("id")
    return list(rows.values_list("id", "text", "intent__slug"))


def out_of_scope_examples() -> list[str]:
    """Texts that belong to no intent, in a stable order."""
    return list(Example.objects.filter(intent=None).order_by("id").values_list("text", flat=True))
