"""Sampling parameters refuse values that mean nothing."""

from __future__ import annotations

from typing import Any

import pytest

from chatbot.inference.sampling import SamplingParams


def test_defaults_are_greedy_and_bounded() -> None:
    sampling = SamplingParams()
    assert sampling.greedy
    assert sampling.max_tokens > 0
    assert sampling.deadline_s > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 0},
        {"max_tokens": True},
        {"max_tokens": 1.5},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"repetition_penalty": 0.0},
        {"deadline_s": 0.0},
        {"deadline_s": float("inf")},
        {"stop": "text"},
        {"stop": ("",)},
        {"seed": -1},
        {"seed": 2**31},
    ],
)
def test_meaningless_values_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SamplingParams(**wrong)


def test_meaningful_values_pass() -> None:
    sampling = SamplingParams(max_tokens=1, temperature=0.7, top_p=0.9, stop=("\n\n",), seed=0, deadline_s=0.5)
    assert not sampling.greedy
