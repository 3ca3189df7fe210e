"""Trials: what can serve passes, what only looks whole does not. The engines are real, the models tiny."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from chatbot.exceptions import ReleaseError
from chatbot.inference.encoder import Encoder
from chatbot.inference.engines import Engine
from chatbot.inference.text_classifier import TextClassifier
from chatbot.releases.generators import load_generator
from chatbot.releases.models import Release
from chatbot.releases.trials import try_classifier, try_generator
from tests.releases.shelf import ENCODER, trained_classifier
from tests.releases.tiny_generators import SILENT, store_generator_writing
from tests.training.word_encoder import WordEncoder

pytestmark = pytest.mark.django_db


@contextmanager
def engine_of(release: Release) -> Iterator[Engine]:
    engine = load_generator(release)
    try:
        yield engine
    finally:
        engine.close()


def test_a_generator_that_writes_passes(shelf: Path) -> None:
    with engine_of(store_generator_writing(shelf, "AB", name="generator-0001")) as engine:
        try_generator("generator-0001", engine)


def test_a_generator_that_ends_before_it_has_begun_does_not(shelf: Path) -> None:
    release = store_generator_writing(shelf, SILENT, name="generator-0001")
    with engine_of(release) as engine, pytest.raises(ReleaseError, match=r"generator-0001 failed its trial.*nothing"):
        try_generator(release.name, engine)


def test_a_trained_classifier_passes() -> None:
    try_classifier("classifier-0001", TextClassifier(trained_classifier().classifier, ENCODER))


class DeafEncoder(WordEncoder):
    """Hears the same in every message."""

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        return np.repeat(super().encode(["hello"]), len(texts), axis=0)


class BrokenEncoder(WordEncoder):
    """Gives what overflowing arithmetic gives."""

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        return np.full_like(super().encode(texts), np.nan)


@pytest.mark.parametrize(
    ("encoder", "said"), [(DeafEncoder(), "same of different messages"), (BrokenEncoder(), "no probabilities")]
)
def test_a_classifier_that_cannot_be_believed_does_not(encoder: WordEncoder, said: str) -> None:
    classifier = TextClassifier(trained_classifier().classifier, cast(Encoder, encoder))
    with pytest.raises(ReleaseError, match=f"classifier-0001 failed its trial.*{said}"):
        try_classifier("classifier-0001", classifier)
