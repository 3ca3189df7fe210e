"""Telling workers what to do: look at a turn, stop a reply. The fast path only.

A lost nudge is repeated by the sweeper, and a lost stop is read from the database by the worker's heartbeat.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from uuid import UUID

import redis
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from chatbot.conversations.connections import connect

logger = logging.getLogger(__name__)

# By name, since tasks stand above everything that nudges.
REPLY_TASK = "chatbot.conversations.tasks.generate_reply"
STOP_CHANNEL = "frontdesk:stop"
RECONNECT_S = 1.0


def nudge(turn_id: UUID) -> bool:
    """Tell a worker that the turn waits. False where the broker does not take it; the sweeper tries again."""
    try:
        current_app.send_task(REPLY_TASK, args=[str(turn_id)])
    except (OperationalError, RedisError, OSError) as error:
        logger.warning("no worker was told of turn %s: the broker does not answer (%s)", turn_id, error)
        return False
    return True


def request_stop(turn_id: UUID) -> None:
    """Ask whichever worker runs the turn to stop it. A dead broker is logged; the heartbeat brings the wish later."""
    try:
        with connect() as client:
            client.publish(STOP_CHANNEL, str(turn_id))
    except RedisError as error:
        logger.warning("the broker does not take a stop request (%s); the worker's heartbeat will read it", error)


class StopListener:
    """A thread that calls `stop(turn_id)` for every request; it reconnects for as long as it lives."""

    def __init__(self, stop: Callable[[UUID], None]) -> None:
        self._stop = stop
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stop-listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._listen()
            except (RedisError, OSError):
                # The next round connects again; readiness and the publisher report the broker's state.
                self._closed.wait(RECONNECT_S)
            except Exception:  # a generation that can't be stopped must not make the others unstoppable
                logger.exception("a stop request failed")
                self._closed.wait(RECONNECT_S)

    def _listen(self) -> None:
        client = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1)
        with client, client.pubsub(ignore_subscribe_messages=True) as subscription:  # type: ignore[no-untyped-call]
            subscription.subscribe(STOP_CHANNEL)
            while not self._closed.is_set():
                message = subscription.get_message(timeout=1.0)
                if message is None:
                    continue
                try:
                    turn_id = UUID(message["data"].decode())
                except ValueError:
                    continue
                self._stop(turn_id)
