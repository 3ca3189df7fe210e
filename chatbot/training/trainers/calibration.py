"""What makes a score trustworthy: temperature, calibration error, and the threshold of the out-of-scope decision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chatbot.inference.out_of_scope import softmax

# A shop that turns away one answerable question in twenty is already turning away too many.
MAX_IN_SCOPE_REJECTED = 0.05
# Without out-of-scope examples nothing can be traded off: only the strangest fortieth of known questions is rejected.
_QUANTILE_WITHOUT_EXAMPLES = 0.975


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The temperature that minimises the negative log-likelihood of `labels`. Logits must be of held-out rows.

    A handful of rows that are all right would drive it to certainty, so each fit starts with the weight of one row that
    says 1; among hundreds it disappears.
    """
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        probabilities = softmax(logits / np.exp(log_temperature))
        likelihood = np.log(np.maximum(probabilities[rows, labels], 1e-12)).sum()
        return float(log_temperature**2 - likelihood)

    # Beyond a factor of twenty either way a head is broken, not miscalibrated.
    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def expected_calibration_error(probabilities: NDArray[np.float64], labels: NDArray[np.int64], bins: int = 15) -> float:
    """Mean distance of confidence from accuracy over equal-width bins of the top confidence, weighted by size."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(which, minlength=bins)
    gaps = np.abs(
        np.bincount(which, weights=confidence, minlength=bins)
        - np.bincount(which, weights=correct.astype(float), minlength=bins)
    )
    return float(gaps[counts > 0].sum() / len(labels))


def choose_threshold(
    in_scope: NDArray[np.float64], out_of_scope: NDArray[np.float64], max_rejected: float = MAX_IN_SCOPE_REJECTED
) -> float:
    """The score above which a text is out of scope, from the scores of held-out texts of both sorts.

    Maximises (out-of-scope caught − in-scope rejected) among thresholds that reject at most `max_rejected` of in-scope
    text.
    """
    if len(out_of_scope) == 0:
        return float(np.quantile(in_scope, max(_QUANTILE_WITHOUT_EXAMPLES, 1 - max_rejected)))
    scores = np.unique(np.concatenate([in_scope, out_of_scope]))
    # Between two neighbouring scores, so that neither lies on the edge.
    candidates = np.concatenate([(scores[1:] + scores[:-1]) / 2, scores[-1:]])
    rejected = 1 - np.searchsorted(np.sort(in_scope), candidates, side="right") / len(in_scope)
    caught = 1 - np.searchsorted(np.sort(out_of_scope), candidates, side="right") / len(out_of_scope)
    gain = np.where(rejected <= max_rejected, caught - rejected, -np.inf)
    return float(candidates[int(np.argmax(gain))])


def area_under_roc(in_scope: NDArray[np.float64], out_of_scope: NDArray[np.float64]) -> float:
    """The chance that a random out-of-scope text scores higher than a random in-scope one; ties count half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([in_scope, out_of_scope]))
    count = len(out_of_scope)
    return float((ranks[len(in_scope) :].sum() - count * (count + 1) / 2) / (count * len(in_scope)))
