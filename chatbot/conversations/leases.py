"""The turns that this worker is answering: their leases, and the ways in which they are told to stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections

from chatbot.conversations import delivery
from chatbot.conversations.models import Turn

logger = logging.getLogger(__name__)


class Stoppable(Protocol):
    """A generation."""

    def cancel(self) -> None: ...


class ActiveTurn:
    """One attempt in progress. `stop_requested` is the customer's wish, `lost` means that another attempt took over."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.stop_requested = False
        self.lost = False
        self._lock = threading.Lock()
        self._generation: Stoppable | None = None

    def attach(self, generation: Stoppable) -> None:
        """The generation to cancel; at once if the wish came before it began."""
        with self._lock:
            self._generation = generation
            ended = self.stop_requested or self.lost
        if ended:
            generation.cancel()

    def stop(self) -> None:
        self.stop_requested = True
        self._cancel()

    def lose(self) -> None:
        self.lost = True
        self._cancel()

    def _cancel(self) -> None:
        with self._lock:
            generation = self._generation
        if generation is not None:
            generation.cancel()


class Leases:
    """All attempts of this worker, renewed by one heartbeat thread."""

    def __init__(self, owner: str, beat: Callable[[], None]) -> None:
        """`owner` names the worker in the database; `beat` is called with every heartbeat."""
        self.owner = owner
        self._beat = beat
        self._active: dict[UUID, ActiveTurn] = {}
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join(timeout=2)

    @contextmanager
    def hold(self, turn: Turn) -> Iterator[ActiveTurn]:
        """Renew the turn's lease for as long as the block runs."""
        active = ActiveTurn(turn)
        with self._lock:
            self._active[turn.id] = active
            self._idle.clear()
        try:
            yield active
        finally:
            with self._lock:
                if self._active.get(turn.id) is active:
                    del self._active[turn.id]
                if not self._active:
                    self._idle.set()

    def wait_idle(self, timeout: float) -> bool:
        """Until this worker answers nothing, for so many seconds at most. Whether that is so."""
        return self._idle.wait(timeout)

    def stop(self, turn_id: UUID) -> None:
        """The customer pressed stop. Turns of other workers are none of our business."""
        with self._lock:
            active = self._active.get(turn_id)
        if active is not None:
            active.stop()

    def active_turns(self) -> list[ActiveTurn]:
        with self._lock:
            return list(self._active.values())

    def renew(self) -> None:
        """Extend every lease; stop what was lost and what is to be stopped."""
        attempts = {active.turn.id: active for active in self.active_turns()}
        if not attempts:
            return
        held, to_stop = delivery.renew_leases(
            owner=self.owner, attempts={turn_id: active.turn.attempt for turn_id, active in attempts.items()}
        )
        for turn_id, active in attempts.items():
            if turn_id not in held:
                active.lose()
            elif turn_id in to_stop:
                active.stop()

    def _run(self) -> None:
        while not self._closed.wait(settings.TURN_HEARTBEAT_S):
            close_old_connections()
            try:
                self.renew()
                self._beat()
            except DatabaseError as error:
                logger.error("leases were not renewed: the database does not answer (%s)", error)
            except Exception:  # without heartbeats the worker would lose every turn that it takes
                logger.exception("a heartbeat failed")
