"""One tiny model for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatbot.inference.tokens import ModelTokenizer
from tests.inference.tiny import make_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_model: Path) -> ModelTokenizer:
    return ModelTokenizer(tiny_model)
