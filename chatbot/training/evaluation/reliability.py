"""Whether confidences can be believed: the reliability diagram, the calibration error, and how much of it is chance.

On few rows even a perfectly calibrated classifier shows an error (the estimate is biased upwards). How large it would
be is found as in Bröcker, Smith 2007, “Increasing the Reliability of Reliability Diagrams”: rows are drawn as right or
wrong by their own confidences, so that calibration holds by construction, and the error is measured again. Pure: numpy
alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatbot.training.evaluation.measures import rounded

BINS = 15
_DRAWS = 500
# Of the draws, how many have a smaller error.
_CHANCE_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows whose confidence lies between two bounds: how many, their mean confidence, and how many are right."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Mean distance of confidence from accuracy over equal-width bins, weighted by size (Guo et al. 2017)."""
    counts, confidences, rights = _binned(confidence, right)
    return float(np.abs(confidences - rights)[counts > 0].sum() / max(1, counts.sum()))


def reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> list[ReliabilityBin]:
    """The bins that hold rows, the least confident first."""
    counts, confidences, rights = _binned(confidence, right)
    return [
        ReliabilityBin(
            number / BINS,
            (number + 1) / BINS,
            int(counts[number]),
            float(confidences[number] / counts[number]),
            float(rights[number] / counts[number]),
        )
        for number in np.flatnonzero(counts)
    ]


def error_by_chance(confidence: NDArray[np.float64], *, seed: int = 0) -> float:
    """The error that a perfectly calibrated classifier with these confidences stays below in 95 of 100 draws."""
    if len(confidence) == 0:
        return 0.0
    chance = np.random.default_rng(seed)
    errors = [calibration_error(confidence, chance.random(len(confidence)) < confidence) for _ in range(_DRAWS)]
    return float(np.quantile(errors, _CHANCE_LEVEL))


def described(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, Any]:
    """All of it, JSON-ready."""
    return {
        "error": rounded(calibration_error(confidence, right)),
        "by_chance": rounded(error_by_chance(confidence)),
        "bins": [
            {
                "low": rounded(each.low),
                "high": rounded(each.high),
                "rows": each.rows,
                "confidence": rounded(each.confidence),
                "accuracy": rounded(each.accuracy),
            }
            for each in reliability(confidence, right)
        ],
    }


def _binned(
    confidence: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    which = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return (
        np.bincount(which, minlength=BINS),
        np.bincount(which, weights=confidence, minlength=BINS).astype(np.float64),
        np.bincount(which, weights=right, minlength=BINS).astype(np.float64),
    )
