"""Releases for tests: a real classifier over the word encoder, stored as training stores it."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

from chatbot.inference.classifier import FORMAT
from chatbot.inference.encoder import Encoder
from chatbot.releases.models import Kind, Release
from chatbot.releases.services import store_release
from chatbot.training.trainers.fast import train_fast
from chatbot.training.trainers.trained import TrainedClassifier
from tests.training.shop_examples import EXAMPLES, OUT_OF_SCOPE
from tests.training.word_encoder import WordEncoder

ENCODER = cast(Encoder, WordEncoder())


@lru_cache
def trained_classifier() -> TrainedClassifier:
    return train_fast(EXAMPLES, OUT_OF_SCOPE, ENCODER)


def store_classifier(*, encoder_digest: str = ENCODER.digest) -> Release:
    trained = trained_classifier()
    return store_release(
        kind=Kind.CLASSIFIER,
        write=trained.save,
        base="words",
        dataset_digest="cd" * 32,
        configuration={**trained.configuration, "encoder_digest": encoder_digest, "format": FORMAT},
        seed=0,
        metrics=trained.metrics,
    )
