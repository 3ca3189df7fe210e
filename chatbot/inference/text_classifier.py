"""From a text to its prediction: an intent head, and the encoder that it reads.

The head reads the base encoder or, where training tuned one, the release's own. Where the base encoder was asked, its
embedding is handed on, because retrieval needs it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chatbot.exceptions import ClassifierError
from chatbot.inference.batching import Batcher
from chatbot.inference.classifier import IntentClassifier
from chatbot.inference.encoder import Encoder, prepare_openvino_encoder
from chatbot.inference.predictions import Prediction

# The folder of a classifier's own encoder, beside its head.
TUNED_ENCODER = "encoder"


class SentenceEncoder(Protocol):
    """What is needed of `chatbot.inference.encoder.Encoder`."""

    @property
    def digest(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class Classification:
    """A text's prediction, and its embedding by the base encoder where that was computed on the way.

    The embedding is float32, [dimension], of unit length; None where the head reads an encoder of its own.
    """

    prediction: Prediction
    embedding: NDArray[np.float32] | None


class TextClassifier:
    """A head with its encoder. Safe to use from several threads."""

    def __init__(self, head: IntentClassifier, base: SentenceEncoder, tuned: SentenceEncoder | None = None) -> None:
        """Raises ClassifierError where the head was trained with other encoders than these."""
        if head.encoder_digest != base.digest or head.tuned_digest != (tuned.digest if tuned else ""):
            raise ClassifierError("The intent head was trained with other encoders than the ones given.")
        self.head = head
        self.tuned = tuned
        self._encoder = tuned or base
        self._together = Batcher(self.classify)

    @property
    def intents(self) -> tuple[str, ...]:
        """The slugs that it can give."""
        return self.head.intents

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        """A classification for each text, in the given order."""
        if not texts:
            return []
        features = self.features(texts)
        predictions = self.head.predict(features)
        return [
            Classification(prediction, row if self.tuned is None else None)
            for prediction, row in zip(predictions, features, strict=True)
        ]

    def classify_one(self, text: str) -> Classification:
        """The text's classification, computed in one pass with those that other threads ask for meanwhile."""
        return self._together(text)

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """A prediction for each text, in the given order."""
        return [classification.prediction for classification in self.classify(texts)]

    def features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What the head reads: float32, shape [len(texts), head.dimension], rows of unit length."""
        return self._encoder.encode(texts)


def load_text_classifier(directory: Path, base: Encoder, exports: Path) -> TextClassifier:
    """The head in `directory` with its encoder; its own encoder, if it has one, is exported into `exports` first.

    Raises InvalidArtifact, ModelFilesError; ClassifierError where the head was trained with another base encoder.
    """
    head = IntentClassifier.load(directory)
    if not head.tuned_digest:
        return TextClassifier(head, base)
    prepare_openvino_encoder(directory / TUNED_ENCODER, exports)
    return TextClassifier(head, base, Encoder(directory / TUNED_ENCODER, exports=exports))
