"""How a reply is drawn from the model."""

from __future__ import annotations

import math
from dataclasses import dataclass

# What both engines accept for a seed: a signed 32-bit integer.
_SEED_LIMIT = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """Sampling parameters of one request. Raises ValueError at construction for values that mean nothing.

    Greedy at `temperature` 0. `stop` strings end the reply and are not part of it. `deadline_s` counts from
    submission, waiting included.
    """

    max_tokens: int = 192
    # Greedy: a 135M model wanders off the passage as soon as it is allowed to sample.
    temperature: float = 0.0
    top_p: float = 1.0
    # Off: it would penalise the words of the passage, which are the ones that a faithful answer repeats.
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    deadline_s: float = 60.0

    def __post_init__(self) -> None:
        if isinstance(self.max_tokens, bool) or not isinstance(self.max_tokens, int) or self.max_tokens < 1:
            raise ValueError(f"max_tokens must be a whole number from 1, not {self.max_tokens!r}")
        _require("temperature", self.temperature, 0.0 <= self.temperature <= 5.0, "between 0 and 5")
        _require("top_p", self.top_p, 0.0 < self.top_p <= 1.0, "above 0 and at most 1")
        _require("repetition_penalty", self.repetition_penalty, 0.5 <= self.repetition_penalty <= 2.0, "0.5 to 2")
        _require("deadline_s", self.deadline_s, self.deadline_s > 0.0, "above 0")
        stop: object = self.stop  # a lone string is a tuple of letters to everyone but the type checker
        if isinstance(stop, str) or not all(isinstance(text, str) and text for text in self.stop):
            raise ValueError(f"stop must be a tuple of non-empty strings, not {self.stop!r}")
        if self.seed is not None and not 0 <= self.seed < _SEED_LIMIT:
            raise ValueError(f"seed must be from 0 to {_SEED_LIMIT - 1}, not {self.seed!r}")

    @property
    def greedy(self) -> bool:
        return self.temperature == 0.0


def _require(name: str, value: float, holds: bool, expected: str) -> None:
    if not holds or not math.isfinite(value):
        raise ValueError(f"{name} must be {expected}, not {value!r}")
