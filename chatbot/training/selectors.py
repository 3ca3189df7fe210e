"""Reads of training runs."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import F, QuerySet
from django.utils import timezone

from chatbot.intents.selectors import out_of_scope_examples, training_examples
from chatbot.training.datasets import examples_digest
from chatbot.training.models import TrainingRun

# Not yet worth a guess: the first hundredth is mostly loading.
_LEAST_SHARE = 0.01


def runs_of_kind(kind: str) -> QuerySet[TrainingRun]:
    """The newest first, with the `accuracy` that they measured in place of all that they found."""
    runs = TrainingRun.objects.filter(kind=kind).select_related("requested_by").defer("result")
    return runs.annotate(accuracy=F("result__accuracy"))


def time_left(run: TrainingRun) -> timedelta | None:
    """How long the run takes from now on at its pace so far; None where that cannot be told."""
    if run.status != TrainingRun.Status.RUNNING or run.started_at is None:
        return None
    if run.share is None or not _LEAST_SHARE <= run.share < 1:
        return None
    return (timezone.now() - run.started_at) * ((1 - run.share) / run.share)


def usual_duration(kind: str, preset: str) -> timedelta | None:
    """How long the last finished run by `preset` took; None before the first."""
    done = runs_of_kind(kind).filter(status=TrainingRun.Status.DONE, parameters__preset=preset).first()
    return duration(done) if done else None


def duration(run: TrainingRun) -> timedelta | None:
    """How long the run took, or has been running; None where it never began."""
    if run.started_at is None:
        return None
    return (run.finished_at or timezone.now()) - run.started_at


def catalogue_changed_since(run: TrainingRun) -> bool:
    """Whether the examples are no longer the ones that the run judged."""
    return run.dataset_digest != examples_digest(training_examples(), out_of_scope_examples())
