"""Adapters are merged as peft would merge them, and nothing but plain LoRA is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from chatbot.exceptions import ModelFilesError
from chatbot.inference.adapters import CONFIG, WEIGHTS, Adapter, write_merged
from chatbot.inference.gguf_files import GGUFFile
from chatbot.inference.weights import GGUF_NAME
from tests.inference.tiny import write_source


def make_adapter(base: Path, directory: Path, *, dtype: torch.dtype = torch.float32, **options: Any) -> dict[str, Any]:
    """An adapter with random weights as peft saves it; gives the weights of peft's own merge."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    config = LoraConfig(r=4, lora_alpha=12, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM", **options)
    adapted = get_peft_model(model, config, autocast_adapter_dtype=False)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    adapted.save_pretrained(str(directory))
    merged: dict[str, Any] = adapted.merge_and_unload().state_dict()
    return merged


def as_bfloat16(base: Path) -> Path:
    tensors = load_file(base / "model.safetensors")
    save_file({name: tensor.bfloat16() for name, tensor in tensors.items()}, base / "model.safetensors")
    return base


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"layers_to_transform": [1]}])
def test_the_merged_model_is_pefts(tmp_path: Path, options: dict[str, Any]) -> None:
    base = write_source(tmp_path / "base")
    expected = make_adapter(base, tmp_path / "adapter", **options)
    (tmp_path / "out").mkdir()
    write_merged(base, tmp_path / "adapter", tmp_path / "out")
    merged = load_file(tmp_path / "out" / "model.safetensors")
    assert merged.keys() == load_file(base / "model.safetensors").keys()
    for name, tensor in merged.items():
        assert torch.allclose(tensor, expected[name], atol=1e-6), name
    served = dict(GGUFFile(tmp_path / "out" / GGUF_NAME).tensors())
    name = "model.layers.1.self_attn.q_proj.weight"
    error = np.abs(served[name] - merged[name].numpy()).max()
    assert error < np.abs(merged[name].numpy()).max() / 100  # Q8_0 rounds to a part in 127 of a block's largest
    assert (tmp_path / "out" / "config.json").read_bytes() == (base / "config.json").read_bytes()


def test_bfloat16_stays_bfloat16_and_is_rounded_once(tmp_path: Path) -> None:
    base = as_bfloat16(write_source(tmp_path / "base"))
    make_adapter(base, tmp_path / "adapter")
    (tmp_path / "out").mkdir()
    write_merged(base, tmp_path / "adapter", tmp_path / "out")
    adapter = Adapter.read(tmp_path / "adapter")
    before, after = load_file(base / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    for name, tensor in after.items():
        delta = adapter.delta(name, tuple(tensor.shape))
        exact = before[name].float() + (0 if delta is None else torch.from_numpy(delta))
        assert torch.equal(tensor, exact.bfloat16()), name


def change_config(directory: Path, **values: Any) -> None:
    config = json.loads((directory / CONFIG).read_text())
    (directory / CONFIG).write_text(json.dumps({**config, **values}))


@pytest.mark.parametrize(
    "change",
    [{"use_dora": True}, {"peft_type": "IA3"}, {"bias": "all"}, {"modules_to_save": ["lm_head"]}, {"an_option": 3}],
)
def test_more_than_plain_lora_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    make_adapter(write_source(tmp_path / "base"), tmp_path / "adapter")
    change_config(tmp_path / "adapter", **change)
    with pytest.raises(ModelFilesError, match="only plain LoRA can be merged"):
        Adapter.read(tmp_path / "adapter")


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    base = write_source(tmp_path / "base")
    make_adapter(base, tmp_path / "adapter")
    tensors = load_file(tmp_path / "adapter" / WEIGHTS)
    renamed = {name.replace("layers.1.", "layers.7."): tensor for name, tensor in tensors.items()}
    wider = {name: torch.cat([tensor, tensor]) if "lora_B" in name else tensor for name, tensor in tensors.items()}
    for content, complaint in ((renamed, "has no model.layers.7"), (wider, "cannot be merged")):
        save_file(content, tmp_path / "adapter" / WEIGHTS)
        out = tmp_path / complaint.replace(" ", "-")
        out.mkdir()
        with pytest.raises(ModelFilesError, match=complaint):
            write_merged(base, tmp_path / "adapter", out)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({}, "empty"),
        ({"base_model.model.lm_head.weight": torch.ones(2, 2)}, "no part of a LoRA adapter"),
        ({"base_model.model.a.lora_A.weight": torch.ones(2, 2)}, "half of"),
    ],
)
def test_damaged_adapters_are_named(tmp_path: Path, content: dict[str, torch.Tensor], complaint: str) -> None:
    make_adapter(write_source(tmp_path / "base"), tmp_path / "adapter")
    save_file(content, tmp_path / "adapter" / WEIGHTS)
    with pytest.raises(ModelFilesError, match=complaint):
        Adapter.read(tmp_path / "adapter")


def test_missing_and_cut_files_are_named(tmp_path: Path) -> None:
    make_adapter(write_source(tmp_path / "base"), tmp_path / "adapter")
    weights = tmp_path / "adapter" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(ModelFilesError, match="not a readable adapter"):
        Adapter.read(tmp_path / "adapter")
    (tmp_path / "adapter" / CONFIG).unlink()
    with pytest.raises(ModelFilesError, match="missing"):
        Adapter.read(tmp_path / "adapter")
