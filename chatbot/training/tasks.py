"""Celery's side of training: a nudge to look at one run. Losing it or running it twice changes nothing."""

from __future__ import annotations

from celery import shared_task


@shared_task
def execute_run(run_id: int) -> None:
    """Do the run if it still waits."""
    from chatbot.training.execution import execute

    execute(run_id=run_id)
