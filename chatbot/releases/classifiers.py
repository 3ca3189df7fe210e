"""Classifier releases as what they are for: a text in, a prediction out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from chatbot.exceptions import ClassifierError
from chatbot.inference.classifier import IntentClassifier
from chatbot.releases.artifacts import verify_release_folder
from chatbot.releases.encoders import encoder_directory, load_encoder
from chatbot.releases.models import Release
from chatbot.releases.selectors import release_directory

if TYPE_CHECKING:
    from chatbot.inference.encoder import Encoder
    from chatbot.inference.text_classifier import TextClassifier


def load_classifier(release: Release, base: Encoder | None = None) -> TextClassifier:
    """The release, checked byte by byte, with its encoders. `base` saves loading the base encoder again.

    Imports OpenVINO or torch: for workers and commands only. Raises InvalidArtifact, ModelFilesError, ClassifierError.
    """
    from chatbot.inference.text_classifier import load_text_classifier

    directory = release_directory(release)
    verify_release_folder(directory, manifest_digest=release.manifest_digest, kind=release.kind)
    base = base or load_encoder()
    head = IntentClassifier.load(directory)
    if head.encoder_digest != base.digest:
        raise ClassifierError(
            f"{release.name} was trained with another encoder than {encoder_directory()}. "
            "Mend it with: python manage.py train_classifier --promote"
        )
    return load_text_classifier(directory, base, export_directory(head.tuned_digest))


def export_directory(digest: str) -> Path:
    """Where the graph lies that OpenVINO serves a tuned encoder by: release folders never change."""
    return Path(settings.MODELS_DIR) / "exports" / digest[:32]
