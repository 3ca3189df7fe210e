"""The `fast` recipe: a frozen encoder and a logistic-regression head. Seconds for a catalogue of a thousand examples.

Every number it reports is measured on rows that the measured model was not fitted on, by cross-validation. It refuses
to know where examples come from and what becomes of the result.
"""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatbot.exceptions import ClassifierError
from chatbot.inference.classifier import (
    IntentClassifier,
    OutOfScopeRule,
    ScoreName,
    centre_distance,
    energy,
    softmax,
)
from chatbot.inference.encoder import Encoder
from chatbot.inference.weights import Progress
from chatbot.training.trainers.calibration import (
    area_under_roc,
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
)

PRESET = "fast"
FOLDS = 5
# Flat between 10 and 100 on BANKING77 and CLINC150 (unit-length embeddings): searching for it would only buy noise.
INVERSE_REGULARISATION = 30.0
_MAX_ITERATIONS = 500
# Used where nothing can be held out. MiniLM puts unrelated sentences below a cosine of about 0.3.
_FALLBACK_DISTANCE = 0.7


@dataclass(frozen=True, slots=True)
class TrainedClassifier:
    """A classifier and what cross-validation says of it. `configuration` is what would train it again."""

    classifier: IntentClassifier
    metrics: dict[str, Any]
    configuration: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Rows:
    intents: tuple[str, ...]
    texts: list[str]
    labels: NDArray[np.int64]
    out_of_scope: list[str]
    empty: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class _Head:
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    centres: NDArray[np.float32]

    def logits(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        return (embeddings @ self.weights.T + self.bias).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """Scores of rows by models that were not fitted on them. `fold` says which of the models scored a row."""

    labels: NDArray[np.int64]
    fold: NDArray[np.int64]
    logits: NDArray[np.float64]
    distance: NDArray[np.float64]
    strange_fold: NDArray[np.int64]
    strange_energy: NDArray[np.float64]
    strange_distance: NDArray[np.float64]


def train_fast(
    examples: Sequence[tuple[str, str]],
    out_of_scope: Sequence[str],
    encoder: Encoder,
    seed: int = 0,
    progress: Progress | None = None,
) -> TrainedClassifier:
    """Train on (text, intent) pairs; `out_of_scope` texts only tune and measure the out-of-scope decision.

    Raises ClassifierError in one sentence where the examples cannot make a classifier.
    """
    report = progress or (lambda _message, _share: None)
    rows = _collect(examples, out_of_scope)
    report("Embedding the examples", 0.0)
    embeddings = encoder.encode(rows.texts)
    strange = encoder.encode(rows.out_of_scope)
    fold = _assign_folds(rows.labels, seed)
    report("Cross-validating", 0.6)
    held_out = _cross_validate(embeddings, rows.labels, fold, strange)
    report("Fitting the head", 0.9)
    head = _fit_head(embeddings, rows.labels)
    metrics: dict[str, Any] = {
        "intents": len(rows.intents),
        "examples": len(rows.texts),
        "out_of_scope_examples": len(rows.out_of_scope),
        "dropped_empty": rows.empty,
        "dropped_duplicates": rows.duplicates,
    }
    if held_out is None:
        temperature, rule = 1.0, OutOfScopeRule("distance", _FALLBACK_DISTANCE)
        metrics |= {"method": "not measured: no intent has two examples, so none could be held out"}
    else:
        temperature = fit_temperature(held_out.logits, held_out.labels)
        rule = _fit_rule(held_out)
        metrics |= _measure(held_out, rule, len(rows.texts))
    metrics |= {"temperature": round(temperature, 4), "out_of_scope_score": rule.score}
    report("Trained", 1.0)
    return TrainedClassifier(
        classifier=IntentClassifier(
            intents=rows.intents,
            weights=head.weights,
            bias=head.bias,
            centres=head.centres,
            temperature=temperature,
            out_of_scope=rule,
            encoder_digest=encoder.digest,
        ),
        metrics=metrics,
        configuration={
            "preset": PRESET,
            "seed": seed,
            "inverse_regularisation": INVERSE_REGULARISATION,
            "folds": FOLDS,
        },
    )


def _collect(examples: Sequence[tuple[str, str]], out_of_scope: Sequence[str]) -> _Rows:
    """Drop empty texts and repeats of one text under one intent; sort, so that the order given does not matter."""
    given = [(_normalise(text), intent) for text, intent in examples]
    kept = sorted({(text, intent) for text, intent in given if text})
    strange = [_normalise(text) for text in out_of_scope]
    kept_strange = sorted({text for text in strange if text})
    intents = tuple(sorted({intent for _, intent in kept}))
    if not kept:
        raise ClassifierError("There is nothing to train on: no example has any text.")
    if len(intents) < 2:
        raise ClassifierError(
            f"A classifier needs examples of at least two intents; all {len(kept)} are of {intents[0]!r}."
        )
    position = {intent: index for index, intent in enumerate(intents)}
    empty = sum(not text for text, _ in given) + sum(not text for text in strange)
    return _Rows(
        intents=intents,
        texts=[text for text, _ in kept],
        labels=np.array([position[intent] for _, intent in kept], dtype=np.int64),
        out_of_scope=kept_strange,
        empty=empty,
        duplicates=len(given) + len(strange) - empty - len(kept) - len(kept_strange),
    )


def _normalise(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _assign_folds(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """A fold for each row, stratified by label; −1, always in training, for the only row of a label."""
    generator = np.random.default_rng(seed)
    counts = np.bincount(labels)
    folds = min(FOLDS, int(counts.max()))
    fold = np.full(len(labels), -1, dtype=np.int64)
    for label, count in enumerate(counts):
        if count >= 2:
            rows = generator.permutation(np.flatnonzero(labels == label))
            fold[rows] = (np.arange(count) + generator.integers(folds)) % folds
    return fold


def _fit_head(embeddings: NDArray[np.float32], labels: NDArray[np.int64]) -> _Head:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=_MAX_ITERATIONS)
    # One thread: the matrices are small, and threads that spin for each other are ten times slower on a busy machine.
    with warnings.catch_warnings(), threadpool_limits(limits=1, user_api="blas"):
        # Stopping at the limit changes the third digit of a logit; calibration sees to the rest.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(embeddings, labels)
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:
        # Two intents: scikit-learn keeps one row, whose sigmoid is the softmax over minus and plus half of it.
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    count = int(labels.max()) + 1
    sums = np.zeros((count, embeddings.shape[1]), dtype=np.float64)
    np.add.at(sums, labels, embeddings)
    centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return _Head(weights.astype(np.float32), bias.astype(np.float32), centres.astype(np.float32))


def _cross_validate(
    embeddings: NDArray[np.float32],
    labels: NDArray[np.int64],
    fold: NDArray[np.int64],
    strange: NDArray[np.float32],
) -> _HeldOut | None:
    """Scores of every row that can be held out, or None where none can."""
    measured = np.flatnonzero(fold >= 0)
    if len(measured) == 0:
        return None
    count = int(labels.max()) + 1
    logits = np.zeros((len(labels), count))
    distance = np.zeros(len(labels))
    # Each out-of-scope text is scored by one of the fold models, so that its score is of the same make.
    strange_fold = np.arange(len(strange), dtype=np.int64) % (int(fold.max()) + 1)
    strange_energy = np.zeros(len(strange))
    strange_distance = np.zeros(len(strange))
    for number in range(int(fold.max()) + 1):
        inside, theirs = fold == number, strange_fold == number
        head = _fit_head(embeddings[~inside], labels[~inside])
        if inside.any():
            logits[inside] = head.logits(embeddings[inside])
            distance[inside] = centre_distance(embeddings[inside], head.centres)
        if theirs.any():
            strange_energy[theirs] = energy(head.logits(strange[theirs]))
            strange_distance[theirs] = centre_distance(strange[theirs], head.centres)
    return _HeldOut(
        labels=labels[measured],
        fold=fold[measured],
        logits=logits[measured],
        distance=distance[measured],
        strange_fold=strange_fold,
        strange_energy=strange_energy,
        strange_distance=strange_distance,
    )


def _fit_rule(held_out: _HeldOut) -> OutOfScopeRule:
    """The score that separates best on held-out rows, with its threshold. Without out-of-scope rows: the blend."""
    known_energy = energy(held_out.logits)
    standard = {
        "energy_mean": float(known_energy.mean()),
        "energy_deviation": max(float(known_energy.std()), 1e-6),
        "distance_mean": float(held_out.distance.mean()),
        "distance_deviation": max(float(held_out.distance.std()), 1e-6),
    }
    names: tuple[ScoreName, ...] = ("blend", "energy", "distance")
    if len(held_out.strange_energy) == 0:
        names = ("blend",)
    best: tuple[float, OutOfScopeRule] | None = None
    for name in names:
        draft = OutOfScopeRule(name, 0.0, **standard)
        known = draft.combine(known_energy, held_out.distance)
        strange = draft.combine(held_out.strange_energy, held_out.strange_distance)
        separation = area_under_roc(known, strange) if len(strange) else 0.0
        if best is None or separation > best[0]:
            best = separation, OutOfScopeRule(name, choose_threshold(known, strange), **standard)
    assert best is not None
    return best[1]


def _measure(held_out: _HeldOut, rule: OutOfScopeRule, examples: int) -> dict[str, Any]:
    """Cross-validated metrics. Temperature and threshold are fitted anew without the fold that they are measured on."""
    from sklearn.metrics import f1_score

    predicted = held_out.logits.argmax(axis=1)
    seen = np.unique(held_out.labels)
    macro_f1 = f1_score(held_out.labels, predicted, labels=seen, average="macro", zero_division=0)
    known = rule.combine(energy(held_out.logits), held_out.distance)
    strange = rule.combine(held_out.strange_energy, held_out.strange_distance)
    probabilities = np.zeros_like(held_out.logits)
    rejected = np.zeros(len(known), dtype=bool)
    caught = np.zeros(len(strange), dtype=bool)
    for number in range(int(held_out.fold.max()) + 1):
        inside, theirs = held_out.fold == number, held_out.strange_fold == number
        temperature = fit_temperature(held_out.logits[~inside], held_out.labels[~inside])
        probabilities[inside] = softmax(held_out.logits[inside] / temperature)
        threshold = choose_threshold(known[~inside], strange[~theirs])
        rejected[inside] = known[inside] > threshold
        caught[theirs] = strange[theirs] > threshold
    return {
        "method": f"{int(held_out.fold.max()) + 1}-fold cross-validation",
        "measured_examples": len(held_out.labels),
        "unmeasured_examples": examples - len(held_out.labels),
        "accuracy": round(float((predicted == held_out.labels).mean()), 4),
        "macro_f1": round(float(macro_f1), 4),
        "ece": round(expected_calibration_error(probabilities, held_out.labels), 4),
        "oos_auroc": round(area_under_roc(known, strange), 4) if len(strange) else None,
        "oos_recall": round(float(caught.mean()), 4) if len(strange) else None,
        "in_scope_rejected": round(float(rejected.mean()), 4),
    }
