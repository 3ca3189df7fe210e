"""The linear head over given features, the examples that vote beside it, and the geometry of the examples around it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chatbot.inference.neighbours import NeighbourVote
from chatbot.inference.out_of_scope import Geometry

# Flat between 10 and 100 on BANKING77 and CLINC150 (unit-length embeddings): searching for it would only buy noise.
INVERSE_REGULARISATION = 30.0
_MAX_ITERATIONS = 500
# Neighbours are sought among so many examples of each intent: more cost every message time and tell little more.
_EXEMPLARS = 16
# So many examples of each intent vote: with fewer the vote is coarser, with more no better and slower.
_VOTERS = 64
# Flat between 0.1 and 0.5 on tuned features (docs/log.md); on frozen ones the vote may harm, so `fast` has none.
_VOTE = 0.2


@dataclass(frozen=True, slots=True)
class LinearHead:
    """`weights` are [intents, dimension], `bias` is [intents], both float32."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Uncalibrated scores, shape [n, intents]."""
        return (features @ self.weights.T + self.bias).astype(np.float64)


@dataclass(frozen=True, slots=True)
class VotingHead:
    """A linear head, and the examples that vote beside it."""

    linear: LinearHead
    vote: NeighbourVote

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Uncalibrated scores, shape [n, intents]."""
        return self.linear.logits(features) + self.vote.logits(features)


def fit_head(features: NDArray[np.float32], labels: NDArray[np.int64]) -> LinearHead:
    """Multinomial logistic regression. Every label from 0 to the highest must occur."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=_MAX_ITERATIONS)
    # One thread: the matrices are small, and threads that spin for each other are ten times slower on a busy machine.
    with warnings.catch_warnings(), threadpool_limits(limits=1, user_api="blas"):
        # Stopping at the limit changes the third digit of a logit; calibration sees to the rest.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, labels)
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:
        # Two intents: scikit-learn keeps one row, whose sigmoid is the softmax over minus and plus half of it.
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    return LinearHead(weights.astype(np.float32), bias.astype(np.float32))


def gather_vote(features: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> NeighbourVote:
    """The vote of the examples, of at most so many an intent. Every label from 0 to the highest must occur."""
    chosen = _spread(labels, _VOTERS, seed)
    chosen = chosen[np.argsort(labels[chosen], kind="stable")]
    return NeighbourVote(features[chosen], np.bincount(labels[chosen]).astype(np.int64), _VOTE)


def fit_geometry(features: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> Geometry:
    """Centres, exemplars and whitening of the examples. Covariances are shrunk as Ledoit and Wolf (2004) do."""
    from threadpoolctl import threadpool_limits

    means = class_means(features, labels)
    centres = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    mean = features.mean(axis=0)
    with threadpool_limits(limits=1, user_api="blas"):
        within, overall = _whitening(features - means[labels]), _whitening(features - mean)
    return Geometry(
        centres=centres.astype(np.float32),
        exemplars=features[_spread(labels, _EXEMPLARS, seed)],
        mean=mean.astype(np.float32),
        within=within,
        overall=overall,
    )


def class_means(features: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of each label's rows, shape [labels, dimension]."""
    sums = np.zeros((int(labels.max()) + 1, features.shape[1]), dtype=np.float64)
    np.add.at(sums, labels, features)
    means: NDArray[np.float64] = sums / np.maximum(np.bincount(labels), 1)[:, None]
    return means


def _spread(labels: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """At most so many rows of each label, drawn at random, in their order."""
    generator = np.random.default_rng(seed)
    chosen = [generator.permutation(np.flatnonzero(labels == label))[:most] for label in range(int(labels.max()) + 1)]
    return np.sort(np.concatenate(chosen))


def _whitening(residuals: NDArray[np.floating]) -> NDArray[np.float32]:
    """[dimension, dimension]; the squared length of a row times it is the row's squared Mahalanobis length."""
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(residuals, assume_centered=True)
    # Rows that are all alike have no covariance at all.
    covariance += np.eye(len(covariance)) * max(1e-6, 1e-3 * float(np.trace(covariance)) / len(covariance))
    factor: NDArray[np.float32] = np.linalg.cholesky(np.linalg.inv(covariance)).astype(np.float32)
    return factor
