"""How far a training run is, in words for the page and for its script."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from chatbot.dashboard.wording import roughly
from chatbot.training.models import TrainingRun
from chatbot.training.selectors import time_left
from chatbot.training.stages import StageState, states_of

# A worker that has nothing else to do takes a run at once; after this it is worth a word.
_SOON = timedelta(seconds=15)
NOBODY = (
    "The training worker has not taken it yet. It may be busy or still starting; if it does not run at all, nothing "
    "happens until it does."
)


@dataclass(frozen=True, slots=True)
class RunProgress:
    """`share` is None where nobody can say how much is done. `note` is the time left, or why nothing happens.

    `stages` are those of a training that is under way.
    """

    is_open: bool
    message: str
    share: float | None
    note: str
    stages: list[StageState]


def progress_of(run: TrainingRun) -> RunProgress:
    """The run at this moment."""
    # A bar that stands at its beginning looks stuck; one that moves to and fro says that something goes on.
    return RunProgress(run.is_open, _message(run), run.share or None, _note(run), states_of(run))


def _message(run: TrainingRun) -> str:
    if run.is_open and run.cancel_requested:
        return "Stopping"
    return run.message or run.get_status_display()


def _note(run: TrainingRun) -> str:
    if run.status == TrainingRun.Status.QUEUED:
        return NOBODY if timezone.now() - run.requested_at > _SOON else ""
    left = time_left(run)
    return f"{roughly(left)} left".capitalize() if left else ""
