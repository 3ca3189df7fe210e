"""From rows to an adapter that peft reads, that is merged, and that is served as it was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from chatbot.inference.adapters import WEIGHTS, write_merged
from chatbot.inference.prompt import Utterance, examples_for
from chatbot.inference.tokens import ModelTokenizer
from chatbot.training.curves import Point
from chatbot.training.dataset_rows import TranscriptRow
from chatbot.training.evaluation.agreement import LEAST_AGREEMENT, served_agreement
from chatbot.training.trainers.adapter import Material, train_adapter
from chatbot.training.trainers.reply_encoding import RowEncoder
from tests.training.reply_examples import reply_rows
from tests.training.tuning_process import RECIPE


def test_the_adapter_is_pefts_and_is_served_as_it_was_trained(tiny_model: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    rows = reply_rows(5)
    trained = train_adapter(Material(tiny_model, rows[5:], rows[:5]), RECIPE, checkpoints=tmp_path / "checkpoints")
    assert trained.improves
    assert examples_for({"configuration": trained.configuration}) == ()
    trained.save(tmp_path / "adapter")
    out = tmp_path / "out"
    out.mkdir()
    write_merged(tiny_model, tmp_path / "adapter", out)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    theirs = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).merge_and_unload()
    merged = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    for name, tensor in theirs.state_dict().items():
        assert torch.allclose(merged.state_dict()[name], tensor, atol=1e-5), name
    encoder = RowEncoder(ModelTokenizer(out))
    agreement = served_agreement(out, [encoder.prompt(row) for row in rows[:4]])
    assert agreement is not None
    assert agreement >= LEAST_AGREEMENT
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {".safetensors", ".json", ".gguf"}
    assert (tmp_path / "adapter" / WEIGHTS).stat().st_size < sum(t.nbytes for t in trained.tensors.values())


@pytest.mark.parametrize("helps", [True, False])
def test_adaptation_is_kept_only_if_the_replies_become_likelier(tiny_model: Path, helps: bool) -> None:
    torch.set_num_threads(1)
    rows = reply_rows(4)
    transcripts = [
        TranscriptRow(
            id=row.id,
            messages=(Utterance("user", row.text), Utterance("assistant", row.reply if helps else "ñ ¿ Ω 日本語")),
        )
        for row in rows
    ]
    points: list[Point] = []
    recipe = replace(RECIPE, epochs=2, learning_rate=1e-2)
    material = Material(tiny_model, rows[5:], rows[:5], transcripts)
    metrics = train_adapter(material, recipe, record=points.append).metrics
    assert metrics["adaptation"]["kept"] == (metrics["adaptation"]["loss_after"] < metrics["adaptation"]["loss_before"])
    assert metrics["adaptation"]["kept"] or not helps
    assert metrics["loss_after"] < metrics["loss_before"]
    assert [point.step for point in points] == sorted({point.step for point in points})
