"""A whole catalogue judged by classifiers that have not seen the row they judge, and what to mend in it.

It trains and judges; it registers nothing and refuses to know where the rows come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chatbot.exceptions import ClassifierError
from chatbot.training.confusion import intent_scores, merge_suggestions, split_suggestions
from chatbot.training.label_quality import likely_mislabelled, shared_texts
from chatbot.training.trainers.calibration import MAX_IN_SCOPE_REJECTED
from chatbot.training.trainers.held_out import HeldOut, calibrated, fit_rule, join, measure
from chatbot.training.trainers.rows import TrainingRows, assign_folds, collect_rows

if TYPE_CHECKING:
    from chatbot.inference.encoder import Encoder
    from chatbot.inference.weights import Progress

FEWEST_FOLDS, MOST_FOLDS = 2, 20


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Every row that could be held out, judged once. `base` are all rows' embeddings by the base encoder, [n, d]."""

    rows: TrainingRows
    held_out: HeldOut
    base: NDArray[np.float32]
    preset: str
    folds: int
    seed: int

    def report(self) -> dict[str, Any]:
        """Everything in one JSON-ready object. Row numbers refer to `rows.texts`."""
        held, rows = self.held_out, self.rows
        probabilities = calibrated(held)
        predicted = held.logits.argmax(axis=1)
        scores = intent_scores(rows, held.labels, predicted)
        rule = fit_rule(held, MAX_IN_SCOPE_REJECTED)
        return {
            "preset": self.preset,
            "folds": self.folds,
            "seed": self.seed,
            "examples": len(rows.texts),
            "unmeasured_examples": len(rows.texts) - len(held.rows),
            "dropped_empty": rows.empty,
            "dropped_duplicates": rows.duplicates,
            **measure(held, rule, MAX_IN_SCOPE_REJECTED),
            "out_of_scope_score": rule.score,
            "intents": scores,
            "confusions": _confusions(rows, held, predicted),
            "merge": merge_suggestions(rows, held.labels, predicted),
            "split": split_suggestions(rows, held.labels, predicted, self.base[held.rows]),
            "mislabelled": likely_mislabelled(rows, held, probabilities),
            "shared_texts": shared_texts(rows, self.base),
        }


def cross_validate(
    preset: str,
    examples: Sequence[tuple[str, str]],
    out_of_scope: Sequence[str],
    encoder: Encoder,
    *,
    folds: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> CrossValidation:
    """Judge every (text, intent) pair by a classifier trained, by the preset, on the other folds.

    Raises ClassifierError in one sentence where the rows cannot be dealt into folds.
    """
    if not FEWEST_FOLDS <= folds <= MOST_FOLDS:
        raise ClassifierError(f"Cross-validation takes {FEWEST_FOLDS} to {MOST_FOLDS} folds, not {folds}.")
    rows = collect_rows(examples, out_of_scope)
    if np.bincount(rows.labels).max() < 2:
        raise ClassifierError("Nothing can be held out: no intent has two examples.")
    judge = _judge_fast if preset == "fast" else _judge_full
    held_out, base = judge(rows, encoder, folds, seed, progress)
    return CrossValidation(rows, held_out, base, preset, int(held_out.part.max()) + 1, seed)


def _judge_fast(
    rows: TrainingRows, encoder: Encoder, folds: int, seed: int, progress: Progress | None
) -> tuple[HeldOut, NDArray[np.float32]]:
    from chatbot.training.trainers.fast import train_fast

    pairs = [(text, rows.intents[label]) for text, label in zip(rows.texts, rows.labels, strict=True)]
    trained = train_fast(pairs, rows.out_of_scope, encoder, seed, progress, folds=folds)
    assert trained.held_out is not None
    return trained.held_out, trained.features


def _judge_full(
    rows: TrainingRows, encoder: Encoder, folds: int, seed: int, progress: Progress | None
) -> tuple[HeldOut, NDArray[np.float32]]:
    from chatbot.training.trainers.full import Material, hold_out, tune

    report = progress or (lambda _message, _share: None)
    report("Embedding the examples", 0.0)
    material = Material.gather(rows, encoder, seed)
    fold = assign_folds(rows.labels, seed, folds)
    count = int(fold.max()) + 1
    pieces = []
    for number in range(count):
        held, kept = np.flatnonzero(fold == number), np.flatnonzero(fold != number)

        def stage(message: str, share: float | None, number: int = number) -> None:
            report(f"Fold {number + 1} of {count}: {message}", (number + (share or 0.0)) / count)

        assembled = tune(material, kept, stage).assembled(material)
        # Each out-of-scope text is scored by one of the folds' classifiers, as in `fast`.
        dealt = np.arange(len(rows.out_of_scope), dtype=np.int64) % count
        part = np.full(len(held), number, dtype=np.int64)
        pieces.append(hold_out(material, assembled, kept, held, part, np.where(dealt == number, number, -1)))
    return join(pieces), material.base


def _confusions(rows: TrainingRows, held_out: HeldOut, predicted: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Every pair (should be, was given) that occurs with its rows, the most frequent first."""
    found: dict[tuple[int, int], list[int]] = {}
    for row, label, given in zip(held_out.rows, held_out.labels, predicted, strict=True):
        if label != given:
            found.setdefault((int(label), int(given)), []).append(int(row))
    pairs = [
        {"intent": rows.intents[label], "given": rows.intents[given], "count": len(wrong), "rows": wrong}
        for (label, given), wrong in found.items()
    ]
    return sorted(pairs, key=lambda pair: (-pair["count"], pair["intent"], pair["given"]))
