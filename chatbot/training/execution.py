"""Doing a training run: claim it, do what its kind asks for, end it once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from chatbot.exceptions import FrontdeskError, RunStopped
from chatbot.training.catalogue_check import cross_validate_catalogue
from chatbot.training.evaluations import evaluate_requested
from chatbot.training.freezes import freeze_requested, preview_requested
from chatbot.training.machine import machine_slot
from chatbot.training.models import TrainingRun
from chatbot.training.run_lease import RunLease
from chatbot.training.runs import claim_run
from chatbot.training.trainings import train_requested_classifier, train_requested_generator

logger = logging.getLogger(__name__)

# Each does what the run asks for, says through the lease how far it is, and gives the fields that the row is to keep.
WORK: dict[str, Callable[[TrainingRun, RunLease], dict[str, Any]]] = {
    TrainingRun.Kind.CROSS_VALIDATION: lambda run, lease: cross_validate_catalogue(run.parameters, lease.progress),
    TrainingRun.Kind.CLASSIFIER: train_requested_classifier,
    TrainingRun.Kind.GENERATOR: train_requested_generator,
    TrainingRun.Kind.EVALUATION: evaluate_requested,
    TrainingRun.Kind.PREVIEW: preview_requested,
    TrainingRun.Kind.FREEZE: freeze_requested,
}
UNFORESEEN = "It failed for a reason that nobody foresaw. The log of the training worker has it."
OUT_OF_MEMORY = "Memory ran out. Close what else runs on this machine, or train on one with more memory."
OUT_OF_MEMORY_FULL = "Memory ran out. Close what else runs on this machine, or use the preset “fast”."
Status = TrainingRun.Status


def execute(*, run_id: int) -> None:
    """Do the run if it waits and this machine does no other; what goes wrong is stored as its error."""
    with machine_slot() as is_free:
        # Left waiting, it is taken up when the sweeper nudges again.
        run = claim_run(run_id=run_id) if is_free else None
        if run is not None:
            _do(run)


def _do(run: TrainingRun) -> None:
    with RunLease(run) as lease:
        try:
            kept = WORK[run.kind](run, lease)
            lease.end(Status.DONE, share=1.0, **kept)
        except RunStopped as stop:
            logger.info("%s", stop)
        except FrontdeskError as error:
            logger.error("%s: %s", run, error)
            lease.end(Status.FAILED, error=str(error))
        except MemoryError:
            logger.error("%s: memory ran out", run)
            is_full = run.parameters.get("preset") == "full"
            lease.end(Status.FAILED, error=OUT_OF_MEMORY_FULL if is_full else OUT_OF_MEMORY)
        except Exception:  # a fault of ours ends the run; left open, it would be tried again and fail the same way
            logger.exception("%s", run)
            lease.end(Status.FAILED, error=UNFORESEEN)
