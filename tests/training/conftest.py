"""Training tests write where release tests do, and tune the tiny model of the inference tests."""

from __future__ import annotations

from tests.inference.conftest import tiny_model, tiny_tokenizer
from tests.releases.conftest import shelf

__all__ = ["shelf", "tiny_model", "tiny_tokenizer"]
