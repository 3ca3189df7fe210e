"""How far chance may have moved a figure: confidence intervals by the paired bootstrap.

Rows are drawn again with replacement, and both releases are measured on the same draw, so what makes a row hard for
both cancels out (Efron, Tibshirani 1993; for comparing systems on one test set Koehn 2004, “Statistical Significance
Tests for Machine Translation Evaluation”). Rows of one conversation are not independent, so whole conversations are
drawn. Pure: numpy alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
# Of the rows with these numbers; NaN where that cannot be said of them.
Statistic = Callable[[Rows], float]

LEVEL = 0.95
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the bounds between which it lies in `LEVEL` of the draws."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """A figure of all rows and of every draw; NaN where it cannot be said of them."""

    value: float
    drawn: NDArray[np.float64]

    @property
    def interval(self) -> Interval | None:
        """The figure with its bounds; None where it cannot be said."""
        drawn = self.drawn[~np.isnan(self.drawn)]
        if np.isnan(self.value) or len(drawn) == 0:
            return None
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail])
        return Interval(float(self.value), float(low), float(high))

    def __sub__(self, other: Sample) -> Sample:
        """Draw by draw, which is what makes the comparison a paired one."""
        return Sample(self.value - other.value, self.drawn - other.drawn)

    def __truediv__(self, other: Sample) -> Sample:
        return Sample(self.value / other.value, self.drawn / other.drawn)


class Resampling:
    """Draws of row numbers, the same ones for everything that is compared."""

    def __init__(self, groups: Sequence[Hashable], *, resamples: int = RESAMPLES, seed: int = 0) -> None:
        """`groups` names each row's conversation; rows of one are drawn together."""
        numbers: dict[Hashable, list[int]] = {}
        for row, group in enumerate(groups):
            numbers.setdefault(group, []).append(row)
        self._groups = [np.array(rows, dtype=np.int64) for rows in numbers.values()]
        self._count = len(groups)
        self._resamples = resamples
        self._seed = seed

    @property
    def groups(self) -> int:
        """How many may be drawn."""
        return len(self._groups)

    def interval(self, statistic: Statistic) -> Interval | None:
        """The statistic on all rows, and its bounds; None where it cannot be said of them."""
        return self.sample(statistic).interval

    def sample(self, statistic: Statistic) -> Sample:
        """The statistic on all rows, and on each draw."""
        value = statistic(np.arange(self._count, dtype=np.int64))
        return Sample(value, np.array([statistic(rows) for rows in self._draws()]))

    def _draws(self) -> Iterator[Rows]:
        chance = np.random.default_rng(self._seed)
        singles = len(self._groups) == self._count
        for _ in range(self._resamples):
            chosen = chance.integers(len(self._groups), size=len(self._groups))
            yield chosen if singles else np.concatenate([self._groups[group] for group in chosen])


def wilson(successes: float, trials: int) -> Interval | None:
    """A share of so many trials with its score interval (Wilson 1927), which holds for few trials and extreme shares.

    None of no trials.
    """
    if trials == 0:
        return None
    z = 1.959963984540054  # two-sided, at LEVEL
    share = successes / trials
    scale = 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / scale
    reach = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / scale
    # Rounding must not put a share of 0 or 1 outside its own interval.
    return Interval(share, float(max(0.0, min(share, centre - reach))), float(min(1.0, max(share, centre + reach))))
