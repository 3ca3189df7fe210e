"""The real default weights, through the engine that serves them by default."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatbot.inference.engines.openvino import OpenVINOEngine
from chatbot.inference.prompt import SYSTEM_TEMPLATE, GroundingPassage, Utterance
from chatbot.inference.sampling import SamplingParams
from chatbot.inference.weights import prepare_generator

pytestmark = pytest.mark.models

# Prepared once for all runs, where `prepare_models` puts it too.
MODEL_DIR = Path(__file__).resolve().parents[2] / "var" / "models" / "smollm2-135m-instruct"
CANCELLING = GroundingPassage(
    "Cancelling an order",
    "You can cancel an order free of charge within 30 minutes of placing it. Open My orders, choose the order and "
    "press Cancel order. After 30 minutes the order is being packed and can no longer be cancelled, but you can return "
    "it within 30 days.",
)
# Engines that round differently part at the first near tie. Over 214 tokens the widest gap between the two likeliest
# that OpenVINO fell on the other side of was 0.3 (with float32 activations and cache: 0.2); wrong weights miss by many.
NEAR_TIE = 0.6
TOKENS = 24


@pytest.fixture(scope="module")
def engine() -> Iterator[OpenVINOEngine]:
    loaded = OpenVINOEngine(prepare_generator(None, MODEL_DIR), max_streams=4, kv_cache_mib=128, threads=None)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def reference() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(MODEL_DIR, local_files_only=True)


def greedy_with_margins(reference: Any, token_ids: tuple[int, ...]) -> tuple[list[int], list[float]]:
    """The float model's reply, and by how much each of its tokens won over the next likeliest."""
    import torch

    with torch.no_grad():
        made = reference.generate(torch.tensor([token_ids]), max_new_tokens=TOKENS, do_sample=False)[0]
        logits = reference(made[None]).logits[0, len(token_ids) - 1 : -1]
    best = logits.topk(2).values
    return made[len(token_ids) :].tolist(), (best[:, 0] - best[:, 1]).tolist()


def test_q8_gguf_follows_the_float_model(engine: OpenVINOEngine, reference: Any) -> None:
    agreements = []
    for question, passages in (
        ("How can I cancel my order?", [CANCELLING]),
        ("How can I cancel my order?", []),
        ("Where is my parcel?", [CANCELLING]),
        ("Write a poem about tea", []),
    ):
        prompt = engine.prompts.build(
            system=SYSTEM_TEMPLATE.format(shop="Larkspur"),
            guidance="",
            passages=passages,
            turns=[Utterance("user", question)],
        )
        generation = engine.submit(prompt, SamplingParams(max_tokens=TOKENS))
        served = [index for chunk in generation for index in chunk.token_ids]
        expected, margins = greedy_with_margins(reference, prompt.token_ids)
        split = next(
            (at for at, pair in enumerate(zip(served, expected, strict=False)) if pair[0] != pair[1]), len(expected)
        )
        assert split == len(expected) or margins[split] < NEAR_TIE, (question, split, served, expected)
        agreements.append(split)
    assert statistics.median(agreements) >= 12, agreements


def test_the_answer_rests_on_the_passage(engine: OpenVINOEngine) -> None:
    prompt = engine.prompts.build(
        system=SYSTEM_TEMPLATE.format(shop="Larkspur"),
        guidance="",
        passages=[CANCELLING],
        turns=[Utterance("user", "How can I cancel my order?")],
    )
    generation = engine.submit(prompt, SamplingParams(max_tokens=120))
    text = "".join(chunk.text for chunk in generation)
    assert generation.finish_reason == "stop"
    assert "30 minutes" in text


def test_transformers_reads_the_same_tokenizer(engine: OpenVINOEngine) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(MODEL_DIR, local_files_only=True)
    for text in ("Where is my parcel?", "  two  spaces\n\nand lines", "naïve café 日本語 😀", "order 4711-22"):
        assert engine.tokenizer.encode_text(text) == theirs.encode(text, add_special_tokens=False)
