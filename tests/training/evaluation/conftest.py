"""A `var/` of each test's own, and an encoder that needs no weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatbot.training import evaluations
from tests.releases.conftest import shelf
from tests.releases.shelf import ENCODER

__all__ = ["shelf"]


@pytest.fixture(autouse=True)
def words(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations embed by words too."""
    monkeypatch.setattr(evaluations, "load_encoder", lambda: ENCODER)
