"""Calibration against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from chatbot.inference.out_of_scope import softmax
from chatbot.training.trainers.calibration import (
    MAX_IN_SCOPE_REJECTED,
    area_under_roc,
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
)

scores = st.lists(st.floats(-100, 100), min_size=1, max_size=40).map(np.array)


def test_temperature_undoes_overconfidence() -> None:
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((4000, 5)) * 2
    labels = np.array([generator.choice(5, p=row) for row in softmax(logits)])
    assert fit_temperature(logits, labels) == pytest.approx(1, rel=0.08)
    assert fit_temperature(logits * 3, labels) == pytest.approx(3, rel=0.08)
    calibrated = expected_calibration_error(softmax(logits), labels)
    assert calibrated < 0.03 < expected_calibration_error(softmax(logits * 3), labels)


def test_calibration_error_of_known_cases() -> None:
    sure = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert expected_calibration_error(sure, np.array([0, 0])) == 0
    assert expected_calibration_error(sure, np.array([1, 1])) == 1
    half = np.array([[0.5, 0.5], [0.5, 0.5]])
    assert expected_calibration_error(half, np.array([0, 1])) == pytest.approx(0)


@settings(deadline=None)  # the machine may be busy
@given(scores, scores)
def test_area_equals_scikit_learn(known: np.ndarray, strange: np.ndarray) -> None:
    truth = np.r_[np.zeros(len(known)), np.ones(len(strange))]
    assert area_under_roc(known, strange) == pytest.approx(roc_auc_score(truth, np.r_[known, strange]))


@settings(deadline=None)  # the machine may be busy
@given(scores, scores)
def test_threshold_never_rejects_more_than_promised(known: np.ndarray, strange: np.ndarray) -> None:
    threshold = choose_threshold(known, strange)
    assert (known > threshold).mean() <= MAX_IN_SCOPE_REJECTED


def test_threshold_separates_what_is_separable() -> None:
    threshold = choose_threshold(np.array([0.1, 0.2, 0.3]), np.array([0.9, 1.0]))
    assert 0.3 < threshold < 0.9
