"""What `tests.benchmarks.engine` compares, each in a process of its own so that its memory is its own.

    python -m tests.benchmarks.contenders NAME MODEL_DIR STREAMS

Lines in: {"prompts": [[ids]], "tokens": n}. Lines out: {"arrivals": [[seconds of each token]]}, one list a stream.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Ids = list[int]
Run = Callable[[list[Ids], int], list[list[float]]]


def our_engine(kind: str, model_dir: Path, streams: int) -> Run:
    """One of ours, through the interface that the worker uses."""
    from chatbot.inference.engines import load_engine
    from chatbot.inference.prompt import Prompt
    from chatbot.inference.sampling import SamplingParams

    engine = load_engine(model_dir=model_dir, kind=kind, max_streams=streams)  # type: ignore[arg-type]

    def run(prompts: list[Ids], tokens: int) -> list[list[float]]:
        arrivals: list[list[float]] = [[] for _ in prompts]
        began = time.perf_counter()
        generations = [
            engine.submit(Prompt(tuple(ids), 0, 0), SamplingParams(max_tokens=tokens, deadline_s=600.0))
            for ids in prompts
        ]

        def read(index: int) -> None:
            for chunk in generations[index]:
                arrivals[index] += [time.perf_counter() - began] * len(chunk.token_ids)

        readers = [threading.Thread(target=read, args=(index,)) for index in range(len(prompts))]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        return arrivals

    return run


def _load(model_dir: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    from chatbot.inference.engines.transformers import model_dtype

    disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(
        model_dir, dtype=model_dtype("cuda" if torch.cuda.is_available() else "cpu"), local_files_only=True
    )


def transformers_generate(model_dir: Path, _streams: int) -> Run:
    """`generate` as most programs call it: one padded batch."""
    import torch
    from transformers import LogitsProcessor, LogitsProcessorList

    model = _load(model_dir)

    def run(prompts: list[Ids], tokens: int) -> list[list[float]]:
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        moments: list[float] = []

        class Clock(LogitsProcessor):
            def __call__(self, input_ids: Any, scores: Any) -> Any:
                moments.append(time.perf_counter() - began)
                return scores

        began = time.perf_counter()
        model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
            logits_processor=LogitsProcessorList([Clock()]),
        )
        return [moments for _ in prompts]

    return run


def transformers_batching(model_dir: Path, streams: int) -> Run:
    """transformers' continuous batching by itself, with its own defaults for a machine without a GPU."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    model = _load(model_dir)
    manager = model.init_continuous_batching(
        generation_config=GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0),
        continuous_batching_config=ContinuousBatchingConfig(
            # What it cannot choose by itself without a GPU. Whole prompts fit into a batch, as it prefers.
            page_size=32,
            num_blocks=streams * 32 + 32,
            max_batch_tokens=1024,
        ),
    )
    manager.start()
    count = 0

    def run(prompts: list[Ids], tokens: int) -> list[list[float]]:
        nonlocal count
        arrivals: dict[str, list[float]] = {}
        began = time.perf_counter()
        for ids in prompts:
            count += 1
            manager.add_request(input_ids=ids, request_id=str(count), max_new_tokens=tokens, streaming=True)
            arrivals[str(count)] = []
        while any(len(arrived) < tokens for arrived in arrivals.values()):
            output = manager.get_result(timeout=60)
            if output is None or output.error:
                raise RuntimeError(f"transformers gave up: {output and output.error}")
            arrived = arrivals[output.request_id]
            arrived += [time.perf_counter() - began] * (len(output.generated_tokens) - len(arrived))
        return list(arrivals.values())

    return run


CONTENDERS: dict[str, Callable[[Path, int], Run]] = {
    "openvino": lambda model_dir, streams: our_engine("openvino", model_dir, streams),
    "transformers": lambda model_dir, streams: our_engine("transformers", model_dir, streams),
    "transformers_generate": transformers_generate,
    "transformers_batching": transformers_batching,
}


def main() -> None:
    told, sys.stdout = sys.stdout, sys.stderr  # libraries print where they like
    run = CONTENDERS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps({"ready": True}), file=told, flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        print(json.dumps({"arrivals": run(task["prompts"], task["tokens"])}), file=told, flush=True)


if __name__ == "__main__":
    main()
