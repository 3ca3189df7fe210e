"""Intervals: they hold what they promise, follow conversations and not rows, and are the same each time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.training.evaluation.intervals import Resampling, wilson
from chatbot.training.evaluation.measures import Measure, compare, length_slice, mean_of, ratio_of, sliced

ROWS = 400


def singles(count: int) -> list[int]:
    return list(range(count))


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    chance = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        values = (chance.random(200) < 0.7).astype(float)
        interval = Resampling(singles(200), resamples=300).interval(mean_of(values))
        assert interval is not None
        held += interval.low <= 0.7 <= interval.high
    assert 88 <= held <= 100


def test_pairing_sees_a_difference_that_the_separate_intervals_hide() -> None:
    chance = np.random.default_rng(2)
    hard = chance.random(ROWS)
    base = (hard < 0.6).astype(float)
    better = (hard < 0.64).astype(float)
    (figure,) = compare(
        [Measure("accuracy", mean_of(better))], [Measure("accuracy", mean_of(base))], Resampling(singles(ROWS))
    )
    assert figure["difference"]["low"] > 0
    assert figure["candidate"]["low"] < figure["baseline"]["high"]


def test_rows_of_one_conversation_are_drawn_together() -> None:
    values = np.repeat(np.random.default_rng(3).integers(0, 2, 20), 20).astype(float)
    alone = Resampling(singles(ROWS)).interval(mean_of(values))
    together = Resampling([row // 20 for row in range(ROWS)])
    grouped = together.interval(mean_of(values))
    assert together.groups == 20
    assert alone is not None
    assert grouped is not None
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_the_same_rows_give_the_same_interval() -> None:
    values = np.random.default_rng(4).random(50)
    assert Resampling(singles(50)).interval(mean_of(values)) == Resampling(singles(50)).interval(mean_of(values))


def test_a_figure_of_no_rows_is_none() -> None:
    assert Resampling(singles(5)).interval(mean_of(np.full(5, np.nan))) is None
    assert Resampling(singles(5)).interval(ratio_of(np.ones(5), np.zeros(5))) is None


def test_a_ratio_counts_tokens_and_not_rows() -> None:
    interval = Resampling(singles(2)).interval(ratio_of(np.array([10.0, 1.0]), np.array([5.0, 1.0])))
    assert interval is not None
    assert interval.value == pytest.approx(11 / 6)


def test_slices_say_where_rows_are_too_few() -> None:
    values = np.array([1.0] * 30 + [0.0] * 5 + [1.0] * 3)
    names = ["en"] * 30 + ["de"] * 5 + [""] * 3
    english, german = sliced(names, Measure("accuracy", mean_of(values)), None, [str(row) for row in range(38)])
    assert (english["name"], english["rows"], english["few"], english["candidate"]["value"]) == ("en", 30, False, 1.0)
    assert (german["name"], german["rows"], german["few"]) == ("de", 5, True)
    assert "candidate" not in german


@pytest.mark.parametrize(("words", "name"), [(1, "1–4 words"), (5, "5–10 words"), (20, "11–20 words"), (21, "over 20")])
def test_lengths_have_names(words: int, name: str) -> None:
    assert length_slice("word " * words).startswith(name)


@given(trials=st.integers(1, 500), data=st.data())
def test_wilson_lies_within_bounds_and_around_the_share(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    interval = wilson(successes, trials)
    assert interval is not None
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_wilson_agrees_with_the_textbook() -> None:
    interval = wilson(8, 10)
    assert interval is not None
    assert (round(interval.low, 3), round(interval.high, 3)) == (0.49, 0.943)
    assert wilson(0, 0) is None
