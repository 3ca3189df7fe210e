"""What is cleared away in the background: customers who are to be forgotten. Runs in the sweeper's process."""

from __future__ import annotations

import logging
import threading

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections

from chatbot.training.erasure import carry_out_open

logger = logging.getLogger(__name__)


def keep_house(stopped: threading.Event) -> None:
    """Look every few seconds until `stopped` is set. Whatever goes wrong is tried again."""
    while not stopped.is_set():
        close_old_connections()
        keep_house_once()
        stopped.wait(settings.SWEEP_INTERVAL_S)


def keep_house_once() -> None:
    """One round. Never raises."""
    try:
        carry_out_open()
    except DatabaseError as error:
        logger.error("nothing was cleared away: the database does not answer (%s)", error)
    except Exception:  # a fault of ours must not end the thread
        logger.exception("a round of clearing away failed")
