"""Word weights that add up, point at the word that decides, and survive any text; neighbours without their words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.exceptions import InvalidArtifact
from chatbot.inference.classifier import IntentClassifier
from chatbot.inference.encoder import Encoder
from chatbot.inference.explanation import explain
from chatbot.inference.normalisation import KEY_BYTES, text_key
from chatbot.inference.out_of_scope import Geometry, OutOfScopeRule, ScorePart
from chatbot.inference.references import REFERENCES_FILE, References
from chatbot.inference.text_classifier import TextClassifier
from tests.inference.tiny_encoder import make_tiny_encoder

WORDS = ("cancel", "refund", "parcel", "order")
INTENTS = ("cancel_order", "refund", "track_parcel")


class BagOfWords:
    """One dimension a word, so that each word's part in the logits is known by hand. Unit length is left out."""

    digest = "bag"
    dimension = len(WORDS)

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        return np.array([[float(text.lower().count(word)) for word in WORDS] for text in texts], dtype=np.float32)


def head(digest: str, dimension: int, weights: np.ndarray) -> IntentClassifier:
    return IntentClassifier(
        intents=INTENTS,
        weights=weights.astype(np.float32),
        bias=np.zeros(3, np.float32),
        geometry=Geometry(np.eye(3, dimension, dtype=np.float32)),
        temperature=1.0,
        out_of_scope=OutOfScopeRule((ScorePart("distance"),), 0.5),
        encoder_digest=digest,
    )


@pytest.fixture(scope="module")
def classifier() -> TextClassifier:
    return TextClassifier(head("bag", 4, 3 * np.eye(3, 4)), BagOfWords())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TextClassifier:
    encoder = Encoder(make_tiny_encoder(tmp_path_factory.mktemp("tiny") / "encoder"))
    weights = np.random.default_rng(0).normal(0, 3, (3, encoder.dimension))
    return TextClassifier(head(encoder.digest, encoder.dimension, weights), encoder)


def weight_of(classifier: TextClassifier, text: str) -> dict[str, float]:
    return {text[each.start : each.end]: each.weight for each in explain(classifier, text).stretches}


def test_the_word_that_decides_weighs_most_and_others_nothing(classifier: TextClassifier) -> None:
    weights = weight_of(classifier, "please cancel it, thanks")
    assert max(weights, key=lambda word: weights[word]) == "cancel"
    assert weights["cancel"] == pytest.approx(3, abs=1e-6)
    assert weights["please"] == weights["it,"] == weights["thanks"] == pytest.approx(0)


def test_a_word_for_another_intent_weighs_against(classifier: TextClassifier) -> None:
    explanation = explain(classifier, "cancel cancel refund")
    assert explanation.prediction.best.intent == "cancel_order"
    assert [stretch.weight > 0 for stretch in explanation.stretches] == [True, True, False]


def test_weights_and_gap_add_up(tiny: TextClassifier) -> None:
    for text in ("where is my parcel ?", "我的 包裹", "x", "", "  ", "how can i cancel my order " * 12, "word " * 400):
        explanation = explain(tiny, text)
        total = sum(stretch.weight for stretch in explanation.stretches)
        whole = explanation.log_odds - explanation.empty_log_odds
        assert total + explanation.gap == pytest.approx(whole, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=700))
def test_any_text_is_explained_in_order_and_inside_it(text: str) -> None:
    classifier = TextClassifier(head("bag", 4, 3 * np.eye(3, 4)), BagOfWords())
    stretches = explain(classifier, text).stretches
    places = [place for stretch in stretches for place in (stretch.start, stretch.end)]
    assert places == sorted(places)
    assert len(stretches) <= 20
    assert all(0 <= stretch.start < stretch.end <= len(text) for stretch in stretches)
    assert bool(stretches) == bool(text.split())


def test_chinese_is_explained_by_character_and_latin_by_word(classifier: TextClassifier) -> None:
    text = "我要退款 refund!"
    assert list(weight_of(classifier, text)) == ["我", "要", "退", "款", "refund!"]


def references(classifier: TextClassifier, examples: list[tuple[str, int]]) -> References:
    features = classifier.features([text for text, _ in examples])
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    return References(
        features.astype(np.float16),
        np.array([label for _, label in examples], np.int32),
        np.stack([np.frombuffer(text_key(text), np.uint8) for text, _ in examples]),
    )


def test_the_nearest_examples_are_told_by_key(classifier: TextClassifier, tmp_path: Path) -> None:
    examples = [("cancel order", 0), ("refund", 1), ("parcel", 2), ("cancel", 0)]
    references(classifier, examples).save(tmp_path)
    loaded = References.load(tmp_path)
    assert loaded is not None
    neighbours = explain(classifier, "cancel", loaded).neighbours
    assert neighbours is not None
    assert [(neighbour.key, neighbour.intent) for neighbour in neighbours[:2]] == [
        (text_key("cancel"), "cancel_order"),
        (text_key("cancel order"), "cancel_order"),
    ]
    assert neighbours[0].similarity == pytest.approx(1, abs=1e-3)
    assert b"cancel" not in (tmp_path / REFERENCES_FILE).read_bytes()


def test_a_release_without_examples_still_explains(classifier: TextClassifier, tmp_path: Path) -> None:
    assert References.load(tmp_path) is None
    assert explain(classifier, "cancel", None).neighbours is None


def test_damaged_examples_are_named(tmp_path: Path) -> None:
    (tmp_path / REFERENCES_FILE).write_bytes(b"nonsense")
    with pytest.raises(InvalidArtifact, match="not readable examples"):
        References.load(tmp_path)


def test_keys_are_of_the_normalised_text() -> None:
    assert text_key("caf\u00e9  latte ") == text_key("cafe\u0301 latte")
    assert text_key("Latte") != text_key("latte")
    assert len(text_key("\ud800")) == KEY_BYTES
