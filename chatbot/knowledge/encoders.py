"""The encoder of this process, for workers only.

By name: the registry that loads it stands on the same floor, and a process has one encoder, whoever asks first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np
from django.utils.module_loading import import_string
from numpy.typing import NDArray


class TextEncoder(Protocol):
    """What knowledge needs of `chatbot.inference.encoder.Encoder`."""

    digest: str

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings: float32, shape [len(texts), dimension], rows of unit length."""
        ...


def load_encoder() -> TextEncoder:
    """The encoder of this process. Imports OpenVINO or torch. Raises ModelFilesError."""
    return cast(TextEncoder, import_string("chatbot.releases.encoders.load_encoder")())


def current_encoder_digest() -> str:
    """What identifies the encoder in use. Loads no model. Raises ModelFilesError."""
    return cast(str, import_string("chatbot.releases.encoders.current_encoder_digest")())
