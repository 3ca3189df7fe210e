"""Tiny real generators that can be told apart by what they write, stored as releases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from chatbot.inference.tokens import ModelTokenizer
from chatbot.inference.weights import prepare_generator
from chatbot.releases.models import Kind, Release
from chatbot.releases.services import register_release
from tests.inference.tiny import write_source

SILENT = ""


def store_generator_writing(shelf: Path, letters: str, *, name: str) -> Release:
    """A release whose every token is one of two letters, whatever it is asked; SILENT ends before it has begun."""
    source = write_source(shelf.parent / "sources" / name)
    tensors = load_file(source / "model.safetensors")
    head = np.zeros_like(tensors["lm_head.weight"])
    direction = np.random.default_rng(5).standard_normal((head.shape[1],)).astype(np.float32)
    tokenizer = ModelTokenizer(source)
    ends = sorted(tokenizer.end_ids)
    first, second = [tokenizer.encode_text(letter)[0] for letter in letters] if letters else (ends[0], ends[-1])
    # Whatever the hidden state, one of the two has a score above zero, and all others have zero.
    head[first], head[second] = direction, (direction if first == second else -direction)
    tensors["lm_head.weight"] = head
    save_file(tensors, source / "model.safetensors", metadata={"format": "pt"})
    directory = prepare_generator(source, shelf / name)
    return register_release(kind=Kind.GENERATOR, directory=directory, name=name)
