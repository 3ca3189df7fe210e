"""The training recipes. Plain libraries: they know texts, labels and models, and nothing of Django."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatbot.inference.encoder import Encoder
    from chatbot.inference.weights import Progress
    from chatbot.training.curves import Record
    from chatbot.training.trainers.trained import TrainedClassifier

PRESETS = {
    "fast": "a linear head on the frozen encoder, in seconds",
    "full": "encoder and head fine-tuned, in minutes",
}


def train_classifier(
    preset: str,
    examples: Sequence[tuple[str, str]],
    out_of_scope: Sequence[str],
    encoder: Encoder,
    *,
    seed: int = 0,
    max_rejected: float | None = None,
    progress: Progress | None = None,
    record: Record | None = None,
) -> TrainedClassifier:
    """Train by one of PRESETS on (text, intent) pairs; see `fast` and `full`. Raises ClassifierError.

    `record` is told the points of the learning curve, where the preset has one.
    """
    from chatbot.training.trainers.calibration import MAX_IN_SCOPE_REJECTED
    from chatbot.training.trainers.fast import train_fast
    from chatbot.training.trainers.full import train_full

    share = MAX_IN_SCOPE_REJECTED if max_rejected is None else max_rejected
    if preset == "fast":
        return train_fast(examples, out_of_scope, encoder, seed, progress, max_rejected=share)
    return train_full(examples, out_of_scope, encoder, seed, progress, record, max_rejected=share)
