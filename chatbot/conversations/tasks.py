"""Celery's side of replies: a nudge to look at one turn. Losing it or running it twice changes nothing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from uuid import UUID

from celery import shared_task
from celery.signals import worker_init, worker_ready, worker_shutdown, worker_shutting_down
from django.db import Error as DatabaseError

from chatbot.exceptions import FrontdeskError

if TYPE_CHECKING:
    from chatbot.conversations.worker import ReplyWorker

logger = logging.getLogger(__name__)

QUEUE = "replies"
_worker: ReplyWorker | None = None


@shared_task
def generate_reply(turn_id: str) -> None:
    """Answer the turn if it is still free."""
    if _worker is None:
        raise RuntimeError(f"this worker does not consume the queue {QUEUE!r}, so it has no models")
    _worker.take(UUID(turn_id))


@shared_task
def suggest_reply(suggestion_id: str) -> None:
    """Draft a reply for an agent who waits for it. On the replies queue, since that worker has the models."""
    if _worker is None:
        raise RuntimeError(f"this worker does not consume the queue {QUEUE!r}, so it has no models")
    _worker.suggest(UUID(suggestion_id))


@shared_task
def classify_in_shadow() -> None:
    """Have the candidate that is on trial read what it has not read yet. On the maintenance queue."""
    from chatbot.conversations.shadow import classify_due

    classify_due()


@shared_task
def explain_prediction(turn_id: str) -> None:
    """Explain the turn's prediction if somebody waits for it. On the maintenance queue."""
    from chatbot.conversations.explanations import explain_turn

    explain_turn(turn_id=UUID(turn_id))


@worker_init.connect
def _load_models(sender: Any, **_: Any) -> None:
    """Before the worker takes its first task, if it consumes replies."""
    global _worker
    if QUEUE not in sender.app.amqp.queues.consume_from:
        return
    from chatbot.conversations.worker import ReplyWorker
    from chatbot.releases.runtime import Runtime

    try:
        _worker = ReplyWorker(Runtime.load())
        _worker.start()
    except (FrontdeskError, DatabaseError) as error:
        # Celery logs and swallows any other exception of a signal handler and would serve without models.
        logger.critical("this worker can't serve: %s", error)
        raise SystemExit(1) from error


@worker_ready.connect
def _take_abandoned(**_: Any) -> None:
    if _worker is not None:
        from chatbot.conversations.worker import release_abandoned_turns

        release_abandoned_turns(_worker.id)


@worker_shutting_down.connect
def _drain(**_: Any) -> None:
    if _worker is not None:
        _worker.drain()


@worker_shutdown.connect
def _close(**_: Any) -> None:
    if _worker is not None:
        _worker.close()
