"""Filters of the transcript's templates."""

from __future__ import annotations

from django import template

from chatbot.conversations.legibility import legible as made_legible

register = template.Library()


@register.filter
def legible(text: str) -> str:
    """Deceptive characters made visible. Escaping stays the template's."""
    return made_legible(text)


@register.filter
def percent(value: float) -> str:
    return f"{round(value * 100)}%"


@register.filter
def measure(value: float, unit: str) -> str:
    """A timing as people read it: milliseconds below one second, whole tokens."""
    if unit == "s":
        return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
    if unit == "tokens":
        return f"{value:.0f} tokens"
    return f"{value:.1f} {unit}"
