"""Filters for the figures of the operators' pages."""

from __future__ import annotations

from datetime import timedelta

from django import template

from chatbot.dashboard.wording import roughly as said_roughly
from chatbot.training import selectors
from chatbot.training.models import TrainingRun

register = template.Library()


@register.filter
def roughly(time: timedelta) -> str:
    return said_roughly(time)


@register.filter
def duration(run: TrainingRun) -> timedelta | None:
    """How long the run took, or has been running."""
    return selectors.duration(run)


@register.filter
def percent(share: float | None) -> str:
    """A share to one decimal; a dash where nothing was measured."""
    return "–" if share is None else f"{share:.1%}"


@register.filter
def seconds(value: float | None) -> str:
    """Seconds, in milliseconds where they are less than one; a dash where nothing was measured."""
    if value is None:
        return "–"
    return f"{value:.1f} s" if round(value, 3) >= 1 else f"{value * 1000:.0f} ms"


@register.filter
def rate(value: float | None) -> str:
    """So many in a second; a dash where nothing was measured."""
    return "–" if value is None else f"{value:.1f}"
