"""What is measured on held-out rows: the best score is kept, parts do not leak, and costs are what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.inference.out_of_scope import SCORES, OutOfScopeRule, ScoreName, ScorePart
from chatbot.training.trainers.calibration import area_under_roc
from chatbot.training.trainers.finishing import calibrate
from chatbot.training.trainers.heads import fit_geometry, fit_head
from chatbot.training.trainers.held_out import HeldOut, calibrated, compare_scores, fit_rule, join, measure
from chatbot.training.trainers.rows import assign_folds, collect_rows, name_rows
from chatbot.training.trainers.thresholds import threshold_costs

COUNT, STRANGE = 200, 80


def held_out(good: ScoreName = "distance", seed: int = 0) -> HeldOut:
    """200 rows of four intents, of which one in ten is wrong; only the score `good` sees what is strange."""
    random = np.random.default_rng(seed)
    labels = np.arange(COUNT) % 4
    predicted = np.where(np.arange(COUNT) % 10 == 3, (labels + 1) % 4, labels)
    logits = random.normal(0, 1, (COUNT, 4))
    logits[np.arange(COUNT), predicted] += 8
    return HeldOut(
        rows=np.arange(COUNT),
        labels=labels,
        part=np.arange(COUNT) // 10 % 5,
        logits=logits,
        scores={name: random.normal(0, 1, COUNT) for name in SCORES},
        strange_part=np.arange(STRANGE) % 5,
        strange_scores={name: random.normal(6 if name == good else 0, 1, STRANGE) for name in SCORES},
    )


@pytest.mark.parametrize("good", SCORES)
def test_the_score_that_separates_best_is_kept(good: ScoreName) -> None:
    held = held_out(good)
    rule = fit_rule(held, 0.05)
    assert rule.score == good
    compared = compare_scores(held)
    assert max(compared, key=lambda name: compared[name]) == good
    assert compared[good] == pytest.approx(area_under_roc(*held.strangeness(rule)), abs=1e-4)


def test_measures_agree_with_what_was_planted() -> None:
    held = held_out()
    metrics = measure(held, fit_rule(held, 0.05), 0.05)
    assert metrics["accuracy"] == 0.9
    assert metrics["oos_auroc"] > 0.99
    assert metrics["oos_recall"] > 0.9
    assert metrics["in_scope_rejected"] <= 0.08
    assert 0.8 < metrics["in_scope_accuracy_after_rejection"] <= 0.9
    assert metrics["ece"] < 0.1


def test_without_out_of_scope_texts_the_first_blend_is_taken_and_nothing_is_claimed() -> None:
    held = replace(
        held_out(), strange_part=np.zeros(0, np.int64), strange_scores={name: np.zeros(0) for name in SCORES}
    )
    rule = fit_rule(held, 0.05)
    assert rule.score == "energy+distance+neighbours"
    metrics = measure(held, rule, 0.05)
    assert metrics["oos_auroc"] is metrics["oos_recall"] is None
    assert compare_scores(held) == {}
    assert threshold_costs(held, rule)[0]["caught"] is None


def test_a_part_is_measured_by_what_the_others_give() -> None:
    """Changing one part's own rows changes the temperature of every part but itself."""
    held = held_out()
    before = calibrated(held)
    logits = held.logits.copy()
    inside = held.part == 2
    logits[inside] *= 30
    after = calibrated(replace(held, logits=logits))
    unchanged = calibrated(replace(held, logits=np.where(inside[:, None], held.logits, held.logits)))
    np.testing.assert_array_equal(before, unchanged)
    assert np.abs(after[~inside] - before[~inside]).max() > 1e-3
    own = np.exp(logits[inside][0] - logits[inside][0].max())
    assert after[inside][0].argmax() == own.argmax()


def test_pieces_are_joined_in_the_order_of_the_rows() -> None:
    held = held_out()
    order = np.random.default_rng(1).permutation(COUNT)

    def piece(chosen: np.ndarray, strange: np.ndarray) -> HeldOut:
        return HeldOut(
            held.rows[chosen],
            held.labels[chosen],
            held.part[chosen],
            held.logits[chosen],
            {name: values[chosen] for name, values in held.scores.items()},
            held.strange_part[strange],
            {name: values[strange] for name, values in held.strange_scores.items()},
        )

    joined = join([piece(order[:90], np.arange(40)), piece(order[90:], np.arange(40, STRANGE))])
    np.testing.assert_array_equal(joined.logits, held.logits)
    np.testing.assert_array_equal(joined.scores["energy"], held.scores["energy"])
    np.testing.assert_array_equal(joined.strange_scores["energy"], held.strange_scores["energy"])


def test_costs_are_counted_right() -> None:
    """Ten rows of strangeness 0 to 9; the two strangest are wrong, and texts at 7.5 and 20 are out of scope."""
    logits = np.eye(2)[np.zeros(10, int)] * 5
    scores = {name: np.arange(10.0) for name in SCORES}
    held = HeldOut(
        rows=np.arange(10),
        labels=np.array([0] * 8 + [1] * 2),
        part=np.zeros(10, np.int64),
        logits=logits,
        scores=scores,
        strange_part=np.zeros(2, np.int64),
        strange_scores={name: np.array([7.5, 20.0]) for name in SCORES},
    )
    rows = threshold_costs(held, OutOfScopeRule((ScorePart("distance"),), 0.0))
    by_share = {row["rejected"]: row for row in rows}
    assert by_share[0.0] == {
        "threshold": 9.0,
        "rejected": 0.0,
        "wrong_avoided": 0.0,
        "answered_accuracy": 0.8,
        "caught": 0.5,
    }
    assert by_share[0.1]["wrong_avoided"] == 0.5
    assert by_share[0.2] == {
        "threshold": 7.0,
        "rejected": 0.2,
        "wrong_avoided": 1.0,
        "answered_accuracy": 1.0,
        "caught": 1.0,
    }


def test_only_the_geometry_that_the_rule_needs_is_kept() -> None:
    features = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    geometry = fit_geometry(features, np.arange(40) % 4, 0)
    kept = calibrate(held_out("distance"), geometry, 0.05)
    assert kept.geometry.exemplars is kept.geometry.within is None
    assert calibrate(held_out("mahalanobis"), geometry, 0.05).geometry.within is not None
    unmeasured = calibrate(None, geometry, 0.05)
    assert (unmeasured.rule.score, unmeasured.temperature) == ("distance", 1.0)


def test_a_head_starts_from_the_same_place_every_time() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = (np.eye(3, 16)[labels] + random.normal(0, 0.2, (60, 16))).astype(np.float32)
    first, second = fit_head(features, labels), fit_head(features, labels)
    np.testing.assert_array_equal(first.weights, second.weights)
    assert (first.logits(features).argmax(axis=1) == labels).mean() > 0.95
    one, other = fit_geometry(features, labels, 0), fit_geometry(features, labels, 0)
    np.testing.assert_array_equal(one.exemplars, other.exemplars)
    assert one.exemplars is not None
    assert len(one.exemplars) == 3 * 16


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=80),
    st.integers(2, 6),
    st.integers(0, 3),
)
def test_folds_are_stratified_and_lone_rows_stay_in_training(given_labels: list[int], folds: int, seed: int) -> None:
    labels = np.unique(given_labels, return_inverse=True)[1]
    fold = assign_folds(labels, seed, folds)
    for label, count in enumerate(np.bincount(labels)):
        inside = fold[labels == label]
        if count == 1:
            assert inside.tolist() == [-1]
        else:
            sizes = np.bincount(inside, minlength=min(folds, np.bincount(labels).max()))
            assert sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(fold, assign_folds(labels, seed, folds))


def test_rows_do_not_depend_on_the_order_given_and_count_what_was_left_out() -> None:
    given_rows = [("b  text", "x"), ("b text", "x"), ("", "x"), ("a", "y"), ("cafe\u0301", "y"), ("caf\u00e9", "y")]
    rows = collect_rows(given_rows, ["", "far", "far"])
    assert rows == replace(collect_rows(given_rows[::-1], ["far", "far", ""]), labels=rows.labels)
    assert rows.texts == ["a", "b text", "caf\u00e9"]
    assert (rows.empty, rows.duplicates, rows.out_of_scope) == (2, 3, ["far"])


@pytest.mark.parametrize(
    ("slugs", "names"),
    [(("card_arrival", "Top-Up failed"), ["top up failed", "card arrival"]), (("intent_1", "17"), [])],
)
def test_names_are_examples_where_they_say_something(slugs: tuple[str, str], names: list[str]) -> None:
    rows = collect_rows([(f"text {slug}", slug) for slug in slugs], [])
    assert sorted(name_rows(rows)[0]) == sorted(names) or name_rows(rows)[0] == names
