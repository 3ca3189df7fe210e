"""Counters and histograms of the turns that ended.

Turns end in workers, in the sweeper and in web processes, and the database has them all. So a web process counts, when
it is asked, the turns that ended since it was last asked: nothing is written in a customer's way, a counter never goes
back because a visitor was erased, and after a restart it begins at zero, as Prometheus expects. Each web process counts
every turn, so across instances take the maximum and not the sum.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import connection
from django.utils import timezone
from prometheus_client import Counter, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from chatbot.conversations.models import Turn
from chatbot.inference.groundedness import Fate

logger = logging.getLogger(__name__)

# A turn is seen once it is committed, which may be after one that ended later; clocks differ a little besides.
LOOK_BACK = timedelta(minutes=1)
# Turns that ended longer ago than this while nobody asked are left out: the first look after a weekend stays quick.
LONGEST_PAUSE = timedelta(hours=1)

# From a gap between two tokens on a fast card to the deadline of a reply.
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
TOKENS_PER_SECOND = (1, 2, 5, 10, 20, 40, 80, 160, 320, 640)

# Name of the timing, name of the metric, its buckets, what it is.
_HISTOGRAMS: tuple[tuple[str, str, tuple[float, ...], str], ...] = (
    ("queued", "queue_seconds", SECONDS, "From the stored message until a worker begins."),
    ("classify", "classify_seconds", SECONDS, "Understanding the message."),
    ("retrieve", "retrieve_seconds", SECONDS, "Finding passages."),
    ("customer_wait", "first_token_seconds", SECONDS, "From the stored message to the first words shown."),
    ("first_token", "engine_first_token_seconds", SECONDS, "From submission to the engine to its first token."),
    ("generate", "generate_seconds", SECONDS, "From submission to the engine to the reply's end."),
    ("chunk_gap_p50", "chunk_gap_median_seconds", SECONDS, "A reply's median gap between two chunks."),
    ("chunk_gap_p95", "chunk_gap_p95_seconds", SECONDS, "The gap that 95 % of a reply's chunks stay below."),
    ("cancel", "cancel_seconds", SECONDS, "From the stored wish to stop until the reply had ended."),
    ("prompt_tokens", "prompt_tokens", TOKENS, "Tokens of the prompt."),
    ("cached_prompt_tokens", "cached_prompt_tokens", TOKENS, "Those in the engine's cache, where it can tell."),
    ("completion_tokens", "completion_tokens", TOKENS, "Tokens of the reply."),
    ("tokens_per_second", "tokens_per_second", TOKENS_PER_SECOND, "Speed of a reply after its first chunk."),
)


class TurnCollector(Collector):
    """Counts what has ended since it was made, each turn once."""

    def __init__(self) -> None:
        self._ended = Counter(
            "frontdesk_turns_ended", "Turns that ended, by outcome.", ["status", "action"], registry=None
        )
        self._sentences = Counter(
            "frontdesk_turn_sentences",
            "Sentences of the model by what the groundedness guard made of them.",
            ["fate"],
            registry=None,
        )
        for fate in Fate:
            self._sentences.labels(fate.value)  # a rate begins at zero, not at the first invention
        self._histograms = {
            timing: Histogram(f"frontdesk_turn_{name}", documentation, buckets=buckets, registry=None)
            for timing, name, buckets, documentation in _HISTOGRAMS
        }
        self._lock = threading.Lock()
        self._began = self._looked = timezone.now()
        self._counted: set[UUID] = set()

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            try:
                self._catch_up(timezone.now())
            except DatabaseError as error:
                logger.warning("metrics: the database does not answer: %s", error)
            finally:
                connection.close()
            # A list, since another scrape may go on counting while this one is written out.
            counters = (self._ended, self._sentences, *self._histograms.values())
            return [metric for counted in counters for metric in counted.collect()]

    def _catch_up(self, now: datetime) -> None:
        since = max(self._looked - LOOK_BACK, self._began, now - LONGEST_PAUSE)
        ended = Turn.objects.filter(finished_at__gte=since, conversation__is_demo=False).order_by()
        # All are read before one is counted: a database that goes away in between must not have some counted twice.
        rows = list(ended.values_list("pk", "status", "action", "timings", "groundedness"))
        for pk, status, action, timings, groundedness in rows:
            if pk not in self._counted:
                self._count(status, action, timings, groundedness)
        self._counted = {row[0] for row in rows}
        self._looked = now

    def _count(self, status: str, action: str, timings: Mapping[str, Any], groundedness: Mapping[str, Any]) -> None:
        self._ended.labels(status, action).inc()
        for sentence in groundedness.get("sentences", ()):
            self._sentences.labels(sentence["fate"]).inc()
        for name, histogram in self._histograms.items():
            if name in timings:
                histogram.observe(float(timings[name]))
