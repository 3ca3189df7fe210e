"""Percentiles against a hand computation, and against numpy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.inference.percentiles import percentile

finite = st.floats(0, 1e6, allow_nan=False)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, 1.0),
        (0.25, 2.0),
        (0.5, 3.0),
        (0.95, 8.8),  # at 0.95 × 4 = 3.8 of the way: 4 + 0.8 × (10 - 4)
        (1.0, 10.0),
    ],
)
def test_by_hand(share: float, expected: float) -> None:
    assert percentile([10.0, 1.0, 3.0, 2.0, 4.0], share) == pytest.approx(expected)


def test_of_one_value_and_of_none() -> None:
    assert percentile([7.0], 0.95) == 7.0
    assert percentile([], 0.5) is None


@given(st.lists(finite, min_size=1, max_size=40), st.floats(0, 1))
def test_as_numpy_does(values: list[float], share: float) -> None:
    assert percentile(values, share) == pytest.approx(float(np.quantile(values, share)), abs=1e-6)
