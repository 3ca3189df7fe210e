"""The rows that a classifier is trained on: cleaned, put in a fixed order, and dealt into folds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chatbot.exceptions import ClassifierError
from chatbot.inference.normalisation import normalise

# With so few examples of an intent its name is worth as much as another example, and tuning must be gentler.
FEW_EXAMPLES = 16
_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Row i is `texts[i]` of the intent `intents[labels[i]]`. `empty` and `duplicates` count what was left out."""

    intents: tuple[str, ...]
    texts: list[str]
    labels: NDArray[np.int64]
    out_of_scope: list[str]
    empty: int = 0
    duplicates: int = 0

    @property
    def is_few_shot(self) -> bool:
        """Whether half of the intents have few examples."""
        return bool(np.median(np.bincount(self.labels)) <= FEW_EXAMPLES)


def collect_rows(examples: Sequence[tuple[str, str]], out_of_scope: Sequence[str]) -> TrainingRows:
    """Drop empty texts and repeats of one text under one intent; sort, so that the order given does not matter.

    Raises ClassifierError in one sentence where the examples cannot make a classifier.
    """
    given = [(normalise(text), intent) for text, intent in examples]
    kept = sorted({(text, intent) for text, intent in given if text})
    strange = [normalise(text) for text in out_of_scope]
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
    return TrainingRows(
        intents=intents,
        texts=[text for text, _ in kept],
        labels=np.array([position[intent] for _, intent in kept], dtype=np.int64),
        out_of_scope=kept_strange,
        empty=empty,
        duplicates=len(given) + len(strange) - empty - len(kept) - len(kept_strange),
    )


def name_rows(rows: TrainingRows) -> tuple[list[str], NDArray[np.int64]]:
    """The intents' names as texts, with their labels: `card_arrival` reads “card arrival”.

    Only where every name has a word in it; “intent_17” would teach nothing.
    """
    names = [" ".join(re.split(r"[\W_]+", intent)).strip().lower() for intent in rows.intents]
    if not all(_WORD.search(name) for name in names):
        return [], np.zeros(0, dtype=np.int64)
    return names, np.arange(len(names), dtype=np.int64)


def assign_folds(labels: NDArray[np.int64], seed: int, folds: int) -> NDArray[np.int64]:
    """A fold for each row, stratified by label; −1, always in training, for the only row of a label."""
    generator = np.random.default_rng(seed)
    counts = np.bincount(labels)
    folds = min(folds, int(counts.max()))
    fold = np.full(len(labels), -1, dtype=np.int64)
    for label, count in enumerate(counts):
        if count >= 2:
            rows = generator.permutation(np.flatnonzero(labels == label))
            fold[rows] = (np.arange(count) + generator.integers(folds)) % folds
    return fold
