"""The replies worker's process: its models, its leases, and how it takes a turn."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import Error as DatabaseError
from django.utils import timezone
from redis.exceptions import RedisError

from chatbot.conversations import delivery, presence, replies
from chatbot.conversations.claims import claim_oldest_turn
from chatbot.conversations.control import StopListener
from chatbot.conversations.desk import suggestions
from chatbot.conversations.leases import ActiveTurn, Leases
from chatbot.conversations.models import Turn
from chatbot.conversations.publisher import publisher
from chatbot.conversations.warmup import Warmup
from chatbot.exceptions import EngineError, LeaseLost, ModelFilesError, NotFound

if TYPE_CHECKING:
    from chatbot.releases.runtime import Runtime

logger = logging.getLogger(__name__)

# How long running replies may go on once the worker is told to leave; after that another worker takes them.
DRAIN_S = 6.0
# The engine died; the supervisor starts a fresh worker, which takes the turns that this one gives up.
EXIT_ENGINE_DEAD = 70


class ReplyWorker:
    """Takes turns and answers them with the models of its process."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.id = f"{_process_space()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._started_at = timezone.now().isoformat()
        self.leases = Leases(self.id, beat=self._on_beat)
        self._stops = StopListener(self.leases.stop)
        self.warmup = Warmup(runtime, self.leases)

    def start(self) -> None:
        self.leases.start()
        self._stops.start()
        self._on_beat()
        self.warmup.begin()

    def take(self, turn_id: uuid.UUID) -> None:
        """Told of a turn: answer the one that has waited longest, if any is free.

        Never raises: what goes wrong is the turn's outcome.
        """
        try:
            turn = claim_oldest_turn(owner=self.id)
        except DatabaseError as error:
            logger.error("turn %s was not claimed: the database does not answer (%s)", turn_id, error)
            return
        if turn is None:
            return
        turn_id = turn.id
        self._follow_promotions()
        with self.leases.hold(turn) as active:
            self.warmup.step_aside()
            try:
                replies.answer_turn(turn, active, self.runtime.models())
            except (LeaseLost, NotFound) as loss:
                # Another attempt has the turn, or it was erased with its customer.
                logger.info("%s", loss)
            except DatabaseError as error:
                logger.error("turn %s was not finished: the database does not answer (%s)", turn_id, error)
            except EngineError as error:
                self._give_up(active, "engine", error)
            except ModelFilesError as error:
                self._give_up(active, "model_missing", error)
            except Exception as error:  # a fault of ours must not leave the customer without an end
                logger.exception("turn %s attempt %d failed", turn_id, turn.attempt)
                self._give_up(active, "internal", error)

    def suggest(self, suggestion_id: uuid.UUID) -> None:
        """Draft a reply for an agent. Never raises: what goes wrong stands with the draft."""
        self._follow_promotions()
        try:
            suggestions.write_suggestion(suggestion_id=suggestion_id, models=self.runtime.models())
        except DatabaseError as error:
            logger.error("suggestion %s was not stored: the database does not answer (%s)", suggestion_id, error)

    def drain(self) -> None:
        """Told to leave: give running replies a little time, then let other workers have them."""
        timer = threading.Timer(DRAIN_S, self._release_all)
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        self._release_all()
        self._stops.close()
        self.warmup.close()
        self.leases.close()
        try:
            presence.withdraw(self.id)
        except RedisError:
            logger.debug("the broker is gone; this worker's presence expires by itself")
        publisher.close()
        self.runtime.close()

    def _give_up(self, active: ActiveTurn, code: str, error: Exception) -> None:
        """Let the turn be tried again while it has attempts left; else it fails."""
        turn = active.turn
        logger.error("turn %s attempt %d: %s", turn.id, turn.attempt, error)
        engine_alive = self.runtime.models().engine.alive
        try:
            if active.lost:
                return
            if turn.attempt < settings.TURN_MAX_ATTEMPTS:
                delivery.release_turn(turn=turn)
            else:
                delivery.fail_turn(turn=turn, code=code)
        except (LeaseLost, NotFound, DatabaseError) as loss:
            logger.warning("turn %s could not be given up: %s", turn.id, loss)
        if not engine_alive:
            self._end_with_engine()

    def _end_with_engine(self) -> None:
        logger.critical("the engine is dead; this worker ends so that a fresh one takes over")
        self._release_all()
        publisher.close()
        os._exit(EXIT_ENGINE_DEAD)

    def _release_all(self) -> None:
        for active in self.leases.active_turns():
            active.lose()
            try:
                delivery.release_turn(turn=active.turn)
            except DatabaseError as error:
                logger.error("turn %s was not given up, its lease runs out (%s)", active.turn.id, error)

    def _follow_promotions(self) -> None:
        if self.runtime.refresh():
            self.warmup.begin()

    def _on_beat(self) -> None:
        """Tell readiness, metrics and the dashboard that this worker lives, what it serves and how busy it is."""
        self._follow_promotions()
        models = self.runtime.models()
        if not models.engine.alive:
            self._end_with_engine()
        stats, notes = models.engine.stats(), self.runtime.notes()
        about = {
            "queue": "replies",
            "engine": models.engine.name,
            "problem": models.engine.problem,
            "classifier": models.classifier_release.name,
            "generator": models.generator_release.name,
            "refused": notes.refused,
            "kept": notes.kept,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started_at": self._started_at,
            "running": stats.running,
            "waiting": stats.waiting,
            "kv_use": stats.kv_use,
        }
        try:
            presence.announce(self.id, about)
        except RedisError as error:
            logger.warning("this worker could not announce itself: the broker does not answer (%s)", error)
        logger.debug("engine: %d running, %d waiting", stats.running, stats.waiting)


def release_abandoned_turns(worker_id: str) -> int:
    """Give up the turns whose worker was a process that this one could see and that no longer exists.

    A fresh worker then takes them at once instead of waiting for their leases to run out.
    """
    released = 0
    space, own_pid, _ = worker_id.split(":")
    for turn in Turn.objects.filter(status=Turn.Status.RUNNING, lease_owner__startswith=f"{space}:"):
        pid = turn.lease_owner.split(":")[1]
        # In a restarted container the predecessor had this process's own number.
        if pid == own_pid or not _alive(int(pid)):
            delivery.release_turn(turn=turn)
            released += 1
    return released


def _process_space() -> str:
    """Names the set of processes whose numbers mean something to each other: a host, or one container of it."""
    try:
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        namespace = "0"
    return f"{socket.gethostname()}/{namespace}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
