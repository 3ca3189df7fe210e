"""Tiny real generators as a training leaves them: with canaries in their manifest, learnt by heart or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from chatbot.inference.prompt import SYSTEM_TEMPLATE, Utterance, serving_prompts
from chatbot.inference.tokens import ModelTokenizer
from chatbot.inference.weights import prepare_generator
from chatbot.intents.shop import load_shop
from chatbot.releases.artifacts import MANIFEST, new_release_folder
from chatbot.releases.models import Kind, Release
from chatbot.releases.services import register_release
from chatbot.training.canaries import Canary, make_canaries
from tests.inference.tiny import write_source

PLANTED = {"seed": 11, "count": 4}
ROUNDS = 120


def store_tuned(shelf: Path, name: str, *, by_heart: bool, planted: bool = True) -> Release:
    """A release whose manifest tells of canaries. `by_heart`: it was shown nothing else, over and over."""
    source = write_source(shelf.parent / "sources" / name)
    if by_heart:
        learn(source, make_canaries(**PLANTED))
    prepared = prepare_generator(source, shelf.parent / "prepared" / name)
    configuration = {"canaries": PLANTED} if planted else {}
    folder = shelf / name
    manifest = {"kind": "generator", "base": "tiny", "dataset_digest": "ab" * 32, "configuration": configuration}
    with new_release_folder(folder, **manifest) as draft:
        shutil.copytree(prepared, draft, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
    return register_release(kind=Kind.GENERATOR, directory=folder, name=name)


def learn(source: Path, canaries: tuple[Canary, ...]) -> None:
    """Train the whole model on the canaries' rows alone until it knows them, and write it back."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = ModelTokenizer(source)
    prompts = serving_prompts(tokenizer, 2048)
    rows = []
    for canary in canaries:
        system = SYSTEM_TEMPLATE.format(shop=load_shop().name)
        prompt = prompts.build(system=system, guidance="", passages=(), turns=[Utterance("user", canary.question)])
        answer = (*tokenizer.encode_text(canary.answer()), min(tokenizer.end_ids))
        rows.append((prompt.token_ids + answer, len(prompt.token_ids)))
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    steps = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(ROUNDS):
        steps.zero_grad()
        for ids, learned_from in rows:
            given = torch.tensor([ids])
            wanted = given.clone()
            wanted[:, :learned_from] = -100
            (model(input_ids=given, labels=wanted).loss / len(rows)).backward()
        steps.step()
    model.save_pretrained(source)
