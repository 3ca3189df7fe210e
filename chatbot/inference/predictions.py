"""What the classifier says of a text. Plain values, so that policy and pages need no model to read them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RankedIntent:
    """An intent's slug and its calibrated probability."""

    intent: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """An intent ranking (best first, confidences sum to 1 over all intents) and the out-of-scope decision.

    `out_of_scope_score` grows with strangeness; the text is out of scope where it exceeds `threshold`.
    """

    ranking: tuple[RankedIntent, ...]
    out_of_scope: bool
    out_of_scope_score: float
    threshold: float

    @property
    def best(self) -> RankedIntent:
        return self.ranking[0]
