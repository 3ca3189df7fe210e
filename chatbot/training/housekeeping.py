"""Clearing away in the sweeper's process: customers who are to be forgotten, what is old, files nobody sent."""

from __future__ import annotations

import logging
import threading

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections

from chatbot.conversations.attachments.services import delete_unsent
from chatbot.training.erasure import carry_out_open
from chatbot.training.retention import apply_retention

logger = logging.getLogger(__name__)


def keep_house(stopped: threading.Event) -> None:
    """Look every few seconds until `stopped` is set. Whatever goes wrong is tried again."""
    rounds = 0
    per_hour = max(1, int(3600 / settings.SWEEP_INTERVAL_S))
    while not stopped.is_set():
        close_old_connections()
        keep_house_once(hourly=rounds % per_hour == 0)
        rounds += 1
        stopped.wait(settings.SWEEP_INTERVAL_S)


def keep_house_once(*, hourly: bool = True) -> None:
    """One round, with what is done once an hour or without. Never raises."""
    for clear in (carry_out_open, *((apply_retention, delete_unsent) if hourly else ())):
        try:
            clear()
        except DatabaseError as error:
            logger.error("nothing was cleared away: the database does not answer (%s)", error)
            return
        except Exception:  # what one stumbles over must not keep the others from theirs
            logger.exception("a round of clearing away failed")
