"""The vote of near examples against its definition, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from chatbot.inference.neighbours import WIDTH, NeighbourVote


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def random_rows(count: int, seed: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((count, 6)))


def test_the_vote_is_the_weighted_log_density_of_each_intents_examples() -> None:
    examples, features = random_rows(5, 0), random_rows(1100, 1)
    vote = NeighbourVote(examples, np.array([2, 1, 2]), 0.2)
    expected = [
        [
            0.2 * np.log(np.exp((own @ row - 1) / WIDTH).sum() + 1e-9)
            for own in (examples[:2], examples[2:3], examples[3:])
        ]
        for row in features.astype(np.float64)
    ]
    np.testing.assert_allclose(vote.logits(features), expected, rtol=1e-3, atol=1e-4)
    assert vote.logits(features[:0]).shape == (0, 3)


def test_the_nearest_example_decides_and_far_ones_do_not_differ() -> None:
    examples = unit(np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0]]))
    added = NeighbourVote(examples, np.array([1, 1, 1]), 1.0).logits(unit(np.array([[1, 0.1, 0]])))[0]
    assert added.argmax() == 0
    assert added[1] == pytest.approx(added[2], abs=1e-3)


@pytest.mark.parametrize(
    ("counts", "weight", "sentence"),
    [
        ([2, 2], 0.2, "belong together"),
        ([5, 0], 0.2, "without a voting example"),
        ([3, 2], 0.0, "not finite"),
        ([3, 2], float("nan"), "not finite"),
    ],
)
def test_parts_that_do_not_fit_are_refused(counts: list[int], weight: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        NeighbourVote(random_rows(5, 0), np.array(counts), weight)
