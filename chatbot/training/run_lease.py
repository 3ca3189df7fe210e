"""Holding a claimed training run: its lease, and what it says of itself while it works."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.utils import timezone

from chatbot.exceptions import RunStopped
from chatbot.training.announcements import announce_run
from chatbot.training.curves import Point
from chatbot.training.models import CurvePoint, TrainingRun
from chatbot.training.runs import LEASE, Status, end_cancelled

logger = logging.getLogger(__name__)

# Also how long a wish to cancel goes unnoticed.
HEARTBEAT_S = 1.0
# What a page shows of the log; the worker's own log has the rest.
LOG_LINES = 200
_FIGURES = ("loss", "held_out_loss", "learning_rate", "tokens_per_s")


class RunLease:
    """Renews a claimed run's lease and writes what the work says, once a second, from a thread of its own.

    A run that is to be cancelled ends with the next heartbeat; the work learns of it when it next reports progress.
    """

    def __init__(self, run: TrainingRun) -> None:
        self._mine = TrainingRun.objects.filter(pk=run.pk, attempt=run.attempt, status=Status.RUNNING)
        self._run_id = run.pk
        self._name = f"training run {run.pk}"
        self._message, self._share = run.message, run.share
        self._lines = run.log.splitlines()
        self._points: dict[int, Point] = {}
        self._lock = threading.Lock()
        self._left, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name=self._name, daemon=True)

    def __enter__(self) -> Self:
        # Held through long work, this thread's connection would be gone by the time it is needed.
        close_old_connections()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._left.set()
        self._thread.join()

    def progress(self, message: str, share: float | None) -> None:
        """What is being done, and how much of all is done where that can be said.

        Raises RunStopped once the run was cancelled or another worker has it.
        """
        phase = message.partition(":")[0]
        if phase != self._message.partition(":")[0]:
            self.note(phase)
        self._message = message[:200]
        if share is not None:
            self._share = share
        if self._stopped.is_set():
            raise RunStopped(f"{self._name} was stopped")

    def record(self, point: Point) -> None:
        """Add a point to the run's curves. A step that an earlier attempt had reached is written over."""
        with self._lock:
            self._points[point.step] = point

    def note(self, line: str) -> None:
        """Add a line to the run's log."""
        with self._lock:
            self._lines = [*self._lines, f"{timezone.localtime():%H:%M:%S} {' '.join(line.split())}"][-LOG_LINES:]

    def end(self, status: str, *, error: str = "", **values: Any) -> bool:
        """End the run as `status`. Returns False where it has ended or another worker has it; nothing is written.

        What took an hour to find out is not lost to a database that is away for a moment: this waits for it.
        """
        values |= {"status": status, "error": error[:400], "message": "", "lease_expires_at": None}
        while not self._stopped.is_set():
            try:
                self._write_points()
                ended = bool(self._mine.update(finished_at=timezone.now(), log="\n".join(self._lines), **values))
                announce_run(self._run_id)
                return ended
            except (OperationalError, InterfaceError) as fault:
                logger.warning("%s could not be ended: the database does not answer (%s)", self._name, fault)
                connection.close()
                self._stopped.wait(HEARTBEAT_S)
        return False

    def _keep(self) -> None:
        try:
            while not self._left.wait(HEARTBEAT_S) and not self._stopped.is_set():
                self._beat()
        finally:
            connection.close()

    def _beat(self) -> None:
        try:
            held = self._mine.filter(cancel_requested=False).update(
                lease_expires_at=timezone.now() + LEASE,
                message=self._message,
                share=self._share,
                log="\n".join(self._lines),
            )
            if held:
                self._write_points()
            else:
                end_cancelled(self._mine)
                self._stopped.set()
            announce_run(self._run_id)
        except DatabaseError as error:
            # Gone for a moment or for good; if for good, the lease runs out and another worker begins anew.
            logger.warning("%s was not kept alive: the database does not answer (%s)", self._name, error)
            connection.close()

    def _write_points(self) -> None:
        with self._lock:
            points, self._points = self._points, {}
        if not points:
            return
        try:
            CurvePoint.objects.bulk_create(
                [CurvePoint(run_id=self._run_id, **asdict(point)) for point in points.values()],
                update_conflicts=True,
                unique_fields=["run", "step"],
                update_fields=_FIGURES,
            )
        except DatabaseError:
            with self._lock:
                self._points = points | self._points
            raise
