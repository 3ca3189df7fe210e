"""Links from a report into the catalogue, for whoever may follow them."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from chatbot.training.catalogue_report import IntentLabel, ReportedExample

register = template.Library()


@register.simple_tag(takes_context=True)
def intent_link(context: dict[str, Any], label: IntentLabel) -> SafeString:
    """The intent's name, leading to its page in the admin where there is one."""
    name = format_html("<bdi>{}</bdi>", label.name)
    if label.pk is None or not context["user"].has_perm("intents.view_intent"):
        return name
    return format_html('<a href="{}">{}</a>', reverse("admin:intents_intent_change", args=[label.pk]), name)


@register.simple_tag(takes_context=True)
def example_link(context: dict[str, Any], example: ReportedExample) -> SafeString:
    """The example's text, leading to its page in the admin, and what became of it since the report."""
    if example.pk is None:
        return format_html("<em>an example that was {}</em>", example.change)
    text = format_html("<bdi>{}</bdi>", example.text)
    if context["user"].has_perm("intents.view_example"):
        text = format_html('<a href="{}">{}</a>', reverse("admin:intents_example_change", args=[example.pk]), text)
    if not example.change:
        return text
    return format_html('{} <span class="changed">{}</span>', text, example.change)
