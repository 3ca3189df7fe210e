"""How strange a text is to a classifier, and from where on it counts as out of scope.

Every score grows with strangeness:

    probability   1 − the highest softmax probability (Hendrycks, Gimpel 2017)
    energy        −log Σ exp(logits) (Liu et al. 2020)
    distance      1 − cosine to the nearest intent's centre
    neighbours    1 − mean cosine to the nearest training examples (Sun et al. 2022, on unit-length features)
    mahalanobis   distance to the nearest centre in the examples' own covariance, less the distance to the whole
                  (relative Mahalanobis, Ren et al. 2021)

A rule is one of them, or the mean of several, each standardised by what it is on in-scope text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

ScoreName = Literal["probability", "energy", "distance", "neighbours", "mahalanobis"]
SCORES: tuple[ScoreName, ...] = get_args(ScoreName)

# Enough to smooth over one odd example, few enough for an intent with a handful of them.
NEIGHBOURS = 5


@dataclass(frozen=True, slots=True)
class ScorePart:
    """One score of a rule, with its mean and standard deviation on held-out in-scope text."""

    name: ScoreName
    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in SCORES:
            raise ValueError(f"unknown out-of-scope score {self.name!r}")
        if not self.deviation > 0:
            raise ValueError("a standard deviation must be positive")


@dataclass(frozen=True, slots=True)
class OutOfScopeRule:
    """The mean of the standardised parts, and the score above which a text is out of scope."""

    parts: tuple[ScorePart, ...]
    threshold: float

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("an out-of-scope rule needs a score")

    @property
    def score(self) -> str:
        """The rule in a word, such as `energy+distance`."""
        return "+".join(part.name for part in self.parts)

    def combine(self, scores: dict[ScoreName, NDArray[np.float64]]) -> NDArray[np.float64]:
        """The rule's scores, shape [n], from the raw ones of each part."""
        standardised = [(scores[part.name] - part.mean) / part.deviation for part in self.parts]
        combined: NDArray[np.float64] = np.mean(standardised, axis=0)
        return combined


@dataclass(frozen=True, eq=False, slots=True)
class Geometry:
    """Where the training examples lie: all float32, in the space of the features, whose rows have unit length.

    `centres` is [intents, dimension], of unit length. `exemplars`, [n, dimension], are the examples that neighbours are
    sought among. `within` and `overall`, [dimension, dimension], whiten by the covariance of the examples around their
    centres and around `mean`. What no rule needs is None.
    """

    centres: NDArray[np.float32]
    exemplars: NDArray[np.float32] | None = None
    mean: NDArray[np.float32] | None = None
    within: NDArray[np.float32] | None = None
    overall: NDArray[np.float32] | None = None

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """What is there, by name."""
        named = {name: getattr(self, name) for name in self.__slots__}
        return {name: array for name, array in named.items() if array is not None}

    def has(self, name: ScoreName) -> bool:
        """Whether the score can be computed from it."""
        if name == "neighbours":
            return self.exemplars is not None
        if name == "mahalanobis":
            return self.mean is not None and self.within is not None and self.overall is not None
        return True


def strangeness(
    name: ScoreName, features: NDArray[np.float32], logits: NDArray[np.float64], geometry: Geometry
) -> NDArray[np.float64]:
    """The raw score `name` of each row, shape [n]. Raises ValueError where the geometry lacks what it needs."""
    if name == "probability":
        return 1.0 - softmax(logits).max(axis=1)
    if name == "energy":
        return energy(logits)
    if name == "distance":
        return centre_distance(features, geometry.centres)
    if not geometry.has(name):
        raise ValueError(f"the geometry lacks what the score {name} needs")
    if name == "neighbours":
        return _neighbour_distance(features, geometry)
    return _relative_mahalanobis(features, geometry)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row-wise softmax that does not overflow."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    normalised: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return normalised


def energy(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Negative log-sum-exp of each row: high where no intent's logit stands out."""
    highest = logits.max(axis=1)
    result: NDArray[np.float64] = -(highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1)))
    return result


def centre_distance(features: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.float64]:
    """One minus the cosine of each row to the nearest of the unit-length centres."""
    result: NDArray[np.float64] = (1.0 - (features @ centres.T).max(axis=1)).astype(np.float64)
    return result


def _neighbour_distance(features: NDArray[np.float32], geometry: Geometry) -> NDArray[np.float64]:
    assert geometry.exemplars is not None
    count = min(NEIGHBOURS, len(geometry.exemplars))
    cosines = features @ geometry.exemplars.T
    nearest = np.partition(cosines, -count, axis=1)[:, -count:]
    result: NDArray[np.float64] = (1.0 - nearest.mean(axis=1)).astype(np.float64)
    return result


def _relative_mahalanobis(features: NDArray[np.float32], geometry: Geometry) -> NDArray[np.float64]:
    assert geometry.mean is not None
    assert geometry.within is not None
    assert geometry.overall is not None
    whitened, centres = features @ geometry.within, geometry.centres @ geometry.within
    squares = (whitened**2).sum(axis=1)[:, None] - 2 * whitened @ centres.T + (centres**2).sum(axis=1)
    overall = (((features - geometry.mean) @ geometry.overall) ** 2).sum(axis=1)
    result: NDArray[np.float64] = (squares.min(axis=1) - overall).astype(np.float64)
    return result
