"""Training runs as rows: asked for, claimed under a lease, kept alive, ended once.

The database decides, as it does for turns: a task is a nudge with an id, and losing it or running it twice changes
nothing. A run whose worker died is taken up again by the next; a run that keeps losing its workers fails.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from celery import current_app
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from chatbot.exceptions import Conflict
from chatbot.training.announcements import announce_run
from chatbot.training.models import TrainingRun

logger = logging.getLogger(__name__)

# By name, since tasks stand above everything that nudges.
RUN_TASK = "chatbot.training.tasks.execute_run"
# Loading models holds the interpreter for seconds at a time, and the heartbeat with it.
LEASE = timedelta(seconds=30)
# A nudge may be lost with the broker. One that no worker took by then lapses, so that they do not heap up.
NUDGE_AGAIN_AFTER = timedelta(seconds=30)
MAX_ATTEMPTS = 3
WAITS_AGAIN = "Its worker was lost; it waits for another"
LOST = "Its worker was lost three times over. The log of the training worker says more; usually memory ran out."
Status = TrainingRun.Status


# --- Asking ---------------------------------------------------------------------------------------


def request_run(*, kind: str, parameters: dict[str, Any], requested_by: User | None) -> TrainingRun:
    """Have a run made. Raises Conflict where one of its kind is open already."""
    try:
        with transaction.atomic():
            run = TrainingRun.objects.create(
                kind=kind, parameters=parameters, requested_by=requested_by, nudged_at=timezone.now()
            )
    except IntegrityError as error:
        raise Conflict("One is being made already.") from error
    transaction.on_commit(lambda: nudge_worker(run.pk))
    return run


def cancel_run(*, run_id: int) -> None:
    """Stop the run: at once if it waits, with its next heartbeat if it runs. One that has ended stays as it is."""
    # The wish first: whoever requeues the run between the two lines leaves one that nobody may claim.
    TrainingRun.objects.filter(pk=run_id, status__in=TrainingRun.OPEN).update(cancel_requested=True)
    end_cancelled(TrainingRun.objects.filter(pk=run_id, status=Status.QUEUED))
    announce_run(run_id)


def nudge_worker(run_id: int) -> bool:
    """Tell the training worker to look at the run. False where the broker does not take it; the sweeper tries again."""
    try:
        current_app.send_task(RUN_TASK, args=[run_id], expires=NUDGE_AGAIN_AFTER.total_seconds())
    except (BrokerError, RedisError, OSError) as error:
        logger.warning("no worker was told of training run %s: the broker does not answer (%s)", run_id, error)
        return False
    return True


# --- The sweeper ----------------------------------------------------------------------------------


def sweep_runs() -> int:
    """Put runs that lost their worker back in the queue and nudge for what waits. Returns how many nudges went out."""
    now = timezone.now()
    lost = TrainingRun.objects.filter(status=Status.RUNNING, lease_expires_at__lt=now)
    waiting = TrainingRun.objects.filter(status=Status.QUEUED)
    end_cancelled(lost | waiting)
    failed = lost.filter(attempt__gte=MAX_ATTEMPTS).update(
        status=Status.FAILED, error=LOST, message="", finished_at=now, lease_expires_at=None
    )
    requeued = lost.update(status=Status.QUEUED, message=WAITS_AGAIN, share=None, nudged_at=None, lease_expires_at=None)
    if failed or requeued:
        logger.warning("training runs that lost their worker: %d wait again, %d failed for good", requeued, failed)
    overdue = waiting.filter(Q(nudged_at=None) | Q(nudged_at__lt=now - NUDGE_AGAIN_AFTER))
    nudged = 0
    for run_id in overdue.values_list("pk", flat=True):
        if not nudge_worker(run_id):
            break  # the broker is down; the next round asks again
        TrainingRun.objects.filter(pk=run_id).update(nudged_at=now)
        nudged += 1
    return nudged


# --- A worker ---------------------------------------------------------------------------------------


def claim_run(*, run_id: int) -> TrainingRun | None:
    """Take the run for this worker if it waits. Nobody else can write its attempt."""
    now = timezone.now()
    claimed = TrainingRun.objects.filter(pk=run_id, status=Status.QUEUED, cancel_requested=False).update(
        status=Status.RUNNING,
        attempt=F("attempt") + 1,
        started_at=now,
        lease_expires_at=now + LEASE,
        message="Starting",
        share=None,
    )
    return TrainingRun.objects.get(pk=run_id) if claimed else None


def end_cancelled(runs: QuerySet[TrainingRun]) -> None:
    """End those of the runs whose cancellation was asked for."""
    runs.filter(cancel_requested=True).update(
        status=Status.CANCELLED, message="", finished_at=timezone.now(), lease_expires_at=None
    )
