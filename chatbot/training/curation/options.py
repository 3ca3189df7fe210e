"""What a person may choose about a dataset."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from chatbot.exceptions import DatasetError

LARGEST_HELD_OUT_SHARE = 0.5
SEED_LIMIT = 2**31


@dataclass(frozen=True, slots=True)
class CurationOptions:
    """Raises DatasetError, in one sentence, for what makes no sense.

    `held_out_share` is of the reviewed conversations; `per_visitor` bounds the rows of one customer in each file.
    """

    held_out_share: float = 0.2
    per_visitor: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.held_out_share <= LARGEST_HELD_OUT_SHARE:
            raise DatasetError(f"The held-out share is between 0 and {LARGEST_HELD_OUT_SHARE:.0%}.")
        if self.per_visitor < 1:
            raise DatasetError("At least one row a customer has to be allowed.")
        if not 0 <= self.seed < SEED_LIMIT:
            raise DatasetError(f"The seed is a whole number from 0 to {SEED_LIMIT - 1}.")

    @classmethod
    def read(cls, stored: dict[str, Any]) -> Self:
        """The options of a training run's parameters."""
        return cls(**{name: stored[name] for name in ("held_out_share", "per_visitor", "seed") if name in stored})

    def stored(self) -> dict[str, Any]:
        """As a manifest and a training run keep them."""
        return asdict(self)
