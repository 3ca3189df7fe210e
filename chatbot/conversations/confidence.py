"""How a confidence is told to people: as a percentage with a name."""

from __future__ import annotations

from django.db.models import TextChoices

from chatbot.conversations.policy import CONFIDENCE_FLOOR

# Between the floor and this, the bot answers but is wrong often enough to be worth a reviewer's look.
HIGH_CONFIDENCE = 0.8


class Band(TextChoices):
    """Low: the bot asked what was meant. Medium: it answered, perhaps wrongly. High: it was sure."""

    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"


def band_of(confidence: float) -> Band:
    """The band of a calibrated probability."""
    if confidence < CONFIDENCE_FLOOR:
        return Band.LOW
    return Band.MEDIUM if confidence < HIGH_CONFIDENCE else Band.HIGH


def bounds_of(band: Band) -> tuple[float, float]:
    """The band's lower bound and the bound above it, which is no longer in it."""
    bounds = {Band.LOW: (0.0, CONFIDENCE_FLOOR), Band.MEDIUM: (CONFIDENCE_FLOOR, HIGH_CONFIDENCE)}
    # Rounding can lift a certain prediction's sum a hair over 1.
    return bounds.get(band, (HIGH_CONFIDENCE, 2.0))
