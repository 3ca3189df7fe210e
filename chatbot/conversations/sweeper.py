"""The sweeper: what makes sure, without Celery and whatever the broker forgets, that no turn is left behind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections

from chatbot.conversations import delivery, services, triage
from chatbot.conversations.control import nudge

logger = logging.getLogger(__name__)

# A page that was opened and never written in says nothing to anyone after a day.
UNUSED_CONVERSATION_AGE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one round did."""

    requeued: int
    nudged: int


def sweep_once() -> Swept:
    """One round: turns that lost their worker, then turns that no worker has picked up."""
    requeued = delivery.requeue_expired_turns()
    nudged = 0
    for turn_id in delivery.take_overdue_nudges():
        if not nudge(turn_id):
            break  # the broker is down; each further turn would only wait for its own refusal
        nudged += 1
    return Swept(requeued, nudged)


def sweep_forever(stopped: threading.Event, also: Sequence[Callable[[], object]] = ()) -> None:
    """Sweep every few seconds until `stopped` is set; each round also calls `also`, the sweeps of the apps above.

    A database that does not answer costs a line, not the sweeper.
    """
    rounds = 0
    per_hour = max(1, int(3600 / settings.SWEEP_INTERVAL_S))
    while not stopped.is_set():
        close_old_connections()
        hourly: list[Callable[[], object]] = [_delete_unused] if rounds % per_hour == 0 else []
        for sweep in (_sweep_turns, *hourly, triage.triage_due, *also):
            try:
                sweep()
            except DatabaseError as error:
                logger.error("nothing was swept: the database does not answer (%s)", error)
                break
            except Exception:  # what one sweep stumbles over must not keep the others from theirs
                logger.exception("a round of the sweeper failed")
        rounds += 1
        stopped.wait(settings.SWEEP_INTERVAL_S)


def _sweep_turns() -> None:
    swept = sweep_once()
    if swept.requeued or swept.nudged:
        logger.info("swept: %d requeued, %d nudged", swept.requeued, swept.nudged)


def _delete_unused() -> None:
    services.delete_unused_conversations(older_than=UNUSED_CONVERSATION_AGE)
