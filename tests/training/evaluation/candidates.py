"""Classifiers to compare: a good one, one that knows too little, and rows that neither has seen."""

from __future__ import annotations

import csv
from pathlib import Path

from chatbot.inference.classifier import FORMAT
from chatbot.releases.models import Kind, Release
from chatbot.releases.services import store_release
from chatbot.training.trainers.fast import train_fast
from tests.releases.shelf import ENCODER
from tests.training.shop_examples import EXAMPLES, OUT_OF_SCOPE

ENDINGS = ("now", "today", "quickly", "at once", "for me")
STRANGE = ("write a poem", "what is love", "how far is the moon", "play some music", "who is the king of spain")


def store_classifier_of(examples: list[tuple[str, str]]) -> Release:
    """A release trained on these."""
    trained = train_fast(examples, OUT_OF_SCOPE, ENCODER)
    return store_release(
        kind=Kind.CLASSIFIER,
        write=trained.save,
        base="words",
        dataset_digest="ab" * 32,
        configuration={**trained.configuration, "encoder_digest": ENCODER.digest, "format": FORMAT},
        metrics=trained.metrics,
    )


def good() -> Release:
    return store_classifier_of(EXAMPLES)


def poor() -> Release:
    """One that takes most refunds for cancellations."""
    taught = [(text, intent) for text, intent in EXAMPLES if intent != "refund"]
    taught += [(text, "cancel_order") for text, intent in EXAMPLES if intent == "refund"]
    return store_classifier_of([*taught, ("refund", "refund"), ("give back", "refund")])


def unseen_rows() -> list[tuple[str, str]]:
    """Ninety texts like the examples and none of them, thirty of each intent; then out-of-scope ones."""
    texts = [(f"{text} {ending}", intent) for text, intent in EXAMPLES for ending in ENDINGS if "please" not in text]
    by_intent: dict[str, list[str]] = {}
    for text, intent in texts:
        by_intent.setdefault(intent, []).append(text)
    rows = [(text, intent) for intent, listed in by_intent.items() for text in listed[:30]]
    return [*rows, *((text, "oos") for text in STRANGE)]


def write_rows(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("text", "intent"))
        writer.writerows(rows)
    return path
