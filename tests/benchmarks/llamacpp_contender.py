"""llama.cpp as a contender of `tests.benchmarks.engine`, by an interpreter of its own that is given the GGUF file.

Imports nothing of this project, since llama-cpp-python lives in a virtual environment of its own. Its server answers
one request at a time, so parallel streams go to `llama_decode` as llama.cpp's own server does it: a sequence for each
stream, a token of each in one batch, and what a prompt shares with the one before it in its sequence is not read again.

Lines in: {"prompts": [[ids]], "tokens": n}. Lines out: {"arrivals": [[seconds]]}.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import llama_cpp
import numpy as np

# Prompt tokens of one call, as llama-server has it.
CHUNK = 512
CONTEXT_TOKENS_A_STREAM = 1024


class LlamaCpp:
    """Writes as many streams at once as it is given prompts."""

    def __init__(self, gguf: str) -> None:
        llama_cpp.llama_backend_init()
        llama_cpp.llama_log_set(_silent, None)
        self._model = llama_cpp.llama_model_load_from_file(gguf.encode(), llama_cpp.llama_model_default_params())
        self._batch = llama_cpp.llama_batch_init(CHUNK, 0, 1)
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))
        self._context: Any = None
        self._held: list[list[int]] = []

    def prepare(self, streams: int) -> None:
        """A context for so many."""
        if self._context is not None:
            llama_cpp.llama_free(self._context)
        options = llama_cpp.llama_context_default_params()
        options.n_ctx = streams * CONTEXT_TOKENS_A_STREAM
        options.n_batch = options.n_ubatch = CHUNK
        options.n_seq_max = streams
        self._context = llama_cpp.llama_init_from_model(self._model, options)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._held = [[] for _ in range(streams)]

    def run(self, prompts: list[list[int]], tokens: int, threads: int) -> list[list[float]]:
        """When each token of each stream came, in seconds."""
        llama_cpp.llama_set_n_threads(self._context, threads, threads)
        began = time.perf_counter()
        last = [self._read(stream, prompt) for stream, prompt in enumerate(prompts)]
        arrivals = [[moment - began] for _, moment in last]
        latest = [token for token, _ in last]
        for _ in range(tokens - 1):
            self._decode([(token, len(self._held[stream]), stream, True) for stream, token in enumerate(latest)])
            for stream, token in enumerate(latest):
                self._held[stream].append(token)
            latest = [self._most_probable(row) for row in range(len(prompts))]
            now = time.perf_counter() - began
            for arrived in arrivals:
                arrived.append(now)
        return arrivals

    def _read(self, stream: int, prompt: list[int]) -> tuple[int, float]:
        """Read what is new of a prompt; the reply's first token and when it was there."""
        held = self._held[stream]
        shared = next(
            (i for i, (old, new) in enumerate(zip(held, prompt, strict=False)) if old != new),
            min(len(held), len(prompt)),
        )
        shared = min(shared, len(prompt) - 1)
        llama_cpp.llama_memory_seq_rm(self._memory, stream, shared, -1)
        for start in range(shared, len(prompt), CHUNK):
            part = prompt[start : start + CHUNK]
            self._decode([(token, start + i, stream, start + i == len(prompt) - 1) for i, token in enumerate(part)])
        self._held[stream] = list(prompt)
        return self._most_probable(-1), time.perf_counter()

    def _decode(self, rows: list[tuple[int, int, int, bool]]) -> None:
        batch = self._batch
        batch.n_tokens = len(rows)
        for i, (token, position, stream, wanted) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, wanted
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, stream
        if code := llama_cpp.llama_decode(self._context, batch):
            raise RuntimeError(f"llama_decode gave {code}")

    def _most_probable(self, row: int) -> int:
        logits = llama_cpp.llama_get_logits_ith(self._context, row)
        return int(np.argmax(np.ctypeslib.as_array(logits, (self._vocabulary,))))


@llama_cpp.llama_log_callback
def _silent(_level: int, _text: Any, _data: Any) -> None:
    """llama.cpp tells a page about every model that it loads."""


def main() -> None:
    engine = LlamaCpp(sys.argv[1])
    print(json.dumps({"ready": True}), flush=True)
    streams, threads = 0, 1
    for line in sys.stdin:
        task = json.loads(line)
        prompts, tokens = task["prompts"], task["tokens"]
        if len(prompts) != streams:
            streams = len(prompts)
            engine.prepare(streams)
            # Their first halves are about what prompts have in common; the rest is read when it counts.
            threads = quicker(engine, [prompt[: len(prompt) // 2] for prompt in prompts])
        print(json.dumps({"arrivals": engine.run(prompts, tokens, threads)}), flush=True)


def quicker(engine: LlamaCpp, prompts: list[list[int]]) -> int:
    """One thread or one for each core: threads that spin for each other lose where others use the machine too."""
    seconds = {}
    for threads in (1, os.cpu_count() or 1):
        engine.run(prompts, 2, threads)  # reads the prompts
        arrivals = engine.run(prompts, 12, threads)
        seconds[threads] = max(arrived[-1] - arrived[0] for arrived in arrivals)
    return min(seconds, key=seconds.__getitem__)


if __name__ == "__main__":
    main()
