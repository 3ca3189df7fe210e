"""The sweeper's rounds go on, whatever one sweep meets."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from itertools import count

import pytest
from django.db import OperationalError
from pytest_django import Settings

from chatbot.conversations import sweeper
from chatbot.conversations.sweeper import sweep_forever

# It opens and closes connections of its own.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Callable[[Exception], int]:
    """How often the sweep of an app above is called in three rounds of which the first meets `error`."""

    def run(error: Exception) -> int:
        numbers, stopped, swept = count(1), threading.Event(), []

        def sweep_turns() -> None:
            number = next(numbers)
            if number == 3:
                stopped.set()
            if number == 1:
                raise error

        monkeypatch.setattr(sweeper, "_sweep_turns", sweep_turns)
        settings.SWEEP_INTERVAL_S = 0.001
        sweep_forever(stopped, also=[lambda: swept.append(1)])
        return len(swept)

    return run


def test_a_turn_that_cannot_be_swept_keeps_nothing_else_from_it(rounds: Callable[[Exception], int]) -> None:
    assert rounds(ZeroDivisionError()) == 3


def test_a_database_that_is_away_costs_a_line_and_the_round(
    rounds: Callable[[Exception], int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert rounds(OperationalError("no route to host")) == 2
    [line] = caplog.messages
    assert "no route to host" in line
