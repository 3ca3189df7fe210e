"""What a stream measures, against times set by hand."""

from __future__ import annotations

import pytest

from chatbot.inference.engines import stream
from chatbot.inference.engines.stream import TokenFeed
from chatbot.inference.prompt import Prompt
from chatbot.inference.sampling import SamplingParams
from chatbot.inference.tokens import ModelTokenizer


class Clock:
    """Stands still until it is told."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stream, "time", clock)
    return clock


@pytest.fixture
def feed(tiny_tokenizer: ModelTokenizer, clock: Clock) -> TokenFeed:
    prompt = Prompt(token_ids=(5, 6, 7), dropped_turns=0, dropped_passages=0)
    return TokenFeed(prompt, SamplingParams(max_tokens=50), tiny_tokenizer, on_end=lambda *_: None)


def push(feed: TokenFeed, clock: Clock, *chunks: tuple[float, int]) -> None:
    for at, tokens in chunks:
        clock.now = 100.0 + at
        feed.push([20] * tokens)


def test_gaps_and_speed(feed: TokenFeed, clock: Clock) -> None:
    feed.start()
    push(feed, clock, (0.5, 3), (0.7, 1), (1.0, 1), (2.0, 4))
    feed.cancel()
    taken = feed.timings()
    assert (taken.queued_s, taken.ttft_s, taken.total_s) == pytest.approx((0.0, 0.5, 2.0))
    # Gaps of 0.2, 0.3 and 1.0; 0.95 × 2 = 1.9 of the way: 0.3 + 0.9 × 0.7.
    assert taken.chunk_gap_p50_s == pytest.approx(0.3)
    assert taken.chunk_gap_p95_s == pytest.approx(0.93)
    # Six tokens after the first chunk, in 1.5 s.
    assert taken.tokens_per_s == pytest.approx(4.0)
    assert (taken.prompt_tokens, taken.completion_tokens, taken.cached_prompt_tokens) == (3, 9, None)


def test_one_chunk_has_no_gap_and_no_speed(feed: TokenFeed, clock: Clock) -> None:
    push(feed, clock, (0.5, 3))
    taken = feed.timings()
    assert (taken.chunk_gap_p50_s, taken.chunk_gap_p95_s, taken.tokens_per_s) == (None, None, None)


def test_an_end_token_is_no_chunk(feed: TokenFeed, clock: Clock, tiny_tokenizer: ModelTokenizer) -> None:
    push(feed, clock, (0.5, 1), (0.7, 1))
    clock.now += 60
    feed.push([next(iter(tiny_tokenizer.end_ids))])
    assert feed.finish_reason == "stop"
    assert feed.timings().chunk_gap_p95_s == pytest.approx(0.2)
