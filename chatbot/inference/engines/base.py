"""What every engine promises, and what all implementations share: admission, delivery and failure.

An engine runs at most `max_streams` requests at once; the others wait in the order they came, where cancelling them
costs nothing. What batches, caches and samples is the library or the server underneath.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from chatbot.exceptions import EngineBusy, EngineClosed, EngineError, PromptTooLong
from chatbot.inference.engines.stream import Feed, Generation, TokenFeed
from chatbot.inference.prompt import (
    CONTEXT_TOKENS,
    EXAMPLES,
    Example,
    Prompt,
    PromptBuilder,
    PromptTokenizer,
    serving_prompts,
)
from chatbot.inference.sampling import SamplingParams
from chatbot.inference.tokens import ModelTokenizer

# Requests waiting for each one that runs. Delivery keeps its own queue in the database; this bound is for mistakes.
_WAITING_PER_STREAM = 32

FeedT = TypeVar("FeedT", bound=Feed)


@dataclass(frozen=True, slots=True)
class EngineStats:
    """How busy an engine is. `kv_use` is the used share of the key-value cache, 0 to 1; None where it is elsewhere."""

    running: int
    waiting: int
    kv_use: float | None


class Engine(Protocol):
    """A generator that many threads share."""

    name: str
    prompts: PromptBuilder

    @property
    def alive(self) -> bool:
        """False once the engine can take no more requests; then its worker should restart."""
        ...

    @property
    def problem(self) -> str:
        """Why requests would fail now although the engine lives, in words for anybody; empty where they would not."""
        ...

    def submit(self, prompt: Prompt, sampling: SamplingParams) -> Generation:
        """Start a reply. Raises EngineClosed, EngineBusy or PromptTooLong."""
        ...

    def stats(self) -> EngineStats: ...

    def close(self) -> None:
        """Fail what runs with EngineClosed and give back threads, processes and memory."""
        ...


class SharedEngine(ABC, Generic[FeedT]):
    """Admission and failure; subclasses pass requests on, and what comes back to the request's feed."""

    name: str

    def __init__(
        self,
        tokenizer: PromptTokenizer,
        *,
        context_tokens: int,
        max_streams: int,
        examples: Sequence[Example] = EXAMPLES,
    ) -> None:
        self.context_tokens = context_tokens
        self.prompts = serving_prompts(tokenizer, context_tokens, examples)
        self._max_streams = max_streams
        self._ids = itertools.count(1)
        self._running: dict[int, FeedT] = {}
        self._waiting: deque[tuple[int, FeedT]] = deque()
        self._ended: EngineError | None = None
        # Reentrant: a finaliser run by the garbage collector may cancel a request from inside these methods.
        self._lock = threading.RLock()

    @property
    def alive(self) -> bool:
        return self._ended is None

    @property
    def problem(self) -> str:
        """Nothing: an engine of this process either works or ends."""
        return ""

    def submit(self, prompt: Prompt, sampling: SamplingParams) -> Generation:
        """Start a reply. Raises EngineClosed, EngineBusy or PromptTooLong."""
        room = self.context_tokens - len(prompt.token_ids)
        if room < 1:
            raise PromptTooLong(f"{len(prompt.token_ids)} prompt tokens do not fit into {self.context_tokens}")
        if sampling.max_tokens > room:
            sampling = dataclasses.replace(sampling, max_tokens=room)
        request = next(self._ids)

        def on_end(_feed: Feed, engine_knows: bool) -> None:
            self._retire(request, engine_knows=engine_knows)

        feed = self._new_feed(prompt, sampling, on_end)
        with self._lock:
            if self._ended is not None:
                raise EngineClosed(str(self._ended)) from self._ended
            if len(self._waiting) >= _WAITING_PER_STREAM * self._max_streams:
                raise EngineBusy(f"{len(self._waiting)} requests are waiting already")
            self._waiting.append((request, feed))
            self._admit()
        return Generation(feed)

    def stats(self) -> EngineStats:
        with self._lock:
            return EngineStats(running=len(self._running), waiting=len(self._waiting), kv_use=self._kv_use())

    def close(self) -> None:
        """Fail what runs with EngineClosed and give back threads, processes and memory. Idempotent."""
        self._end(EngineClosed("the engine was closed"))
        self._shut_down()

    def _admit(self) -> None:
        """Start waiting requests while there is room. Called with the lock held."""
        while self._waiting and len(self._running) < self._max_streams:
            request, feed = self._waiting.popleft()
            self._running[request] = feed
            feed.start()
            self._start(request, feed.prompt, feed.sampling)

    def _note_cached(self, request: int, tokens: int) -> None:
        """Called by a subclass whose library tells how much of the prompt it had in its cache."""
        feed = self._running.get(request)
        if feed is not None:
            feed.cached_prompt_tokens = tokens

    def _fail(self, request: int, error: EngineError) -> None:
        """Called by the subclass where its library gave up on one request."""
        feed = self._running.get(request)
        if feed is not None:
            feed.fail(error)

    def _end(self, error: EngineError) -> None:
        """Take no more requests and fail the present ones. Only the first call counts."""
        with self._lock:
            if self._ended is not None:
                return
            self._ended = error
            feeds = [*self._running.values(), *(feed for _, feed in self._waiting)]
        for feed in feeds:
            feed.fail(error)

    def _retire(self, request: int, *, engine_knows: bool) -> None:
        with self._lock:
            if self._running.pop(request, None) is not None:
                if not engine_knows:
                    self._stop(request)
            else:
                self._waiting = deque(entry for entry in self._waiting if entry[0] != request)
            if self._ended is None:
                self._admit()

    @abstractmethod
    def _new_feed(self, prompt: Prompt, sampling: SamplingParams, on_end: Callable[[Feed, bool], None]) -> FeedT: ...

    @abstractmethod
    def in_model(self) -> int:
        """Requests that the library or server itself still works on; lags behind `stats` by a step."""

    @abstractmethod
    def _start(self, request: int, prompt: Prompt, sampling: SamplingParams) -> None:
        """Pass a request on. Must not block."""

    @abstractmethod
    def _stop(self, request: int) -> None:
        """Have a request dropped. Must not block, and must tolerate requests that have finished."""

    @abstractmethod
    def _kv_use(self) -> float | None: ...

    @abstractmethod
    def _shut_down(self) -> None:
        """Give back threads, processes and memory; the engine has ended."""


class TokenEngine(SharedEngine[TokenFeed]):
    """For libraries that take token ids and give them back, which subclasses pass to `_deliver`."""

    def __init__(self, tokenizer: ModelTokenizer, *, max_streams: int, examples: Sequence[Example] = EXAMPLES) -> None:
        super().__init__(
            tokenizer,
            context_tokens=min(CONTEXT_TOKENS, tokenizer.context_length),
            max_streams=max_streams,
            examples=examples,
        )
        self.tokenizer = tokenizer

    def _new_feed(self, prompt: Prompt, sampling: SamplingParams, on_end: Callable[[Feed, bool], None]) -> TokenFeed:
        return TokenFeed(prompt, sampling, self.tokenizer, on_end=on_end)

    def _deliver(self, request: int, token_ids: Sequence[int], *, last: bool) -> None:
        """Called by the subclass with the ids that its library made."""
        feed = self._running.get(request)
        if feed is not None:
            feed.push(token_ids, last=last)
