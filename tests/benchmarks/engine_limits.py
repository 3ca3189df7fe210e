"""What an engine does at its limits: memory, long prompts, cancellations, and more requests than it can run.

    python -m tests.benchmarks.engine_limits [--engine openvino|transformers] [--quick] [--json]

- `long_prompt`: four replies are being written when a prompt of 1,500 tokens comes in. The gaps between their chunks
  before and meanwhile, and the newcomer's time to its first token.
- `cancel`: from the cancellation of a running reply until the model holds no request, alone and among others
  of which one is still reading its prompt.
- `storm`: requests that are cancelled as soon as they are submitted or a moment later, and what is left of them.
- `burst`: 200 requests at once, each of which must get its whole reply.
- `full_cache`: replies that together need several times the key-value cache; each must get its whole reply.
- `memory`: resident memory of the engine's processes before and after many requests of every shape.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from chatbot.inference.engines import Generation, load_engine
from chatbot.inference.engines.base import TokenEngine
from chatbot.inference.percentiles import percentile
from chatbot.inference.prompt import Prompt
from chatbot.inference.sampling import SamplingParams
from chatbot.inference.weights import prepare_generator
from tests.benchmarks.bench_retrieval import ROOT

STREAMS = 8
LONG_PROMPT = 1500
BURST = 200


class Bench:
    """One engine and ever new prompts for it."""

    def __init__(self, model_dir: Path, kind: str, kv_cache_mib: int) -> None:
        engine = load_engine(model_dir=model_dir, kind=kind, max_streams=STREAMS, kv_cache_mib=kv_cache_mib)  # type: ignore[arg-type]
        assert isinstance(engine, TokenEngine)
        self.engine = engine
        self._chance = random.Random(3)

    def submit(self, prompt_tokens: int, max_tokens: int) -> Generation:
        # Ids of ordinary words, so that no prompt begins like another and none ends the reply at once.
        ids = tuple(self._chance.randrange(300, self.engine.tokenizer.vocab_size // 2) for _ in range(prompt_tokens))
        return self.engine.submit(Prompt(ids, 0, 0), SamplingParams(max_tokens=max_tokens, deadline_s=900.0))

    def rss_mib(self) -> int:
        family = [process := psutil.Process(), *process.children(recursive=True)]
        return round(sum(each.memory_info().rss for each in family) / 2**20)

    def until_idle(self) -> float:
        """Seconds until the model holds no request."""
        began = time.perf_counter()
        while self.engine.in_model():
            time.sleep(0.001)  # the library announces nothing that could be awaited
        return time.perf_counter() - began

    def long_prompt(self, repeats: int) -> dict[str, Any]:
        before: list[float] = []
        meanwhile: list[float] = []
        waits: list[float] = []
        for _ in range(repeats):
            arrivals: list[list[float]] = [[] for _ in range(4)]
            running = [self.submit(300, 1000) for _ in arrivals]
            readers = [
                threading.Thread(target=_note_arrivals, args=pair) for pair in zip(running, arrivals, strict=True)
            ]
            for reader in readers:
                reader.start()
            while any(len(arrived) < 30 for arrived in arrivals) and any(reader.is_alive() for reader in readers):
                time.sleep(0.01)
            came = time.perf_counter()
            with self.submit(LONG_PROMPT, 4) as long:
                next(long)
                begun = time.perf_counter()
            for generation, reader in zip(running, readers, strict=True):
                generation.cancel()
                reader.join()
            waits.append(begun - came)
            for arrived in arrivals:
                for earlier, later in pairwise(arrived):
                    if later < came:
                        before.append(later - earlier)
                    elif earlier < begun:
                        meanwhile.append(later - earlier)
        return {
            "itl_ms_p50_before": _ms(before, 0.5),
            "itl_ms_p95_before": _ms(before, 0.95),
            "itl_ms_p50_meanwhile": _ms(meanwhile, 0.5),
            "itl_ms_max_meanwhile": _ms(meanwhile, 1.0),
            "ttft_ms_of_the_long": round(1000 * statistics.median(waits), 1),
        }

    def cancel(self, repeats: int) -> dict[str, Any]:
        alone, beside = [], []
        for _ in range(repeats):
            generation = self.submit(100, 1000)
            next(generation)
            generation.cancel()
            alone.append(self.until_idle())
        for _ in range(repeats):
            others = [self.submit(100, 1000), self.submit(100, 1000)]
            for other in others:
                next(other)
            reading = self.submit(LONG_PROMPT, 4)
            for generation in (*others, reading):
                generation.cancel()
            beside.append(self.until_idle())
        return {
            "ms_p50": _ms(alone, 0.5),
            "ms_p95": _ms(alone, 0.95),
            "beside_long_prompt_ms_p50": _ms(beside, 0.5),
            "beside_long_prompt_ms_p95": _ms(beside, 0.95),
        }

    def storm(self, requests: int) -> dict[str, Any]:
        generations: list[Generation] = []
        for index in range(requests):
            generation = self.submit(50 + index % 300, 500)
            if index % 3:
                generation.cancel()
            else:
                generations.append(generation)
            if len(generations) == 2 * STREAMS:
                for other in generations:
                    other.cancel()
                generations.clear()
        for generation in generations:
            generation.cancel()
        drained = self.until_idle()
        stats = self.engine.stats()
        return {"requests": requests, "idle_after_ms": round(1000 * drained, 1), "left": stats.running + stats.waiting}

    def burst(self) -> dict[str, Any]:
        began = time.perf_counter()
        generations = [self.submit(60, 8) for _ in range(BURST)]
        whole = sum(_tokens(generation) > 0 for generation in generations)
        return {"requests": BURST, "answered": whole, "seconds": round(time.perf_counter() - began, 1)}

    def full_cache(self) -> dict[str, Any]:
        generations = [self.submit(LONG_PROMPT, 200) for _ in range(STREAMS)]
        with ThreadPoolExecutor(STREAMS) as pool:
            made = list(pool.map(_tokens, generations))
        return {"requests": STREAMS, "answered": sum(tokens > 0 for tokens in made), "tokens": sum(made)}

    def memory(self, requests: int) -> dict[str, Any]:
        chance = random.Random(4)

        def answer(_: int) -> int:
            length = round(2 ** chance.uniform(3, 10.8))
            return _tokens(self.submit(length, chance.choice((1, 4, 16, 40))))

        figures = []
        with ThreadPoolExecutor(STREAMS) as pool:
            for _ in range(5):
                list(pool.map(answer, range(requests // 5)))
                figures.append(self.rss_mib())
        return {"requests": requests // 5 * 5, "rss_mib_each_fifth": figures}


def _note_arrivals(generation: Generation, arrived: list[float]) -> None:
    for chunk in generation:
        if chunk.token_ids:
            arrived.append(time.perf_counter())


def _tokens(generation: Generation) -> int:
    return sum(len(chunk.token_ids) for chunk in generation)


def _ms(seconds: list[float], share: float) -> float:
    return round(1000 * (percentile(seconds, share) or 0.0), 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("openvino", "transformers"), default="openvino")
    parser.add_argument("--quick", action="store_true", help="a minute or two, with wide margins")
    parser.add_argument("--json", action="store_true", help="nothing but JSON lines")
    options = parser.parse_args()
    model_dir = prepare_generator(None, ROOT / "var" / "models" / "smollm2-135m-instruct")
    if not options.json:
        print("Loading the engine …", file=sys.stderr)

    def tell(case: str, figures: dict[str, Any]) -> None:
        print(json.dumps({"benchmark": "engine_limits", "engine": options.engine, "case": case, **figures}), flush=True)

    quick = options.quick
    bench = Bench(model_dir, options.engine, kv_cache_mib=512)
    tell("start", {"rss_mib": bench.rss_mib()})
    tell("long_prompt", bench.long_prompt(2 if quick else 10))
    tell("cancel", bench.cancel(10 if quick else 50))
    tell("storm", bench.storm(200 if quick else 1000))
    tell("burst", bench.burst())
    tell("memory", bench.memory(100 if quick else 3000))
    bench.engine.close()
    # One conversation of the longest kind fits, and little more.
    bench = Bench(model_dir, options.engine, kv_cache_mib=1)
    tell("full_cache", bench.full_cache())
    bench.engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
