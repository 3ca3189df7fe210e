"""Celery's side of training: a nudge to look at one run. Losing it or running it twice changes nothing."""

from __future__ import annotations

import os
from typing import Any

from celery import shared_task
from celery.signals import worker_process_init

# The least that Linux gives: a training takes what chat leaves of the processors.
NICENESS = 19


@worker_process_init.connect
def yield_to_chat(**_: Any) -> None:
    """In the child of a prefork pool, which is the training worker's alone."""
    os.nice(NICENESS)


@shared_task
def execute_run(run_id: int) -> None:
    """Do the run if it still waits."""
    from chatbot.training.execution import execute

    execute(run_id=run_id)
