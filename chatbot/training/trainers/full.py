"""The `full` recipe: encoder and head are fine-tuned, and the frozen encoder's head votes beside them.

A tuned encoder has seen its training rows, so it cannot say how sure it may be of others. It is therefore tuned twice:
first without a held-out share of the rows, on which temperature and out-of-scope rule are fitted and everything is
measured, then by the same recipe on all of them. Recipes and what else was tried: `docs/log.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatbot.inference.classifier import IntentClassifier
from chatbot.inference.encoder import Encoder
from chatbot.inference.text_classifier import side_by_side
from chatbot.inference.weights import Progress
from chatbot.training.trainers.calibration import MAX_IN_SCOPE_REJECTED
from chatbot.training.trainers.fine_tuning import Recipe, TunedEncoder, fine_tune
from chatbot.training.trainers.finishing import calibrate, describe_rows
from chatbot.training.trainers.heads import LinearHead, fit_geometry, fit_head
from chatbot.training.trainers.held_out import HeldOut, score_held_out
from chatbot.training.trainers.rows import TrainingRows, assign_folds, collect_rows, name_rows
from chatbot.training.trainers.trained import TrainedClassifier

PRESET = "full"
# Many passes over few rows, thinned hard so that no pass is like another.
FEW_SHOT = Recipe(epochs=12, dropout=0.2, word_dropout=0.25, consistency=1.0)
MANY = Recipe(epochs=5, encoder_learning_rate=1.5e-4, word_dropout=0.1, consistency=1.0)
# One row in so many is held out: a tenth of many rows measures well enough, of few rows it takes more.
_FOLDS_OF_MANY, _FOLDS_OF_FEW, _MANY_ROWS = 10, 5, 5_000
_PARTS = 5
_JOINED = np.float32(2**0.5)


def train_full(
    examples: Sequence[tuple[str, str]],
    out_of_scope: Sequence[str],
    encoder: Encoder,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    max_rejected: float = MAX_IN_SCOPE_REJECTED,
    recipe: Recipe | None = None,
) -> TrainedClassifier:
    """Train on (text, intent) pairs; `out_of_scope` texts only tune and measure the out-of-scope decision.

    `encoder` is the base; its folder is where tuning starts. The recipe is chosen by how many examples the intents have
    unless one is given. Raises ClassifierError in one sentence where the examples cannot make a classifier.
    """
    report = progress or (lambda _message, _share: None)
    rows = collect_rows(examples, out_of_scope)
    recipe = recipe or (FEW_SHOT if rows.is_few_shot else MANY)
    report("Embedding the examples", 0.0)
    base, base_strange = encoder.encode(rows.texts), encoder.encode(rows.out_of_scope)
    names, name_labels = name_rows(rows) if rows.is_few_shot else ([], np.zeros(0, dtype=np.int64))
    base_names = encoder.encode(names)
    held = _held_out_rows(rows, seed)

    def tune(chosen: NDArray[np.int64], stage: Progress) -> tuple[TunedEncoder, LinearHead]:
        """The joint head reads tuned and base embeddings side by side: the sum of the two heads' logits."""
        labels = np.concatenate([rows.labels[chosen], name_labels])
        frozen = fit_head(np.concatenate([base[chosen], base_names]), labels)
        tuned, head = fine_tune(
            encoder_path=encoder.path,
            texts=[*(rows.texts[row] for row in chosen), *names],
            labels=labels,
            head=frozen,
            recipe=recipe,
            seed=seed,
            progress=stage,
        )
        return tuned, _summed(head, frozen)

    held_out = None
    # The passes take time as their rows do; embedding for calibration takes little.
    share = (len(rows.texts) - len(held)) / (2 * len(rows.texts) - len(held)) if len(held) else 0.0
    if len(held):
        kept = np.setdiff1d(np.arange(len(rows.texts)), held)
        tuned, head = tune(kept, lambda message, done: report(f"Calibrating: {message}", share * (done or 0.0)))
        features = side_by_side(tuned.encode([rows.texts[row] for row in kept]), base[kept])
        held_out = score_held_out(
            head=head,
            geometry=fit_geometry(features, rows.labels[kept], seed),
            features=side_by_side(tuned.encode([rows.texts[row] for row in held]), base[held]),
            labels=rows.labels[held],
            rows=held,
            part=_parts(len(held), seed),
            strange=side_by_side(tuned.encode(rows.out_of_scope), base_strange),
            strange_part=_parts(len(rows.out_of_scope), seed),
        )
    everything = np.arange(len(rows.texts))
    tuned, head = tune(
        everything, lambda message, done: report(f"Tuning: {message}", share + (1 - share) * (done or 0.0))
    )
    features = side_by_side(tuned.encode(rows.texts), base)
    calibration = calibrate(held_out, fit_geometry(features, rows.labels, seed), max_rejected)
    report("Trained", 1.0)
    return TrainedClassifier(
        classifier=IntentClassifier(
            intents=rows.intents,
            weights=head.weights,
            bias=head.bias,
            geometry=calibration.geometry,
            temperature=calibration.temperature,
            out_of_scope=calibration.rule,
            encoder_digest=encoder.digest,
        ),
        rows=rows,
        features=features,
        held_out=held_out,
        metrics={**describe_rows(rows, held_out, _method(held_out, rows)), **calibration.metrics},
        configuration=_configuration(recipe, rows, bool(names), seed, max_rejected),
        write_encoder=tuned.save,
    )


def _held_out_rows(rows: TrainingRows, seed: int) -> NDArray[np.int64]:
    folds = _FOLDS_OF_MANY if len(rows.texts) >= _MANY_ROWS else _FOLDS_OF_FEW
    return np.flatnonzero(assign_folds(rows.labels, seed, folds) == 0)


def _parts(count: int, seed: int) -> NDArray[np.int64]:
    dealt: NDArray[np.int64] = np.random.default_rng(seed).permutation(count) % _PARTS
    return dealt


def _summed(tuned: LinearHead, frozen: LinearHead) -> LinearHead:
    """One head over both embeddings side by side, whose logits are the sum of both heads' logits."""
    return LinearHead(np.concatenate([tuned.weights, frozen.weights], axis=1) * _JOINED, tuned.bias + frozen.bias)


def _method(held_out: HeldOut | None, rows: TrainingRows) -> str | None:
    if held_out is None:
        return None
    return f"held-out rows: {len(held_out.rows)} of {len(rows.texts)}, by the same recipe on the others"


def _configuration(
    recipe: Recipe, rows: TrainingRows, with_names: bool, seed: int, max_rejected: float
) -> dict[str, Any]:
    regime = "few-shot" if rows.is_few_shot else "many examples"
    return {
        "preset": PRESET,
        "recipe": f"encoder and head tuned ({regime}), frozen head beside"
        + (", intent names as examples" if with_names else ""),
        "seed": seed,
        "max_rejected": max_rejected,
        **asdict(recipe),
    }
