"""Doing a training run: claim it, do what its kind asks for, end it once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from chatbot.exceptions import FrontdeskError, RunStopped
from chatbot.inference.weights import Progress
from chatbot.training.catalogue_check import cross_validate_catalogue
from chatbot.training.models import TrainingRun
from chatbot.training.runs import RunLease, claim_run

logger = logging.getLogger(__name__)

# Each takes the run's parameters and gives the fields that its row is to keep.
WORK: dict[str, Callable[[dict[str, Any], Progress], dict[str, Any]]] = {
    TrainingRun.Kind.CROSS_VALIDATION: cross_validate_catalogue,
}
UNFORESEEN = "It failed for a reason that nobody foresaw. The log of the training worker has it."
OUT_OF_MEMORY = "Memory ran out. Close what else runs on this machine, or use the preset “fast”."
Status = TrainingRun.Status


def execute(*, run_id: int) -> None:
    """Do the run if it waits; what goes wrong is stored as its error."""
    run = claim_run(run_id=run_id)
    if run is None:
        return
    with RunLease(run) as lease:
        try:
            kept = WORK[run.kind](run.parameters, lease.progress)
            lease.end(Status.DONE, share=1.0, **kept)
        except RunStopped as stop:
            logger.info("%s", stop)
        except FrontdeskError as error:
            logger.error("%s: %s", run, error)
            lease.end(Status.FAILED, error=str(error))
        except MemoryError:
            logger.error("%s: memory ran out", run)
            lease.end(Status.FAILED, error=OUT_OF_MEMORY)
        except Exception:  # a fault of ours ends the run; left open, it would be tried again and fail the same way
            logger.exception("%s", run)
            lease.end(Status.FAILED, error=UNFORESEEN)
