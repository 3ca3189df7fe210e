"""The `full` recipe: encoder and head are fine-tuned, then drawn some way back towards where they began; near examples
vote beside them.

A tuned encoder has seen its training rows, so it cannot say how sure it may be of others. It is therefore tuned without
a held-out share of the rows first; on that share temperature and out-of-scope rule are fitted and everything is
measured. Then tuning goes on for a few passes over all rows. Recipes and what else was tried: `docs/log.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatbot.inference.encoder import Encoder
from chatbot.inference.weights import Progress
from chatbot.training.curves import Point, Record
from chatbot.training.trainers.calibration import MAX_IN_SCOPE_REJECTED
from chatbot.training.trainers.fine_tuning import Recipe, TunedEncoder, fine_tune
from chatbot.training.trainers.finishing import finish
from chatbot.training.trainers.heads import LinearHead, VotingHead, fit_geometry, fit_head, gather_vote
from chatbot.training.trainers.held_out import HeldOut, score_held_out
from chatbot.training.trainers.rows import TrainingRows, assign_folds, collect_rows, name_rows
from chatbot.training.trainers.trained import TrainedClassifier

PRESET = "full"
# Many passes over few rows, thinned hard so that no pass is like another.
FEW_SHOT = Recipe(epochs=12, finishing_epochs=6, dropout=0.2, word_dropout=0.25, splicing=0.5, consistency=1.0)
MANY = Recipe(epochs=5, finishing_epochs=2, encoder_learning_rate=1.5e-4, word_dropout=0.1, consistency=1.0)
# One row in so many is held out: a tenth of many rows measures well enough, of few rows it takes more.
_FOLDS_OF_MANY, _FOLDS_OF_FEW, _MANY_ROWS = 10, 5, 5_000
_PARTS = 5


@dataclass(frozen=True, slots=True)
class Material:
    """What the recipe works on: the rows, their embeddings by the base encoder, and the intents' names as texts."""

    rows: TrainingRows
    encoder: Encoder
    recipe: Recipe
    seed: int
    base: NDArray[np.float32]
    names: list[str]
    name_labels: NDArray[np.int64]
    base_names: NDArray[np.float32]

    @classmethod
    def gather(cls, rows: TrainingRows, encoder: Encoder, seed: int, recipe: Recipe | None = None) -> Material:
        """Embed everything. The recipe is chosen by how many examples the intents have unless one is given."""
        names, name_labels = name_rows(rows) if rows.is_few_shot else ([], np.zeros(0, dtype=np.int64))
        return cls(
            rows=rows,
            encoder=encoder,
            recipe=recipe or (FEW_SHOT if rows.is_few_shot else MANY),
            seed=seed,
            base=encoder.encode(rows.texts),
            names=names,
            name_labels=name_labels,
            base_names=encoder.encode(names),
        )

    def labels(self, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        """The chosen rows' labels, then those of the names."""
        return np.concatenate([self.rows.labels[chosen], self.name_labels])

    def texts(self, chosen: NDArray[np.int64]) -> list[str]:
        return [*(self.rows.texts[row] for row in chosen), *self.names]

    def frozen_head(self, chosen: NDArray[np.int64]) -> LinearHead:
        """A head on the base encoder as it is."""
        return fit_head(np.concatenate([self.base[chosen], self.base_names]), self.labels(chosen))


@dataclass(frozen=True, slots=True)
class Tuned:
    """An encoder and its head as tuning leaves them, from where it may go on, and the rows they were tuned on.

    `frozen_head` is the head of these rows on the base encoder as it is.
    """

    encoder: TunedEncoder
    head: LinearHead
    rows: NDArray[np.int64]
    frozen_head: LinearHead

    def assembled(self, material: Material) -> Assembled:
        """What is served."""
        share, frozen = material.recipe.base_share, self.frozen_head
        encoder = self.encoder.drawn_towards(material.encoder.path, share)
        linear = LinearHead(
            _between(self.head.weights, frozen.weights, share), _between(self.head.bias, frozen.bias, share)
        )
        features = encoder.encode(material.texts(self.rows))
        vote = gather_vote(features, material.labels(self.rows), material.seed)
        return Assembled(encoder, VotingHead(linear, vote), features[: len(self.rows)])


@dataclass(frozen=True, slots=True)
class Assembled:
    """A tuned encoder drawn towards its base, its head drawn as far, and the examples that vote beside it.

    `features`, [n, dimension], are those of the rows that it was tuned on.
    """

    encoder: TunedEncoder
    head: VotingHead
    features: NDArray[np.float32]


def train_full(
    examples: Sequence[tuple[str, str]],
    out_of_scope: Sequence[str],
    encoder: Encoder,
    seed: int = 0,
    progress: Progress | None = None,
    record: Record | None = None,
    *,
    max_rejected: float = MAX_IN_SCOPE_REJECTED,
    recipe: Recipe | None = None,
) -> TrainedClassifier:
    """Train on (text, intent) pairs; `out_of_scope` texts only tune and measure the out-of-scope decision.

    `encoder` is the base; its folder is where tuning starts. Raises ClassifierError in one sentence where the examples
    cannot make a classifier.
    """
    report = progress or (lambda _message, _share: None)
    rows = collect_rows(examples, out_of_scope)
    report("Embedding the examples", 0.0)
    material = Material.gather(rows, encoder, seed, recipe)
    held = _held_out_rows(rows, seed)
    everything = np.arange(len(rows.texts))
    kept = np.setdiff1d(everything, held)
    recipe = material.recipe
    finishing = len(everything) * recipe.finishing_epochs if len(held) else 0
    share = len(kept) * recipe.epochs / (len(kept) * recipe.epochs + finishing)

    curve = _Curve(record)
    tuned = tune(
        material, kept, lambda message, done: report(f"Tuning: {message}", share * (done or 0.0)), curve.record
    )
    held_out = None
    if len(held):
        assembled = tuned.assembled(material)
        held_out = hold_out(
            material, assembled, kept, held, _parts(len(held), seed), _parts(len(rows.out_of_scope), seed)
        )
        tuned = go_on(
            material,
            tuned,
            everything,
            lambda message, done: report(f"Finishing on all rows: {message}", share + (1 - share) * (done or 0.0)),
            curve.next_phase().record,
        )
    report("Putting it together", 1.0)
    assembled = tuned.assembled(material)
    trained = finish(
        rows=rows,
        head=assembled.head,
        features=assembled.features,
        encoder_digest=encoder.digest,
        held_out=held_out,
        method=_method(held_out, rows),
        max_rejected=max_rejected,
        configuration=_configuration(material, max_rejected),
        write_encoder=assembled.encoder.save,
    )
    report("Trained", 1.0)
    return trained


@dataclass(slots=True)
class _Curve:
    """Counts the steps of one phase on from those of the phase before."""

    told: Record | None
    before: int = 0
    reached: int = 0

    def record(self, point: Point) -> None:
        self.reached = self.before + point.step
        if self.told is not None:
            self.told(replace(point, step=self.reached))

    def next_phase(self) -> _Curve:
        return _Curve(self.told, self.reached)


def tune(
    material: Material,
    chosen: NDArray[np.int64],
    progress: Progress | None = None,
    record: Record | None = None,
) -> Tuned:
    """Tune the base encoder on the chosen rows, beginning with the frozen head's weights."""
    frozen = material.frozen_head(chosen)
    encoder, head = fine_tune(
        start=material.encoder.path,
        head=frozen,
        texts=material.texts(chosen),
        labels=material.labels(chosen),
        recipe=material.recipe,
        epochs=material.recipe.epochs,
        seed=material.seed,
        progress=progress,
        record=record,
    )
    return Tuned(encoder, head, chosen, frozen)


def go_on(
    material: Material,
    tuned: Tuned,
    chosen: NDArray[np.int64],
    progress: Progress | None = None,
    record: Record | None = None,
) -> Tuned:
    """Tune further, on the chosen rows, for the recipe's finishing epochs."""
    encoder, head = fine_tune(
        start=tuned.encoder,
        head=tuned.head,
        texts=material.texts(chosen),
        labels=material.labels(chosen),
        recipe=material.recipe,
        epochs=material.recipe.finishing_epochs,
        # Not the dropout and the order of before once more.
        seed=material.seed + 1,
        progress=progress,
        record=record,
    )
    return Tuned(encoder, head, chosen, material.frozen_head(chosen))


def hold_out(
    material: Material,
    assembled: Assembled,
    kept: NDArray[np.int64],
    held: NDArray[np.int64],
    part: NDArray[np.int64],
    strange_part: NDArray[np.int64],
) -> HeldOut:
    """What a classifier tuned on the rows `kept` says of the rows `held`, which are dealt into `part`s.

    `strange_part` deals the out-of-scope texts; those at −1 are left out.
    """
    rows, encode = material.rows, assembled.encoder.encode
    strange = np.flatnonzero(strange_part >= 0)
    return score_held_out(
        head=assembled.head,
        geometry=fit_geometry(assembled.features, rows.labels[kept], material.seed),
        features=encode([rows.texts[row] for row in held]),
        labels=rows.labels[held],
        rows=held,
        part=part,
        strange=encode([rows.out_of_scope[row] for row in strange]),
        strange_part=strange_part[strange],
    )


def _between(tuned: NDArray[np.float32], base: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    return tuned + np.float32(share) * (base - tuned)


def _held_out_rows(rows: TrainingRows, seed: int) -> NDArray[np.int64]:
    folds = _FOLDS_OF_MANY if len(rows.texts) >= _MANY_ROWS else _FOLDS_OF_FEW
    return np.flatnonzero(assign_folds(rows.labels, seed, folds) == 0)


def _parts(count: int, seed: int) -> NDArray[np.int64]:
    dealt: NDArray[np.int64] = np.random.default_rng(seed).permutation(count) % _PARTS
    return dealt


def _method(held_out: HeldOut | None, rows: TrainingRows) -> str | None:
    if held_out is None:
        return None
    return f"held-out rows: {len(held_out.rows)} of {len(rows.texts)}, before the last passes over all of them"


def _configuration(material: Material, max_rejected: float) -> dict[str, Any]:
    regime = "few-shot" if material.rows.is_few_shot else "many examples"
    names = ", intent names as examples" if material.names else ""
    return {
        "preset": PRESET,
        "recipe": f"encoder and head tuned ({regime}), drawn towards the base, near examples vote{names}",
        "seed": material.seed,
        "max_rejected": max_rejected,
        **asdict(material.recipe),
    }
