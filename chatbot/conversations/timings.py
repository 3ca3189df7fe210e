"""What a turn stores of its time, by name. What could not be measured has no entry: zero is a measurement too.

    queued                from the stored message (or the wish to try again) until a worker begins
    classify, retrieve    understanding the message; finding passages
    customer_wait         from the stored message to the first piece of the reply that the customer is shown
    first_token           from submission to the engine to its first token
    generate              from submission to the end of the reply
    chunk_gap_p50, _p95   between two chunks of the reply, as they leave the engine
    cancel                from the stored wish to stop until the worker had ended the reply

    prompt_tokens, completion_tokens
    cached_prompt_tokens  of the prompt, those that the engine had in its cache; only where it can tell
    tokens_per_second     after the first chunk
    dropped_turns         earlier messages that did not fit into the prompt

Durations are seconds. Waits that begin in another process are told by the wall clock, everything else is not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

# A tenth of a millisecond; what follows is noise.
DIGITS = 4


@dataclass(slots=True)
class Stopwatch:
    """Collects them while a turn is answered."""

    measured: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.note(name, time.perf_counter() - started)

    def since(self, name: str, moment: datetime) -> None:
        """Note the time from a stored moment until now."""
        # The moment may come from another machine, whose clock may be ahead.
        self.note(name, max(0.0, (timezone.now() - moment).total_seconds()))

    def note(self, name: str, figure: float | None) -> None:
        """Keep a figure, unless there is none."""
        if figure is not None:
            self.measured[name] = round(figure, DIGITS)
