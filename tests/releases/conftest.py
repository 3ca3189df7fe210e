"""A `var/` of each test's own, and an encoder that needs no weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from chatbot.releases import classifiers, encoders, runtime, selectors
from tests.releases.shelf import ENCODER


@pytest.fixture
def shelf(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where releases are stored; the encoder in use is the word encoder."""
    settings.VAR_DIR = tmp_path
    settings.RELEASES_DIR = tmp_path / "releases"
    settings.MODELS_DIR = tmp_path / "models"
    settings.DATASETS_DIR = tmp_path / "datasets"
    settings.RELEASES_DIR.mkdir()
    for module in (encoders, selectors):
        monkeypatch.setattr(module, "current_encoder_digest", lambda: ENCODER.digest)
    for module in (classifiers, encoders, runtime):
        monkeypatch.setattr(module, "load_encoder", lambda: ENCODER)
    return settings.RELEASES_DIR
