"""Freezing as work that a page asked for: requested here, done by the training worker, previews likewise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User

from chatbot.training.curation.options import CurationOptions
from chatbot.training.models import Dataset, TrainingRun
from chatbot.training.runs import request_run

if TYPE_CHECKING:
    from chatbot.inference.weights import Progress
    from chatbot.training.run_lease import RunLease


def request_freeze(*, options: CurationOptions, note: str = "", requested_by: User | None) -> TrainingRun:
    """Have the present state frozen. Raises Conflict where a freeze is open already."""
    parameters = {**options.stored(), "note": note}
    return request_run(kind=TrainingRun.Kind.FREEZE, parameters=parameters, requested_by=requested_by)


def request_preview(*, options: CurationOptions, requested_by: User | None) -> TrainingRun:
    """Have it counted what a freeze would keep and leave out. Raises Conflict where a preview is open already."""
    return request_run(kind=TrainingRun.Kind.PREVIEW, parameters=options.stored(), requested_by=requested_by)


def freeze_requested(run: TrainingRun, lease: RunLease) -> dict[str, Any]:
    """Freeze by the run's parameters. Gives `dataset_digest` and `result`. Raises what `freeze_for_run` raises."""
    dataset = freeze_for_run(run, lease.progress)
    return {"dataset_digest": dataset.digest, "result": {"dataset": dataset.name}}


def preview_requested(run: TrainingRun, lease: RunLease) -> dict[str, Any]:
    """Preview by the run's parameters. Gives `result`, a `dataset_report`. Raises what `preview_dataset` raises."""
    from chatbot.training.freezing import preview_dataset

    return {"result": preview_dataset(options=CurationOptions.read(run.parameters), progress=lease.progress)}


def freeze_for_run(run: TrainingRun, progress: Progress) -> Dataset:
    """What the run's parameters ask for (`CurationOptions`, `note`), frozen now.

    An attempt that follows one which lost its worker afterwards finds what that one froze.

    Raises DatasetError where nothing is left to freeze, and whatever `progress` raises; nothing is kept then.
    """
    from chatbot.training.freezing import freeze_dataset

    found = Dataset.objects.filter(run=run).first()
    return found or freeze_dataset(
        options=CurationOptions.read(run.parameters),
        note=run.parameters.get("note", ""),
        created_by=run.requested_by,
        run=run,
        progress=progress,
    )
