"""Many threads, one model: what waits while a forward pass runs is computed together in the next one.

Nothing waits for company. A lone item is computed at once by the thread that brings it; items that arrive meanwhile
become the next batch, computed by one of their own threads. So there is no window to tune and no thread to keep.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# More than this in one pass makes the first in line wait longer than two passes would.
MAX_BATCH = 32


class Batcher(Generic[Item, Result]):
    """Calls `compute` with several threads' items at once. Safe to use from any number of threads."""

    def __init__(self, compute: Callable[[Sequence[Item]], Sequence[Result]], max_batch: int = MAX_BATCH) -> None:
        """`compute` gives a result for each item, in order. It is never called twice at the same time."""
        self._compute = compute
        self._max_batch = max_batch
        self._waiting: list[_Place[Item, Result]] = []
        self._changed = threading.Condition()
        self._busy = False

    def __call__(self, item: Item) -> Result:
        """The item's result. Raises what `compute` raises for this item alone."""
        place: _Place[Item, Result] = _Place(item)
        with self._changed:
            self._waiting.append(place)
        while (batch := self._next_batch(place)) is not None:
            try:
                self._fill(batch)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
        return place.take()

    def _next_batch(self, place: _Place[Item, Result]) -> list[_Place[Item, Result]] | None:
        """What this thread should compute next, or None once its own place is filled."""
        with self._changed:
            self._changed.wait_for(lambda: place.is_filled or not self._busy)
            if place.is_filled:
                return None
            self._busy = True
            batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
            return batch

    def _fill(self, batch: list[_Place[Item, Result]]) -> None:
        try:
            results = self._compute([place.item for place in batch])
            for place, result in zip(batch, results, strict=True):
                place.results.append(result)
        except BaseException as error:
            for place in batch:
                place.results.clear()
            if len(batch) == 1 or not isinstance(error, Exception):
                for place in batch:
                    place.error = error
                return
            # One customer's text must not cost the others their answer.
            for place in batch:
                self._fill([place])


class _Place(Generic[Item, Result]):
    """One item in line."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.results: list[Result] = []
        self.error: BaseException | None = None

    @property
    def is_filled(self) -> bool:
        return bool(self.results) or self.error is not None

    def take(self) -> Result:
        if self.error is not None:
            raise self.error
        return self.results[0]
