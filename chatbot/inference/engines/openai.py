"""The openai engine: replies from any server that speaks OpenAI's chat completions, such as vLLM or llama.cpp's.

Where a fleet outgrows engines in its workers, a serving system batches, caches and spreads the load; this engine holds
the connections. One thread runs an event loop with a task for each reply. Ending a task closes its connection, by which
servers notice that nobody wants the rest.

A request that fails before the reply has begun is tried again twice where that may help: the server cannot be reached
or is silent, answers 429 or 5xx. Once the customer has seen a word it never is, because another try would begin another
reply. Delivery has attempts of its own for that.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import openai

from chatbot.exceptions import EngineBusy, EngineError
from chatbot.inference.engines.base import SharedEngine
from chatbot.inference.engines.stream import Feed, FinishReason, TextFeed
from chatbot.inference.messages import MessageTokenizer, messages
from chatbot.inference.prompt import Prompt
from chatbot.inference.sampling import SamplingParams

# Seconds before the second and the third try.
RETRY_GAPS_S = (0.3, 1.2)
# How often the server is asked whether it is there, and for how long.
WATCH_INTERVAL_S = 5.0
_WATCH_LIMIT_S = 3.0
# The token counts follow the finish reason at once; a server that dawdles does not hold the reply up.
_COUNTS_LIMIT_S = 0.5
_STOP_LIMIT_S = 5.0
_WORTH_ANOTHER_TRY = {408, 429}
# What a gateway answers while there is no model behind it, and a server that is still loading one.
_UNAVAILABLE = {502, 503, 504}
_EXPLANATIONS = {
    400: "; the prompt may be longer than the context that it was started with",
    401: "; it does not accept the key",
    403: "; it does not accept the key",
    404: "; it does not know the model, or has another base URL",
}
# Servers name their reasons by short codes. Their sentences are not passed on: some quote the key or the customer.
_CODE = re.compile(r"[A-Za-z][\w.-]{0,40}")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelServer:
    """Where the model is. Raises ValueError at construction for values that mean nothing.

    `context_tokens` is at most what the server was started with; `chatbot.inference.messages` says how it is kept.
    `read_timeout_s` is the longest silence, before the first word and between any two.
    """

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
    context_tokens: int = 8192
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 20.0

    def __post_init__(self) -> None:
        for name in ("base_url", "model"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")
        for name in ("connect_timeout_s", "read_timeout_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)!r}")


class OpenAIEngine(SharedEngine[TextFeed]):
    """Has replies written by a model server."""

    name = "openai"

    def __init__(self, server: ModelServer, *, max_streams: int) -> None:
        """Returns once the server was asked for the first time, and also where it did not answer: it may come later."""
        super().__init__(MessageTokenizer(), context_tokens=server.context_tokens, max_streams=max_streams)
        self._server = server
        # The client wants a key; servers that were started without one read none.
        self._client = openai.AsyncOpenAI(
            base_url=server.base_url,
            api_key=server.api_key or "none",
            timeout=openai.Timeout(server.read_timeout_s, connect=server.connect_timeout_s),
            max_retries=0,
        )
        self._problem = ""
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._watching: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine-loop", daemon=True)
        self._thread.start()
        self._asked.wait()

    @property
    def problem(self) -> str:
        """What keeps the server from answering; empty where nothing does."""
        return self._problem

    def in_model(self) -> int:
        return len(self._tasks)

    def _new_feed(self, prompt: Prompt, sampling: SamplingParams, on_end: Callable[[Feed, bool], None]) -> TextFeed:
        return TextFeed(prompt, sampling, on_end=on_end)

    def _start(self, request: int, prompt: Prompt, sampling: SamplingParams) -> None:
        self._loop.call_soon_threadsafe(self._begin, request)

    def _stop(self, request: int) -> None:
        with suppress(RuntimeError):  # the loop was closed a moment ago, and the connection with it
            self._loop.call_soon_threadsafe(self._drop, request)

    def _kv_use(self) -> None:
        return None

    def _shut_down(self) -> None:
        if self._watching is not None:
            with suppress(RuntimeError):  # closed before
                self._loop.call_soon_threadsafe(self._watching.cancel)
        if self._thread is not threading.current_thread():
            self._thread.join(_STOP_LIMIT_S)

    # --- In the engine's thread ---------------------------------------------------------------------

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._serve())
            except asyncio.CancelledError:
                pass  # closed
            except Exception as error:  # whatever it is, nobody may be left waiting
                logger.exception("The engine's thread failed")
                self._end(EngineError(f"the engine's thread ended: {error}"))
            finally:
                self._asked.set()

    async def _serve(self) -> None:
        self._watching = asyncio.current_task()
        async with self._client, asyncio.TaskGroup() as self._replies:
            while True:
                self._note(await self._ask())
                self._asked.set()
                await asyncio.sleep(WATCH_INTERVAL_S)

    async def _ask(self) -> str:
        """What is wrong with the server, or nothing. Any answer will do: some servers have no list of models."""
        try:
            async with asyncio.timeout(_WATCH_LIMIT_S):
                await self._client.models.with_raw_response.list()
        except openai.APIStatusError as error:
            if error.status_code in (401, 403):
                return f"the model server does not accept the key ({error.status_code})"
            if error.status_code in _UNAVAILABLE:
                return f"the model server cannot serve ({error.status_code})"
        except openai.APIConnectionError as error:
            return f"the model server cannot be reached ({_cause(error)})"
        except TimeoutError:
            return f"the model server does not answer within {_WATCH_LIMIT_S:g} s"
        return ""

    def _note(self, problem: str) -> None:
        if problem != self._problem:
            if problem:
                logger.error("%s", problem)
            else:
                logger.info("the model server answers again")
        self._problem = problem

    def _begin(self, request: int) -> None:
        feed = self._running.get(request)
        if feed is None:
            return  # cancelled a moment ago
        task = self._replies.create_task(self._answer(feed))
        self._tasks[request] = task
        task.add_done_callback(lambda _: self._tasks.pop(request))

    def _drop(self, request: int) -> None:
        task = self._tasks.get(request)
        if task is not None:
            task.cancel()

    async def _answer(self, feed: TextFeed) -> None:
        try:
            await self._stream_patiently(feed)
        except EngineError as error:
            feed.fail(error)
        except Exception as error:  # a fault of ours must not take the other replies with it
            logger.exception("A reply of the model server was not taken")
            feed.fail(EngineError(f"the model server's reply was not taken: {type(error).__name__}"))

    async def _stream_patiently(self, feed: TextFeed) -> None:
        for gap in (*RETRY_GAPS_S, None):
            try:
                return await self._stream(feed)
            except openai.APIError as error:
                if gap is None or feed.begun or not _may_pass(error):
                    raise _in_words(error) from None
                logger.info("%s; trying again", _in_words(error))
            await asyncio.sleep(gap)

    async def _stream(self, feed: TextFeed) -> None:
        """One try. Raises openai.APIError, or EngineError where the server does not keep to the protocol."""
        finished: FinishReason | None = None
        async with await self._client.chat.completions.create(**self._request(feed)) as stream:
            try:
                async with asyncio.timeout(None) as limit:
                    async for chunk in stream:
                        text, reason = _read(chunk)
                        feed.push(text)
                        if reason and not finished:
                            finished = reason
                            limit.reschedule(self._loop.time() + _COUNTS_LIMIT_S)
                        _count(chunk, feed)
            except (TimeoutError, openai.APIError, ValueError) as error:
                # Whatever goes wrong behind the finish reason, the reply is whole.
                if finished is None:
                    if isinstance(error, ValueError):
                        raise EngineError("the model server sent something that is no chat completion") from None
                    raise
        if finished is None:
            raise EngineError("the model server broke the reply off")
        feed.push("", finished=finished)

    def _request(self, feed: TextFeed) -> dict[str, Any]:
        sampling = feed.sampling
        request: dict[str, Any] = {
            "model": self._server.model,
            "messages": [{"role": role, "content": text} for role, text in messages(feed.prompt.token_ids)],
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if sampling.top_p < 1.0:  # TGI refuses the one that changes nothing
            request["top_p"] = sampling.top_p
        if sampling.stop:
            # Four is the most that the API allows. The feed looks for all of them, whatever the server does.
            request["stop"] = list(sampling.stop[:4])
        if sampling.seed is not None:
            request["seed"] = sampling.seed
        if sampling.repetition_penalty != 1.0:
            # Not OpenAI's, but known to vLLM, TGI and others; servers that do not know it may refuse it.
            request["extra_body"] = {"repetition_penalty": sampling.repetition_penalty}
        return request


def _read(chunk: Any) -> tuple[str, FinishReason | None]:
    """The text of a frame, and why the reply ends with it. The client checks neither; raises ValueError."""
    try:
        if not chunk.choices:
            return "", None
        choice = chunk.choices[0]
        text, reason = choice.delta.content or "", choice.finish_reason
    except (AttributeError, TypeError, LookupError) as error:
        raise ValueError("no chat completion") from error
    if not isinstance(text, str):
        raise ValueError("the text of a frame is not text")
    return text, None if reason is None else "length" if reason == "length" else "stop"


def _count(chunk: Any, feed: TextFeed) -> None:
    """Take over the server's token counts, which most send in the last frame."""
    usage = getattr(chunk, "usage", None)
    prompt, completion = getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None)
    if isinstance(prompt, int) and isinstance(completion, int):
        feed.count(prompt_tokens=prompt, completion_tokens=completion)
        cached = getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", None)
        feed.cached_prompt_tokens = cached if isinstance(cached, int) else None


def _may_pass(error: openai.APIError) -> bool:
    """Whether another try may go better."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in _WORTH_ANOTHER_TRY or error.status_code >= 500
    return isinstance(error, openai.APIConnectionError)


def _in_words(error: openai.APIError) -> EngineError:
    if isinstance(error, openai.APITimeoutError):
        return EngineError("the model server was silent for too long")
    if isinstance(error, openai.APIConnectionError):
        return EngineError(f"the connection to the model server failed ({_cause(error)})")
    code = next((str(name) for name in (error.code, error.type) if name and _CODE.fullmatch(str(name))), "")
    if isinstance(error, openai.APIStatusError):
        status = f"{error.status_code} {code}".strip()
        if error.status_code == 429:
            return EngineBusy(f"the model server takes no more requests now ({status})")
        return EngineError(f"the model server refused ({status}){_EXPLANATIONS.get(error.status_code, '')}")
    return EngineError(f"the model server gave the reply up{f' ({code})' if code else ''}")


def _cause(error: openai.APIConnectionError) -> str:
    return type(error.__cause__ or error).__name__
