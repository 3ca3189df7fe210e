"""Durations as people say them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chatbot.dashboard.wording import roughly


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "1 second"),
        (1.4, "1 second"),
        (89, "89 seconds"),
        (90, "about 2 minutes"),
        (200, "about 3 minutes"),
        (5399, "about 2 hours"),
        (3 * 3600, "about 3 hours"),
    ],
)
def test_durations_are_rounded_to_what_matters(seconds: float, said: str) -> None:
    assert roughly(timedelta(seconds=seconds)) == said
