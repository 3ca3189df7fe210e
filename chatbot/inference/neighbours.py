"""The vote of near examples, beside a linear head.

A linear head has one direction for an intent and smooths over examples that lie apart from the others. The vote brings
them back: log Σ exp((cosine − 1) / WIDTH) over an intent's examples, a kernel density, is added to the intent's logit
with a small weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# How fast a vote fades with distance: an example at a cosine of 0.9 counts a thirtieth of the same text.
WIDTH = 0.03
# A density below this is none: further away than a cosine of about 0.4 all examples are as far.
_FLOOR = 1e-9
_BLOCK = 512


@dataclass(frozen=True, eq=False, slots=True)
class NeighbourVote:
    """`examples` are [n, dimension], float32, of unit length, by intent; `counts`, [intents], are how many each has."""

    examples: NDArray[np.float32]
    counts: NDArray[np.int64]
    weight: float

    def __post_init__(self) -> None:
        if self.examples.ndim != 2 or self.counts.ndim != 1 or self.counts.sum() != len(self.examples):
            raise ValueError("the voting examples and their counts do not belong together")
        if len(self.counts) == 0 or self.counts.min() < 1:
            raise ValueError("an intent without a voting example")
        if not np.isfinite(self.examples).all() or not 0 < self.weight < float("inf"):
            raise ValueError("a vote that is not finite")

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """What the examples add to the logits of `features`, [n, dimension], of unit length: shape [n, intents]."""
        starts = np.concatenate([[0], np.cumsum(self.counts)[:-1]])
        added = np.empty((len(features), len(self.counts)), dtype=np.float64)
        for start in range(0, len(features), _BLOCK):
            nearness = np.exp((features[start : start + _BLOCK] @ self.examples.T - 1) / WIDTH)
            density = np.add.reduceat(nearness, starts, axis=1)
            added[start : start + _BLOCK] = self.weight * np.log(density + _FLOOR)
        return added
