"""The `fast` recipe: a frozen encoder and a logistic-regression head. Seconds for a catalogue of a thousand examples.

Every number it reports is measured on rows that the measured model was not fitted on, by cross-validation. It refuses
to know where examples come from and what becomes of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatbot.inference.text_classifier import SentenceEncoder
from chatbot.inference.weights import Progress
from chatbot.training.trainers.calibration import MAX_IN_SCOPE_REJECTED
from chatbot.training.trainers.finishing import finish
from chatbot.training.trainers.heads import INVERSE_REGULARISATION, LinearHead, fit_geometry, fit_head
from chatbot.training.trainers.held_out import HeldOut, join, score_held_out
from chatbot.training.trainers.rows import TrainingRows, assign_folds, collect_rows, name_rows
from chatbot.training.trainers.trained import TrainedClassifier

PRESET = "fast"
FOLDS = 5
# How much of a training is done by then, of a catalogue of a few thousand examples.
_EMBEDDED, _CROSS_VALIDATED = 0.6, 0.9


def train_fast(
    examples: Sequence[tuple[str, str]],
    out_of_scope: Sequence[str],
    encoder: SentenceEncoder,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    folds: int = FOLDS,
    max_rejected: float = MAX_IN_SCOPE_REJECTED,
) -> TrainedClassifier:
    """Train on (text, intent) pairs; `out_of_scope` texts only tune and measure the out-of-scope decision.

    `max_rejected` is the largest share of in-scope text that the out-of-scope threshold may reject.
    Raises ClassifierError in one sentence where the examples cannot make a classifier.
    """
    report = progress or (lambda _message, _share: None)
    rows = collect_rows(examples, out_of_scope)
    report("Embedding the examples", 0.0)
    features, strange = encoder.encode(rows.texts), encoder.encode(rows.out_of_scope)
    names, name_labels = name_rows(rows) if rows.is_few_shot else ([], np.zeros(0, dtype=np.int64))
    name_features = encoder.encode(names)
    held_out = cross_validate(rows, features, strange, (name_features, name_labels), seed, folds, report)
    report("Fitting the head", _CROSS_VALIDATED)
    head = _fit_with_names(features, rows.labels, (name_features, name_labels))
    trained = finish(
        rows=rows,
        head=head,
        features=features,
        encoder_digest=encoder.digest,
        held_out=held_out,
        method=f"{int(held_out.part.max()) + 1}-fold cross-validation" if held_out else None,
        max_rejected=max_rejected,
        configuration=_configuration(seed, folds, max_rejected, bool(names)),
    )
    report("Trained", 1.0)
    return trained


def cross_validate(
    rows: TrainingRows,
    features: NDArray[np.float32],
    strange: NDArray[np.float32],
    names: tuple[NDArray[np.float32], NDArray[np.int64]],
    seed: int,
    folds: int,
    report: Progress,
) -> HeldOut | None:
    """What heads fitted on the other folds say of every row that can be held out; None where none can.

    Each out-of-scope text is scored by one of the folds' heads, so that its score is of the same make.
    """
    fold = assign_folds(rows.labels, seed, folds)
    if (fold < 0).all():
        return None
    count = int(fold.max()) + 1
    strange_fold = np.arange(len(strange), dtype=np.int64) % count
    pieces = []
    for number in range(count):
        report(
            f"Cross-validating: fold {number + 1} of {count}",
            _EMBEDDED + (_CROSS_VALIDATED - _EMBEDDED) * number / count,
        )
        inside, theirs = np.flatnonzero(fold == number), strange_fold == number
        others = fold != number
        pieces.append(
            score_held_out(
                head=_fit_with_names(features[others], rows.labels[others], names),
                geometry=fit_geometry(features[others], rows.labels[others], seed),
                features=features[inside],
                labels=rows.labels[inside],
                rows=inside,
                part=np.full(len(inside), number, dtype=np.int64),
                strange=strange[theirs],
                strange_part=strange_fold[theirs],
            )
        )
    return join(pieces)


def _fit_with_names(
    features: NDArray[np.float32], labels: NDArray[np.int64], names: tuple[NDArray[np.float32], NDArray[np.int64]]
) -> LinearHead:
    return fit_head(np.concatenate([features, names[0]]), np.concatenate([labels, names[1]]))


def _configuration(seed: int, folds: int, max_rejected: float, with_names: bool) -> dict[str, Any]:
    return {
        "preset": PRESET,
        "recipe": "frozen encoder, logistic regression" + (", intent names as examples" if with_names else ""),
        "seed": seed,
        "inverse_regularisation": INVERSE_REGULARISATION,
        "folds": folds,
        "max_rejected": max_rejected,
    }
