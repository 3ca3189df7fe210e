"""The linear head: predictions, and files that are refused where anything is wrong with them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.exceptions import ClassifierError, InvalidArtifact
from chatbot.inference.classifier import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    IntentClassifier,
)
from chatbot.inference.neighbours import NeighbourVote
from chatbot.inference.out_of_scope import Geometry, OutOfScopeRule, ScorePart, softmax


@pytest.fixture
def classifier() -> IntentClassifier:
    return IntentClassifier(
        intents=("east", "north", "west"),
        weights=np.array([[4, 0], [0, 4], [-4, 0]], dtype=np.float32),
        bias=np.array([0, 0.1, 0], dtype=np.float32),
        geometry=Geometry(np.array([[1, 0], [0, 1], [-1, 0]], dtype=np.float32)),
        temperature=0.5,
        out_of_scope=OutOfScopeRule((ScorePart("distance"),), 0.5),
        encoder_digest="ab" * 32,
    )


def test_ranking_is_complete_sorted_and_sums_to_one(classifier: IntentClassifier) -> None:
    east, south = classifier.predict(np.array([[0.8, 0.6], [0, -1]], dtype=np.float32))
    assert [ranked.intent for ranked in east.ranking] == ["east", "north", "west"]
    assert east.best.confidence > east.ranking[1].confidence > east.ranking[2].confidence
    assert sum(ranked.confidence for ranked in east.ranking) == pytest.approx(1)
    assert not east.out_of_scope
    assert south.out_of_scope
    assert south.out_of_scope_score > south.threshold == 0.5


def test_temperature_changes_confidence_and_never_the_order(classifier: IntentClassifier) -> None:
    embedding = np.array([[0.8, 0.6]], dtype=np.float32)
    sharp = classifier.predict(embedding)[0]
    flat = replace(classifier, temperature=5.0).predict(embedding)[0]
    assert [ranked.intent for ranked in sharp.ranking] == [ranked.intent for ranked in flat.ranking]
    assert flat.best.confidence < sharp.best.confidence


def test_embeddings_of_another_encoder_are_refused(classifier: IntentClassifier) -> None:
    with pytest.raises(ClassifierError, match="another encoder"):
        classifier.predict(np.ones((1, 3), dtype=np.float32))


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=6),
    st.floats(0.01, 100),
)
def test_softmax_is_a_distribution(logits: list[float], temperature: float) -> None:
    probabilities = softmax(np.array([logits]) / temperature)
    assert np.isfinite(probabilities).all()
    assert probabilities.sum() == pytest.approx(1)


def test_what_is_saved_is_what_is_loaded(classifier: IntentClassifier, tmp_path: Path) -> None:
    classifier.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}
    loaded = IntentClassifier.load(tmp_path)
    embeddings = np.random.default_rng(0).standard_normal((5, 2)).astype(np.float32)
    assert loaded.predict(embeddings) == classifier.predict(embeddings)
    assert loaded.encoder_digest == classifier.encoder_digest


@pytest.fixture
def voting(classifier: IntentClassifier) -> IntentClassifier:
    examples = np.array([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]], dtype=np.float32)
    return replace(classifier, vote=NeighbourVote(examples, np.array([1, 2, 1]), 2.0))


def test_near_examples_vote_and_are_saved_with_the_head(
    classifier: IntentClassifier, voting: IntentClassifier, tmp_path: Path
) -> None:
    embedding = np.array([[0.8, 0.6]], dtype=np.float32)
    assert classifier.predict(embedding)[0].best.intent == "east"
    assert voting.predict(embedding)[0].best.intent == "north"
    voting.save(tmp_path)
    loaded = IntentClassifier.load(tmp_path)
    assert loaded.predict(embedding) == voting.predict(embedding)
    np.testing.assert_array_equal(loaded.logits(embedding), voting.logits(embedding))


def test_votes_that_do_not_fit_the_head_are_refused(voting: IntentClassifier, tmp_path: Path) -> None:
    assert voting.vote is not None
    with pytest.raises(ValueError, match="do not fit"):
        replace(voting, vote=NeighbourVote(voting.vote.examples, np.array([2, 2]), 1.0))
    voting.save(tmp_path)
    path = tmp_path / DESCRIPTION_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vote": -1}))
    with pytest.raises(InvalidArtifact, match="not finite"):
        IntentClassifier.load(tmp_path)


@pytest.mark.parametrize("name", [WEIGHTS_FILE, DESCRIPTION_FILE])
def test_missing_and_unreadable_files_are_named(classifier: IntentClassifier, tmp_path: Path, name: str) -> None:
    classifier.save(tmp_path)
    (tmp_path / name).write_bytes(b"\x80\x04not what it was")
    with pytest.raises(InvalidArtifact, match=f"{name}.*train_classifier"):
        IntentClassifier.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InvalidArtifact, match=f"{name}: the file is missing"):
        IntentClassifier.load(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("intents", ["east", "north"]),
        ("intents", ["east", "east", "west"]),
        ("temperature", 0),
        ("temperature", "warm"),
        ("format", 99),
        ("out_of_scope", {"parts": [{"name": "magic", "mean": 0, "deviation": 1}], "threshold": 1}),
        ("out_of_scope", {"parts": [{"name": "energy", "mean": 0, "deviation": 1}]}),
        ("out_of_scope", {"parts": [{"name": "energy", "mean": 0, "deviation": 0}], "threshold": 1}),
        ("out_of_scope", {"parts": [{"name": "neighbours", "mean": 0, "deviation": 1}], "threshold": 1}),
        ("out_of_scope", {"parts": [], "threshold": 1}),
        ("encoder_digest", None),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(
    classifier: IntentClassifier, tmp_path: Path, field: str, value: object
) -> None:
    classifier.save(tmp_path)
    path = tmp_path / DESCRIPTION_FILE
    description = json.loads(path.read_text())
    if value is None:
        del description[field]
    else:
        description[field] = value
    path.write_text(json.dumps(description))
    with pytest.raises(InvalidArtifact):
        IntentClassifier.load(tmp_path)


def test_weights_that_are_not_finite_are_refused(classifier: IntentClassifier) -> None:
    with pytest.raises(ValueError, match="not finite"):
        replace(classifier, bias=np.array([0, np.nan, 0], dtype=np.float32))
