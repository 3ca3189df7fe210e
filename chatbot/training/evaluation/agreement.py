"""Whether the file that is served says what the trained weights say: greedy replies, token for token.

OpenVINO reads the Q8_0 file; transformers, in single precision, reads along in the safetensors and says at each place
whether it would have gone on the same way. Rounding makes the two part at near ties, about one token in fifty; a matrix
in the wrong order or a missing adapter makes them part at once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chatbot.exceptions import EngineError
from chatbot.inference.engines.openvino import GGUF_NAME, OpenVINOEngine
from chatbot.inference.prompt import Ids, Prompt
from chatbot.inference.sampling import SamplingParams

logger = logging.getLogger(__name__)

TOKENS = 24
# Below this it is no rounding.
LEAST_AGREEMENT = 0.8


def served_agreement(model_dir: Path, prompts: Sequence[Ids], *, tokens: int = TOKENS) -> float | None:
    """The share of greedy tokens, OpenVINO's, that the weights would have chosen too.

    None where there is no GGUF file, or OpenVINO does not run on this machine.
    """
    if not (model_dir / GGUF_NAME).is_file():
        return None
    try:
        engine = OpenVINOEngine(model_dir, max_streams=4, kv_cache_mib=128, threads=None)
    except EngineError as error:
        logger.warning("the GGUF file was not compared with the weights: %s", error)
        return None
    try:
        generations = [engine.submit(Prompt(ids, 0, 0), SamplingParams(max_tokens=tokens)) for ids in prompts]
        replies = [[index for chunk in generation for index in chunk.token_ids] for generation in generations]
    finally:
        engine.close()
    reference = _load(model_dir)
    own = [choice for pair in zip(prompts, replies, strict=True) for choice in _own_choices(reference, *pair)]
    return sum(own) / len(own) if own else None


def _load(model_dir: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, local_files_only=True).eval()


def _own_choices(reference: Any, prompt: Ids, reply: list[int]) -> list[bool]:
    import torch

    if not reply:
        return []
    with torch.no_grad():
        logits = reference(torch.tensor([[*prompt, *reply]]), logits_to_keep=len(reply) + 1).logits[0, :-1]
    chosen: list[bool] = (logits.argmax(dim=-1) == torch.tensor(reply)).tolist()
    return chosen
