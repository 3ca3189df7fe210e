"""The process that runs OpenVINO: `python -m chatbot.inference.engines.openvino_host FD SETTINGS_JSON`.

A process of its own for three reasons. `ContinuousBatchingPipeline.step()` holds the GIL for its whole duration
(measured: 16 ms with eight streams), which would let every other thread of a worker run only between steps. OpenVINO
has crashed on some virtual machines, and then only this process dies. And it loads while the worker loads its encoder.

It proves itself before it says that it is ready, so the smoke test costs a warm start nothing.

Frames are JSON lines over a socket pair:

    in   {"add": id, "ids": [...], "max_tokens": n, "temperature": t, "top_p": p, "repetition_penalty": r, "seed": s}
         {"stop": id}
    out  {"ready": {...}} once, then after each step that made or ended something
         {"made": [[id, [ids], outcome], ...], "kv": share, "held": requests still in the pipeline}
         where outcome is null, "finished" or what went wrong
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import openvino
import openvino_genai as genai

# Native code that hangs cannot be interrupted from Python, so the kernel's alarm, whose default is to end the process,
# is the watchdog. A step's limit is a multiple of what the slowest step of the proof took, since a large model on a
# small machine is slow and not stuck: the fullest batch takes some ten times a step of the proof.
_SHORTEST_STEP_LIMIT_S = 8.0
_STEP_LIMIT_IN_PROOF_STEPS = 50
# Bounds how long a long prompt may hold up the next token of other streams, and the wait before a cancellation is
# seen. Half of 256 halves those pauses and costs a long prompt a tenth more time (docs/log.md).
_TOKENS_PER_STEP = 128
_KV_BLOCK = 32  # tokens; the CPU plugin's own block size
# u8 key-value cache: half the memory of bf16, and greedy replies still follow the float32 model. Each token has scales
# of its own: by channel, the default, a block is rounded anew with each token that joins it, wrong guesses included.
_KV_BYTES = 1
_KV_ROUNDING = "BY_TOKEN"
# Scale and zero point that the u8 cache keeps beside each head's values.
_KV_EXTRA_BYTES = 8
# Prompt lookup: what followed the last time that these so many tokens stood in the prompt or the reply is guessed, and
# the model reads all guesses in one step. Answers copy from their passage, so that one stream writes twice as fast.
_LOOKUP_NGRAM = 3
# The share of `lookup_tokens` that is guessed for a request, by how many run already. In a full batch wrong guesses
# cost more than right ones gain, but a pipeline that looks up wants at least one: a tenth of the speed of eight streams
# and a quarter of 32, so that a pipeline for more than eight does not look up at all.
_LOOKUP_SHARES = (1.0, 0.6)
_LOOKUP_STREAMS = 8
_PROOF_TOKENS = 8
FINISHED = "finished"

Move = tuple[int, list[int], str | None]


class Host:
    """The pipeline and the requests in it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        config = genai.SchedulerConfig()
        config.enable_prefix_caching = True
        config.max_num_seqs = settings["max_streams"]
        config.max_num_batched_tokens = max(_TOKENS_PER_STEP, settings["max_streams"])
        token_bytes = settings["kv_values_per_token"] * _KV_BYTES + settings["kv_heads_per_token"] * _KV_EXTRA_BYTES
        blocks = settings["kv_cache_mib"] * 2**20 // token_bytes // _KV_BLOCK
        # One full conversation must fit, whatever the limit says.
        config.num_kv_blocks = max(settings["context_tokens"] // _KV_BLOCK + 1, blocks)
        properties: dict[str, Any] = {
            "KV_CACHE_PRECISION": openvino.Type.u8,
            "KEY_CACHE_QUANT_MODE": _KV_ROUNDING,
            # As fast as bfloat16 where there is bfloat16, since the products are integers either way, and truer.
            "INFERENCE_PRECISION_HINT": openvino.Type.f32,
        }
        if settings["threads"]:
            properties["INFERENCE_NUM_THREADS"] = settings["threads"]
        self._lookup_tokens: int = settings["lookup_tokens"] if settings["max_streams"] <= _LOOKUP_STREAMS else 0
        if self._lookup_tokens:
            properties["prompt_lookup"] = True
        self._end_ids: list[int] = settings["end_ids"]
        self._pipeline = genai.ContinuousBatchingPipeline(settings["gguf"], config, "CPU", properties)
        self._handles: dict[int, Any] = {}

    def prove(self, token_ids: Sequence[int], vocab_size: int) -> float:
        """Raise RuntimeError unless the model gives the same sensible ids alone, from the cache and in a batch.

        Returns how long the slowest step took, in seconds.
        """
        replies: list[list[int]] = []
        slowest = 0.0
        for streams in (1, 1, 3):
            made: dict[int, list[int]] = {-index: [] for index in range(1, streams + 1)}
            for request in made:
                self.add({"add": request, "ids": token_ids, "max_tokens": _PROOF_TOKENS})
            while self.busy:
                began = time.monotonic()
                moves = self.step()
                slowest = max(slowest, time.monotonic() - began)
                for request, ids, outcome in moves:
                    if outcome not in (None, FINISHED):
                        raise RuntimeError(outcome)
                    made[request].extend(ids)
            replies.extend(made.values())
        if any(reply != replies[0] for reply in replies) or not replies[0]:
            raise RuntimeError("the proof gave different replies to one prompt")
        if not all(0 <= index < vocab_size for index in replies[0]):
            raise RuntimeError("the proof gave ids outside the vocabulary")
        return slowest

    @property
    def busy(self) -> bool:
        return bool(self._pipeline.has_non_finished_requests())

    @property
    def kv_use(self) -> float:
        return float(self._pipeline.get_metrics().cache_usage) / 100.0

    def add(self, frame: dict[str, Any]) -> None:
        config = genai.GenerationConfig()
        config.apply_chat_template = False
        config.max_new_tokens = frame["max_tokens"]
        config.eos_token_id = self._end_ids[0]
        config.stop_token_ids = set(self._end_ids)
        config.repetition_penalty = frame.get("repetition_penalty", 1.0)
        if self._lookup_tokens:
            config.max_ngram_size = _LOOKUP_NGRAM
            share = _LOOKUP_SHARES[len(self._handles)] if len(self._handles) < len(_LOOKUP_SHARES) else 0.0
            config.num_assistant_tokens = max(1, round(share * self._lookup_tokens))
        config.do_sample = frame.get("temperature", 0.0) > 0.0
        if config.do_sample:
            config.temperature = frame["temperature"]
            config.top_p = frame["top_p"]
            if frame.get("seed") is not None:
                config.rng_seed = frame["seed"]
        ids = openvino.Tensor(np.array([frame["ids"]], dtype=np.int64))
        self._handles[frame["add"]] = self._pipeline.add_request(abs(frame["add"]), ids, config)

    def stop(self, request: int) -> None:
        handle = self._handles.pop(request, None)
        if handle is not None:
            handle.cancel()

    @property
    def held(self) -> int:
        """Requests in the pipeline; a cancelled one counts until a step has cleared it away."""
        return max(1, len(self._handles)) if self.busy else 0

    def step(self) -> list[Move]:
        """One step of the batch: (request, new ids, outcome) for each request that moved."""
        self._pipeline.step()
        moved: list[Move] = []
        for request, handle in list(self._handles.items()):
            ids: list[int] = []
            while handle.can_read():
                for output in handle.read().values():
                    ids.extend(output.generated_ids)
            outcome = _outcome(handle.get_status())
            if outcome:
                del self._handles[request]
            if ids or outcome:
                moved.append((request, ids, outcome))
        return moved


@contextmanager
def _within(limit_s: float) -> Iterator[None]:
    """What is done inside ends in time, or the process does."""
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _outcome(status: Any) -> str | None:
    if status == genai.GenerationStatus.RUNNING:
        return None
    if status == genai.GenerationStatus.IGNORED:
        return "the key-value cache has no room for it (KV_CACHE_MIB)"
    return FINISHED


def serve(connection: socket.socket, settings: dict[str, Any]) -> None:
    """Load, prove, say so, then run the batch until the other side hangs up."""
    with _within(settings["start_limit_s"]):
        host = Host(settings)
        slowest = host.prove(settings["proof_ids"], settings["vocab_size"])
    step_limit_s = settings["step_limit_s"] or max(_SHORTEST_STEP_LIMIT_S, _STEP_LIMIT_IN_PROOF_STEPS * slowest)
    _send(connection, {"ready": {"openvino": openvino.get_version()}})
    inbox = _Inbox(connection)
    held = 0
    while inbox.open:
        frames = list(inbox.read(wait=not host.busy))
        with _within(step_limit_s):
            for frame in frames:
                if "add" in frame:
                    host.add(frame)
                else:
                    host.stop(frame["stop"])
            made = host.step() if host.busy else []
        if made or host.held != held:
            held = host.held
            _send(connection, {"made": made, "kv": host.kv_use, "held": held})


class _Inbox:
    """Frames that have arrived; never waits while there is work to do."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._partial = b""
        self.open = True

    def read(self, *, wait: bool) -> Iterator[dict[str, Any]]:
        while self.open and select.select([self._connection], [], [], None if wait else 0)[0]:
            received = self._connection.recv(1 << 16)
            self.open = bool(received)
            *lines, self._partial = (self._partial + received).split(b"\n")
            for line in lines:
                yield json.loads(line)
            wait = wait and not lines


def _send(connection: socket.socket, frame: dict[str, Any]) -> None:
    connection.sendall(json.dumps(frame, separators=(",", ":")).encode() + b"\n")


def main() -> None:
    # Ctrl-C goes to the whole foreground group; the worker decides when its engine ends, by hanging up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        try:
            serve(connection, json.loads(sys.argv[2]))
        except (BrokenPipeError, ConnectionResetError):
            pass  # the worker is gone
    # Unfinished requests die with the process; OpenVINO's destructors would complain about them at length.
    os._exit(0)


if __name__ == "__main__":
    main()
