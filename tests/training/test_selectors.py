"""What pages are told of runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from chatbot.intents.models import Example, Intent
from chatbot.intents.selectors import out_of_scope_examples, training_examples
from chatbot.training.datasets import examples_digest
from chatbot.training.models import TrainingRun
from chatbot.training.selectors import catalogue_changed_since, duration, runs_of_kind, time_left, usual_duration

pytestmark = pytest.mark.django_db
KIND = TrainingRun.Kind.CROSS_VALIDATION
Status = TrainingRun.Status
MINUTE = timedelta(minutes=1)


def made(
    status: str = Status.DONE, *, ago: timedelta = 10 * MINUTE, took: timedelta = MINUTE, **fields: Any
) -> TrainingRun:
    began = timezone.now() - ago
    ended = None if status in TrainingRun.OPEN else began + took
    fields = {"parameters": {"preset": "fast"}, "started_at": began, "finished_at": ended, **fields}
    return TrainingRun.objects.create(kind=KIND, status=status, **fields)


def test_runs_come_newest_first_with_their_accuracy() -> None:
    made(result={"accuracy": 0.9})
    made(Status.FAILED)
    assert [run.accuracy for run in runs_of_kind(KIND)] == [None, 0.9]  # type: ignore[attr-defined]
    assert not runs_of_kind("another").exists()


def test_the_time_left_follows_from_the_pace() -> None:
    run = made(Status.RUNNING, ago=3 * MINUTE, share=0.75)
    left = time_left(run)
    assert left is not None
    assert abs(left - MINUTE) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("status", "share"),
    [(Status.RUNNING, None), (Status.RUNNING, 0.0), (Status.RUNNING, 1.0), (Status.QUEUED, 0.5), (Status.DONE, 0.5)],
)
def test_the_time_left_is_not_guessed(status: str, share: float | None) -> None:
    assert time_left(made(status, share=share)) is None


def test_the_usual_duration_is_that_of_the_last_finished_run_by_the_preset() -> None:
    assert usual_duration(KIND, "fast") is None
    made(took=9 * MINUTE)
    made(took=2 * MINUTE)
    made(Status.FAILED, took=7 * MINUTE)
    made(took=5 * MINUTE, parameters={"preset": "full"})
    assert usual_duration(KIND, "fast") == 2 * MINUTE


def test_a_run_that_never_began_has_no_duration() -> None:
    assert duration(made(Status.CANCELLED, started_at=None)) is None
    open_run = duration(made(Status.RUNNING, ago=MINUTE))
    assert open_run is not None
    assert open_run >= MINUTE


def test_a_change_of_the_catalogue_is_noticed() -> None:
    intent = Intent.objects.create(slug="refund", name="Refund")
    Example.objects.create(intent=intent, text="money back")
    run = made(dataset_digest=examples_digest(training_examples(), out_of_scope_examples()))
    assert not catalogue_changed_since(run)
    stranger = Example.objects.create(text="sing a song")
    assert catalogue_changed_since(run)
    stranger.delete()
    assert not catalogue_changed_since(run)
    Intent.objects.update(is_active=False)
    assert catalogue_changed_since(run)
