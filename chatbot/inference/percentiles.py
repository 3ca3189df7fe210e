"""Percentiles of what was measured."""

from __future__ import annotations

from collections.abc import Collection


def percentile(values: Collection[float], share: float) -> float | None:
    """The value below which that share lies, between the two nearest in proportion. None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
