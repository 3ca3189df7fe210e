"""Filters for rows of datasets, which are what customers wrote."""

from __future__ import annotations

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from chatbot.conversations.legibility import legible
from chatbot.training.redaction import PLACEHOLDER

register = template.Library()


@register.filter
def redacted(text: str) -> SafeString:
    """The text with what stands in for personal data marked, and nothing in it that could be markup."""
    escaped = str(escape(legible(text)))
    return mark_safe(PLACEHOLDER.sub(lambda match: f"<mark>{match.group()}</mark>", escaped))
