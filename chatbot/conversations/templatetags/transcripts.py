"""Filters of the transcript's templates."""

from __future__ import annotations

import nh3
from django import template
from django.utils.safestring import SafeString, mark_safe

from chatbot.conversations.legibility import legible as made_legible
from chatbot.knowledge.markdown import render_markdown

register = template.Library()


@register.filter
def legible(text: str) -> str:
    """Deceptive characters made visible. Escaping stays the template's."""
    return made_legible(text)


@register.filter
def as_reply(text: str) -> SafeString:
    """The bot's Markdown as the customer saw it. Headings lose their anchors: a page holds many replies."""
    html = render_markdown(made_legible(text))
    return mark_safe(nh3.clean(html, attributes={"a": {"href", "rel"}, "ol": {"start"}}, link_rel=None))


@register.filter
def percent(value: float) -> str:
    return f"{round(value * 100)}%"


@register.filter
def signed(value: float) -> str:
    """A weight with its sign, such as “+1.32” or “−0.40”."""
    return f"{value:+.2f}".replace("-", "−")


@register.filter
def measure(value: float, unit: str) -> str:
    """A timing as people read it: milliseconds below one second, whole tokens."""
    if unit == "s":
        return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
    if unit == "tokens":
        return f"{value:.0f} tokens"
    return f"{value:.1f} {unit}"
