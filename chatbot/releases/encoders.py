"""Which encoder this installation uses, loaded once per process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from chatbot.inference.hub import model_folder

if TYPE_CHECKING:
    from chatbot.inference.encoder import Encoder

BASE_ENCODER = "all-minilm-l6-v2"


def encoder_directory() -> Path:
    """The folder of the encoder: the operator's own, the hub's under `var/models`, or the bundled one there."""
    models_dir = Path(settings.MODELS_DIR)
    return model_folder(settings.ENCODER_MODEL, models_dir) if settings.ENCODER_MODEL else models_dir / BASE_ENCODER


def load_encoder() -> Encoder:
    """The encoder of this process. Raises ModelFilesError. Imports OpenVINO or torch: for workers only."""
    return _load(encoder_directory())


def current_encoder_digest() -> str:
    """What identifies the encoder's weights. Reads them once per process, loads no model. Raises ModelFilesError."""
    return _digest(encoder_directory())


@lru_cache(maxsize=1)
def _load(directory: Path) -> Encoder:
    from chatbot.inference.encoder import Encoder

    return Encoder(directory)


@lru_cache(maxsize=1)
def _digest(directory: Path) -> str:
    from chatbot.inference.encoder import encoder_digest

    return encoder_digest(directory)
