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
