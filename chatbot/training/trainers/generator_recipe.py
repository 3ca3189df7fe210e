"""How a generator is tuned: the numbers, and the presets that people choose between. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")
# Of a training that adapts first, the adaptation's share.
ADAPTATION_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class GeneratorRecipe:
    """`upper_share` of the layers get an adapter; those below need no backward pass.

    An optimiser's step takes `step_tokens` of rows, in passes of at most `batch_tokens`, which bound memory: about
    2.5 MB a token for a model of 135 million parameters. `pack_tokens` is the length of the sequences that rows are
    packed into. The held-out loss is looked at `looks` times, and training ends early when it was not lowest for
    `patience` of them; 0 never ends early. `most_watched` held-out rows are looked at; before and after training all.
    """

    epochs: int = 2
    max_steps: int | None = None
    rank: int = 8
    alpha: int = 16
    targets: tuple[str, ...] = (*ATTENTION, *MLP)
    upper_share: float = 1.0
    learning_rate: float = 1e-3
    warm_up: float = 0.1
    gradient_norm: float = 1.0
    step_tokens: int = 4096
    batch_tokens: int = 1024
    pack_tokens: int = 512
    looks: int = 8
    patience: int = 3
    most_watched: int = 64

    def __post_init__(self) -> None:
        if self.epochs < 1 or (self.max_steps is not None and self.max_steps < 1):
            raise ValueError("a training has at least one epoch and one step")
        if min(self.rank, self.alpha, self.step_tokens, self.batch_tokens, self.pack_tokens, self.looks) < 1:
            raise ValueError("ranks, tokens and looks are counted from 1")
        if not (0 < self.upper_share <= 1 and 0 <= self.warm_up < 1 and self.learning_rate > 0):
            raise ValueError("shares lie between 0 and 1, and a learning rate above 0")
        if not self.targets:
            raise ValueError("an adapter needs matrices to adapt")

    def with_numbers(self, **given: Any) -> GeneratorRecipe:
        """This recipe with other numbers. No pack or pass is longer than a step, so steps are as short as asked."""
        recipe = replace(self, **given)
        return replace(
            recipe,
            batch_tokens=min(recipe.batch_tokens, recipe.step_tokens),
            pack_tokens=min(recipe.pack_tokens, recipe.step_tokens),
        )

    def adapted_layers(self, count: int) -> range:
        """Which of a model's `count` layers get an adapter: the upper ones, at least one."""
        return range(count - max(1, round(count * self.upper_share)), count)

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, of so many: up in a line, down along half a cosine."""
        warm_up = max(1.0, self.warm_up * steps)
        if step < warm_up:
            return self.learning_rate * (step + 1) / (warm_up + 1)
        return self.learning_rate * (1 + math.cos(math.pi * (step - warm_up) / max(1.0, steps - warm_up))) / 2

    def described(self) -> dict[str, Any]:
        """As a manifest's configuration tells it."""
        return {**asdict(self), "targets": list(self.targets)}


# The upper half of the layers at twice the rate gives what all give, in three quarters of the time (docs/log.md).
PRESETS = {
    "quick": GeneratorRecipe(epochs=1, max_steps=40, upper_share=0.5, learning_rate=2e-3, looks=4),
    "standard": GeneratorRecipe(upper_share=0.5, learning_rate=2e-3),
    "thorough": GeneratorRecipe(
        rank=12, alpha=24, upper_share=0.5, learning_rate=2e-3, step_tokens=2048, looks=4, most_watched=32
    ),
}
# Numbers that people may set over those of a preset.
CHOSEN = ("epochs", "max_steps", "step_tokens", "learning_rate")
PRESET_WORDS = {
    "quick": "at most 40 steps, in minutes",
    "standard": "two passes over the rows",
    "thorough": "two passes in smaller steps, with a larger adapter",
}
