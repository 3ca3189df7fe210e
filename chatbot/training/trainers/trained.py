"""What every recipe gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatbot.inference.classifier import IntentClassifier
from chatbot.inference.encoder import encoder_digest
from chatbot.inference.normalisation import text_key
from chatbot.inference.references import References
from chatbot.inference.text_classifier import TUNED_ENCODER
from chatbot.training.trainers.held_out import HeldOut
from chatbot.training.trainers.rows import TrainingRows


@dataclass(frozen=True, slots=True)
class TrainedClassifier:
    """A classifier, and what held-out rows say of it. `configuration` is what would train it again.

    `features` are those of `rows.texts`, [n, dimension]. `held_out` is None where nothing could be held out.
    `write_encoder` writes the tuned encoder into a folder; None where the base encoder is used as it is.
    """

    classifier: IntentClassifier
    rows: TrainingRows
    features: NDArray[np.float32]
    held_out: HeldOut | None
    metrics: dict[str, Any]
    configuration: dict[str, Any]
    write_encoder: Callable[[Path], None] | None = None

    def save(self, directory: Path) -> None:
        """Write the release's files into `directory`."""
        classifier = self.classifier
        if self.write_encoder is not None:
            self.write_encoder(directory / TUNED_ENCODER)
            classifier = replace(classifier, tuned_digest=encoder_digest(directory / TUNED_ENCODER))
        classifier.save(directory)
        self._references().save(directory)

    def _references(self) -> References:
        keys = [np.frombuffer(text_key(text), dtype=np.uint8) for text in self.rows.texts]
        return References(self.features.astype(np.float16), self.rows.labels.astype(np.int32), np.stack(keys))
