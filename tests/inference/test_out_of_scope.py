"""Every out-of-scope score against its definition, and what a rule refuses to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from chatbot.inference.classifier import IntentClassifier
from chatbot.inference.out_of_scope import (
    SCORES,
    Geometry,
    OutOfScopeRule,
    ScoreName,
    ScorePart,
    softmax,
    strangeness,
)
from chatbot.training.trainers.heads import fit_geometry

RANDOM = np.random.default_rng(5)
LABELS = np.repeat(np.arange(3), 30)
CENTRES = np.eye(3, 8, dtype=np.float32) * 4


def unit(rows: np.ndarray) -> np.ndarray:
    return cast(np.ndarray, (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


TRAINED = unit(CENTRES[LABELS] + RANDOM.normal(0, 1, (90, 8)))
GEOMETRY = fit_geometry(TRAINED, LABELS, 0)
KNOWN = unit(CENTRES[LABELS] + RANDOM.normal(0, 1, (90, 8)))
STRANGE = unit(-CENTRES[LABELS] + RANDOM.normal(0, 1, (90, 8)))


def logits_of(features: np.ndarray) -> np.ndarray:
    return cast(np.ndarray, 5 * features @ unit(CENTRES).T).astype(np.float64)


def score(name: ScoreName, features: np.ndarray) -> np.ndarray:
    return strangeness(name, features, logits_of(features), GEOMETRY)


@pytest.mark.parametrize("name", SCORES)
def test_every_score_grows_with_strangeness(name: ScoreName) -> None:
    assert score(name, STRANGE).mean() > score(name, KNOWN).mean() + 2 * score(name, KNOWN).std()


def test_probability_and_energy_by_hand() -> None:
    logits = np.array([[2.0, 0.0, 0.0], [1000.0, 0.0, -1000.0]])
    nothing = np.zeros((2, 8), np.float32)
    top = np.exp(2) / (np.exp(2) + 2)
    assert strangeness("probability", nothing, logits, GEOMETRY) == pytest.approx([1 - top, 0])
    assert strangeness("energy", nothing, logits, GEOMETRY) == pytest.approx([-np.log(np.exp(2) + 2), -1000])
    assert softmax(logits).sum(axis=1) == pytest.approx([1, 1])


def test_distance_is_to_the_nearest_centre() -> None:
    expected = [min(1 - float(row @ centre) for centre in GEOMETRY.centres) for row in KNOWN]
    assert score("distance", KNOWN) == pytest.approx(expected, abs=1e-5)


def test_neighbours_are_the_five_nearest_examples() -> None:
    assert GEOMETRY.exemplars is not None
    expected = [
        1 - np.mean(sorted((float(row @ each) for each in GEOMETRY.exemplars), reverse=True)[:5]) for row in KNOWN
    ]
    assert score("neighbours", KNOWN) == pytest.approx(expected, abs=1e-5)


def test_mahalanobis_is_relative_to_all_examples() -> None:
    """Against the distances with the inverse covariances written out."""
    assert GEOMETRY.within is not None
    assert GEOMETRY.overall is not None
    assert GEOMETRY.mean is not None
    within, overall = GEOMETRY.within @ GEOMETRY.within.T, GEOMETRY.overall @ GEOMETRY.overall.T
    expected = [
        min(float((row - centre) @ within @ (row - centre)) for centre in GEOMETRY.centres)
        - float((row - GEOMETRY.mean) @ overall @ (row - GEOMETRY.mean))
        for row in KNOWN[:10]
    ]
    assert score("mahalanobis", KNOWN[:10]) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_a_blend_is_the_mean_of_its_standardised_parts() -> None:
    rule = OutOfScopeRule((ScorePart("energy", 2.0, 4.0), ScorePart("distance", 1.0, 0.5)), 0.0)
    assert rule.score == "energy+distance"
    combined = rule.combine({"energy": np.array([10.0]), "distance": np.array([2.0])})
    assert combined == pytest.approx([(2 + 2) / 2])


@pytest.mark.parametrize(
    "make",
    [
        lambda: ScorePart(cast(Any, "vibes")),
        lambda: ScorePart("energy", 0.0, 0.0),
        lambda: ScorePart("energy", 0.0, float("nan")),
        lambda: OutOfScopeRule((), 0.0),
        lambda: strangeness("neighbours", KNOWN, logits_of(KNOWN), Geometry(GEOMETRY.centres)),
    ],
)
def test_nonsense_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match=r"score|deviation|vibes"):
        make()


def classifier(rule: OutOfScopeRule, geometry: Geometry) -> IntentClassifier:
    return IntentClassifier(
        intents=("a", "b", "c"),
        weights=5 * unit(CENTRES),
        bias=np.zeros(3, np.float32),
        geometry=geometry,
        temperature=1.0,
        out_of_scope=rule,
        encoder_digest="none",
    )


@pytest.mark.parametrize("name", SCORES)
def test_a_rule_decides_the_same_after_it_was_stored(name: ScoreName, tmp_path: Path) -> None:
    threshold = float(np.median(np.concatenate([score(name, KNOWN), score(name, STRANGE)])))
    before = classifier(OutOfScopeRule((ScorePart(name),), threshold), GEOMETRY)
    before.save(tmp_path)
    after = IntentClassifier.load(tmp_path)
    assert after.out_of_scope == before.out_of_scope
    for features in (KNOWN, STRANGE):
        np.testing.assert_array_equal(before.out_of_scope_scores(features), after.out_of_scope_scores(features))
    assert after.predict(STRANGE) == before.predict(STRANGE)
    assert any(each.out_of_scope for each in after.predict(STRANGE))


@pytest.mark.parametrize("name", ["neighbours", "mahalanobis"])
def test_a_rule_without_its_geometry_is_refused(name: ScoreName) -> None:
    with pytest.raises(ValueError, match="lacks what the score"):
        classifier(OutOfScopeRule((ScorePart(name),), 0.0), Geometry(GEOMETRY.centres))
