"""One reply on its way from an engine to whoever reads it.

The engine's side is a `Feed`: what the model makes goes in, whole characters come out, and it decides when the reply is
over (end token, stop string, cap, deadline, cancellation, failure). A `TokenFeed` takes ids, a `TextFeed` the text that
a server sends. The reader's side is a `Generation`. The engine never holds a `Generation`, so a reader that lets go of
one stops the model.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Literal

from chatbot.exceptions import EngineError
from chatbot.inference.percentiles import percentile
from chatbot.inference.prompt import Prompt
from chatbot.inference.sampling import SamplingParams
from chatbot.inference.tokens import Detokenizer, ModelTokenizer, StopStrings

FinishReason = Literal["stop", "length", "cancelled", "deadline", "error"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the reply: whole characters, and the ids that arrived with them, where the engine knows any."""

    text: str
    token_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds since submission, and token counts. None where it has not come to that yet.

    `cached_prompt_tokens` is None for good where the engine cannot tell, and `prompt_tokens` until a server has told.
    A gap lies between two chunks of the reply.
    """

    queued_s: float | None
    ttft_s: float | None
    total_s: float | None
    prompt_tokens: int | None
    completion_tokens: int
    cached_prompt_tokens: int | None = None
    chunk_gap_p50_s: float | None = None
    chunk_gap_p95_s: float | None = None
    tokens_per_s: float | None = None


class Feed:
    """The engine's end of a stream. Any thread may call any method."""

    def __init__(self, prompt: Prompt, sampling: SamplingParams, *, on_end: Callable[[Feed, bool], None]) -> None:
        """`on_end(feed, engine_knows)` is called once, without locks held, when the reply is over."""
        self.prompt = prompt
        self.sampling = sampling
        self.chunks: SimpleQueue[Chunk | None] = SimpleQueue()
        self.finish_reason: FinishReason | None = None
        self.error: EngineError | None = None
        self._stops = StopStrings(sampling.stop)
        self._on_end = on_end
        # Reentrant: the garbage collector may run a reader's finaliser, which cancels, inside any of these methods.
        self._lock = threading.RLock()
        self._submitted = time.monotonic()
        self.expires = self._submitted + sampling.deadline_s
        self._started: float | None = None
        self._first_token: float | None = None
        self._ended: float | None = None
        self._prompt_tokens: int | None = len(prompt.token_ids)
        self._completion_tokens = 0
        self._first_chunk_tokens = 0
        self._arrivals: list[float] = []
        self.cached_prompt_tokens: int | None = None

    def start(self) -> None:
        """The engine has begun with this request."""
        self._started = time.monotonic()

    def cancel(self) -> None:
        """End the reply because its reader wants no more."""
        self._finish("cancelled", engine_knows=False)

    def expire(self) -> None:
        """End the reply because its deadline has passed."""
        self._finish("deadline", engine_knows=False)

    def fail(self, error: EngineError) -> None:
        """End the reply with an error that its reader will see raised."""
        self._finish("error", engine_knows=True, error=error)

    def timings(self) -> Timings:
        def since(moment: float | None) -> float | None:
            return None if moment is None else moment - self._submitted

        with self._lock:
            arrivals, tokens = list(self._arrivals), self._completion_tokens
        gaps = [later - earlier for earlier, later in pairwise(arrivals)]
        streamed_s = sum(gaps)
        return Timings(
            queued_s=since(self._started),
            ttft_s=since(self._first_token),
            total_s=since(self._ended),
            prompt_tokens=self._prompt_tokens,
            completion_tokens=tokens,
            cached_prompt_tokens=self.cached_prompt_tokens,
            chunk_gap_p50_s=percentile(gaps, 0.5),
            chunk_gap_p95_s=percentile(gaps, 0.95),
            # The first chunk's tokens took the prompt's time, not their own.
            tokens_per_s=(tokens - self._first_chunk_tokens) / streamed_s if streamed_s > 0 else None,
        )

    def _put(
        self, text: str, token_ids: tuple[int, ...], *, tokens: int, reason: FinishReason | None, last: bool
    ) -> FinishReason | None:
        """Pass on what stands before a stop string; returns why the reply ends here, if it does. The lock is held."""
        now = time.monotonic()
        if tokens:
            self._first_chunk_tokens = self._first_chunk_tokens or tokens
            self._arrivals.append(now)
        self._completion_tokens += tokens
        text, stopped = self._stops.push(text)
        if stopped:
            reason = "stop"
        elif reason is None and now >= self.expires:
            reason = "deadline"
        elif reason is None and last:
            reason = "length"
        if reason is not None:
            text += self._stops.flush()
        if text or token_ids:
            self.chunks.put(Chunk(text, token_ids))
        return reason

    def _note_first_token(self) -> None:
        if self._first_token is None:
            self._first_token = time.monotonic()

    def _finish(self, reason: FinishReason, *, engine_knows: bool, error: EngineError | None = None) -> None:
        with self._lock:
            if self.finish_reason is not None:
                return
            self.finish_reason = reason
            self.error = error
            self._ended = time.monotonic()
        try:
            self._on_end(self, engine_knows)
        finally:
            self.chunks.put(None)  # whatever happens, the reader must not wait for ever


class TokenFeed(Feed):
    """Takes token ids."""

    def __init__(
        self,
        prompt: Prompt,
        sampling: SamplingParams,
        tokenizer: ModelTokenizer,
        *,
        on_end: Callable[[Feed, bool], None],
    ) -> None:
        super().__init__(prompt, sampling, on_end=on_end)
        self._tokenizer = tokenizer
        self._detokenizer = Detokenizer(tokenizer)

    def push(self, token_ids: Sequence[int], *, last: bool = False) -> None:
        """Take ids that the model has just made; `last` where the engine has finished the request by itself."""
        with self._lock:
            if self.finish_reason is not None:
                return
            kept: list[int] = []
            reason: FinishReason | None = None
            for index in token_ids:
                if index in self._tokenizer.end_ids:
                    reason = "stop"
                    break
                kept.append(index)
                if self._completion_tokens + len(kept) >= self.sampling.max_tokens:
                    reason = "length"
                    break
            if token_ids:
                self._note_first_token()
            text = self._detokenizer.push(kept)
            reason = self._put(text, tuple(kept), tokens=len(kept), reason=reason, last=last)
        if reason is not None:
            self._finish(reason, engine_knows=last)


class TextFeed(Feed):
    """Takes text, where ids are the server's own business.

    A piece counts as one token until the server says how many there were. It may hold several but never less than one,
    so more pieces than `max_tokens` mean a server that does not keep the cap; then the reply ends here.
    """

    def __init__(self, prompt: Prompt, sampling: SamplingParams, *, on_end: Callable[[Feed, bool], None]) -> None:
        super().__init__(prompt, sampling, on_end=on_end)
        self._prompt_tokens = None
        self._pieces = 0

    @property
    def begun(self) -> bool:
        """Whether the model has said anything."""
        return self._first_token is not None

    def push(self, text: str, *, finished: FinishReason | None = None) -> None:
        """Take a piece of the reply; `finished` where the server has ended it by itself, and why."""
        with self._lock:
            if self.finish_reason is not None:
                return
            reason = finished
            if text:
                self._note_first_token()
                self._pieces += 1
                if self._pieces > self.sampling.max_tokens:
                    text, reason = "", "length"
            reason = self._put(text, (), tokens=1 if text else 0, reason=reason, last=finished is not None)
        if reason is not None:
            self._finish(reason, engine_knows=finished is not None)

    def count(self, *, prompt_tokens: int, completion_tokens: int) -> None:
        """What the server has counted."""
        with self._lock:
            self._prompt_tokens, self._completion_tokens = prompt_tokens, completion_tokens


class Generation:
    """A reply being written. Iterate over it for its chunks; one reader at a time.

    Leaving a `with` block, or letting go of the object, cancels what is still running.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._exhausted = False
        self._let_go = weakref.finalize(self, feed.cancel)
        self._let_go.atexit = False

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        """The next chunk, waiting for it. Raises EngineError where the engine failed."""
        if self._exhausted:
            raise StopIteration
        try:
            chunk = self._feed.chunks.get(timeout=max(0.0, self._feed.expires - time.monotonic()))
        except Empty:
            self._feed.expire()
            chunk = self._feed.chunks.get()
        if chunk is not None:
            return chunk
        self._exhausted = True
        if self._feed.error is not None:
            raise self._feed.error
        raise StopIteration

    def cancel(self) -> None:
        """Stop the model. Thread-safe; does nothing where the reply is over. Chunks already made can still be read."""
        self._feed.cancel()

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the reply ended; None while it runs."""
        return self._feed.finish_reason

    @property
    def timings(self) -> Timings:
        return self._feed.timings()

    def __enter__(self) -> Generation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel()
