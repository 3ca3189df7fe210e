"""What a training says of itself while it runs: how far it is, and the points of its learning curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured at one step, counted from 1 over all phases; None where it was not measured there.

    `loss` is the mean over the batch; `held_out_loss` over all held-out rows. Both are in nats: a text classifier's per
    text, a generator's per token of the reply.
    """

    step: int
    loss: float | None = None
    held_out_loss: float | None = None
    learning_rate: float | None = None
    tokens_per_s: float | None = None


Record = Callable[[Point], None]
