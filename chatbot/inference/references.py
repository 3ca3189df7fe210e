"""The training examples that a classifier can point to: where they lie and whose they are, without their words.

A release keeps features, labels and keys of the examples. Their texts stay in the catalogue alone, so that an example
that is deleted there is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chatbot.exceptions import InvalidArtifact
from chatbot.inference.normalisation import KEY_BYTES

REFERENCES_FILE = "examples.safetensors"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training example: the `text_key` of its text, its intent, and its cosine to what was asked about."""

    key: bytes
    intent: str
    similarity: float


@dataclass(frozen=True, eq=False, slots=True)
class References:
    """`features` are [n, dimension], float16, of unit length; `labels` are [n]; `keys` are [n, KEY_BYTES], uint8."""

    features: NDArray[np.float16]
    labels: NDArray[np.int32]
    keys: NDArray[np.uint8]

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.features.ndim != 2 or len(self.features) != count or self.keys.shape != (count, KEY_BYTES):
            raise ValueError("features, labels and keys do not belong together")

    def nearest(self, features: NDArray[np.float32], intents: tuple[str, ...], count: int = 5) -> list[Neighbour]:
        """The examples nearest to one row of features, [dimension], the nearest first."""
        cosines = self.features.astype(np.float32) @ features
        order = np.argsort(-cosines, kind="stable")[:count]
        return [
            Neighbour(self.keys[row].tobytes(), intents[self.labels[row]], round(min(1.0, float(cosines[row])), 4))
            for row in order
        ]

    def save(self, directory: Path) -> None:
        """Write `REFERENCES_FILE` into `directory`."""
        from safetensors.numpy import save_file

        save_file({"features": self.features, "labels": self.labels, "keys": self.keys}, directory / REFERENCES_FILE)

    @classmethod
    def load(cls, directory: Path) -> References | None:
        """What `save` wrote; None where the release has no such file. Raises InvalidArtifact where it is damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = directory / REFERENCES_FILE
        if not path.exists():
            return None
        try:
            return cls(**load_file(path))
        except (OSError, SafetensorError, TypeError, ValueError) as error:
            remedy = "python manage.py train_classifier --promote"
            raise InvalidArtifact(f"not readable examples ({error})", path=path, remedy=remedy) from error
