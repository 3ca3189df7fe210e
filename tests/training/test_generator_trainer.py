"""Tuning a tiny generator: it learns, the same way each time, and a kill costs nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from chatbot.exceptions import GeneratorError, RunStopped
from chatbot.inference.tokens import ModelTokenizer
from chatbot.training.curves import Point
from chatbot.training.evaluation.reply_loss import loss_of
from chatbot.training.trainers.checkpoints import Checkpoint, CheckpointFolder, delete_abandoned
from chatbot.training.trainers.generator import plan, tune
from chatbot.training.trainers.generator_recipe import GeneratorRecipe
from chatbot.training.trainers.lora import ReplyModel
from chatbot.training.trainers.reply_encoding import EncodedRow, RowEncoder
from tests.training.reply_examples import reply_rows
from tests.training.tuning_process import RECIPE, tune_tiny

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def encoded(tiny_model: Path) -> list[EncodedRow]:
    encoder = RowEncoder(ModelTokenizer(tiny_model))
    return [encoder.encode_reply(row) for row in reply_rows(5)]


def adapted(model_dir: Path, recipe: GeneratorRecipe = RECIPE, seed: int = 0) -> ReplyModel:
    return ReplyModel.load(model_dir, device="cpu").with_adapter(
        rank=recipe.rank, alpha=recipe.alpha, targets=recipe.targets, layers=recipe.adapted_layers(2), seed=seed
    )


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_held_out_loss_falls_and_the_same_seed_gives_the_same_adapter(tiny_model: Path) -> None:
    first, second = tune_tiny(tiny_model), tune_tiny(tiny_model)
    assert first.after.per_token < 0.7 * first.before.per_token
    assert 0 < first.best_step <= first.steps == first.planned
    assert first.tokens_per_s > 0
    assert same(first.adapter, second.adapter)
    assert not same(first.adapter, tune_tiny(tiny_model, seed=1).adapter)


def test_a_training_that_was_killed_ends_as_if_it_had_not_been(tiny_model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.training.tuning_process", str(tiny_model), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout is not None
        assert any("step 5 of" in line for line in iter(training.stdout.readline, ""))
        training.kill()
    checkpoint = CheckpointFolder(tmp_path / "checkpoints", "tiny").load()
    assert checkpoint is not None
    assert checkpoint.step >= 4
    steps: list[str] = []
    resumed = tune_tiny(tiny_model, directory=tmp_path, say=steps.append)
    assert not any("step 4 of" in step for step in steps)
    undisturbed = tune_tiny(tiny_model)
    assert same(resumed.adapter, undisturbed.adapter)
    assert (resumed.best_step, resumed.tokens) == (undisturbed.best_step, undisturbed.tokens)


def test_learning_curves_have_a_point_for_every_step(tiny_model: Path, encoded: list[EncodedRow]) -> None:
    points: list[Point] = []
    recipe = replace(RECIPE, epochs=2, looks=2)
    tuned = tune(adapted(tiny_model), encoded[5:], encoded[:5], recipe, seed=0, record=points.append)
    assert [point.step for point in points] == list(range(tuned.planned + 1))
    assert points[0].held_out_loss == pytest.approx(tuned.before.per_token)
    assert [point.step for point in points if point.held_out_loss is not None] == [0, tuned.planned // 2, tuned.planned]
    rates = [point.learning_rate or 0.0 for point in points[1:]]
    assert rates[0] < max(rates) <= recipe.learning_rate
    assert rates[-1] < 0.5 * max(rates)


def test_a_training_that_no_longer_helps_stops_early_and_gives_the_best_it_had(
    tiny_model: Path, encoded: list[EncodedRow]
) -> None:
    encoder = RowEncoder(ModelTokenizer(tiny_model))
    others = [encoder.encode_reply(row.model_copy(update={"reply": "ñ ¿ Ω 日本語"})) for row in reply_rows(1)]
    model = adapted(tiny_model)
    tuned = tune(model, encoded, others, replace(RECIPE, epochs=30, patience=2, looks=60), seed=0)
    assert tuned.best_step < tuned.steps < tuned.planned
    assert tuned.after.per_token <= tuned.before.per_token
    assert loss_of(model, others).per_token == pytest.approx(tuned.after.per_token)


def test_a_training_that_diverges_says_so(tiny_model: Path, encoded: list[EncodedRow]) -> None:
    with pytest.raises(GeneratorError, match="diverged"):
        tune(adapted(tiny_model), encoded[5:], encoded[:5], replace(RECIPE, learning_rate=1e6), seed=0)


def test_who_reports_progress_may_stop_the_training(tiny_model: Path, encoded: list[EncodedRow]) -> None:
    def stop(message: str, _share: float | None) -> None:
        if "step 2" in message:
            raise RunStopped("enough")

    with pytest.raises(RunStopped):
        tune(adapted(tiny_model), encoded[5:], encoded[:5], RECIPE, seed=0, progress=stop)


def test_rows_without_replies_cannot_be_trained_or_measured_on(tiny_model: Path, encoded: list[EncodedRow]) -> None:
    nothing = [replace(row, learned=(False,) * len(row.learned)) for row in encoded]
    with pytest.raises(GeneratorError, match="no row has a reply"):
        tune(adapted(tiny_model), nothing, encoded, RECIPE, seed=0)
    with pytest.raises(GeneratorError, match="no held-out row has a reply"):
        tune(adapted(tiny_model), encoded, nothing, RECIPE, seed=0)


def test_a_plan_takes_every_row_once_an_epoch_and_ends_at_the_most_steps(encoded: list[EncodedRow]) -> None:
    steps = plan(encoded, RECIPE, seed=3)
    taken = [row for step in steps for batch in step for pack in batch for row in pack.rows]
    assert sorted(taken) == sorted(list(range(len(encoded))) * RECIPE.epochs)
    assert len(plan(encoded, replace(RECIPE, max_steps=3), seed=3)) == 3
    assert plan(encoded, RECIPE, seed=4) != steps


def test_lower_layers_stay_as_they_are(tiny_model: Path) -> None:
    tuned = tune_tiny(tiny_model, recipe=replace(RECIPE, epochs=1, upper_share=0.5))
    assert {name.split("layers.")[1].split(".")[0] for name in tuned.adapter} == {"1"}


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(
        step,
        {"a": torch.full((2,), float(step))},
        {"a": torch.zeros(2)},
        {"0.step": torch.tensor(1.0)},
        {"lowest": 1.5},
    )


def test_the_newest_whole_checkpoint_of_the_training_counts(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "run", "mine")
    assert folder.load() is None
    folder.save(checkpoint(1))
    folder.save(checkpoint(2))
    loaded = folder.load()
    assert loaded is not None
    assert (loaded.step, loaded.progress, loaded.adapter["a"].tolist()) == (2, {"lowest": 1.5}, [2.0, 2.0])
    assert sorted(path.name for path in (tmp_path / "run").rglob("*")) == [
        "adapter.safetensors",
        "optimiser.safetensors",
        "state.json",
        "step-00000002",
    ]
    assert CheckpointFolder(tmp_path / "run", "another").load() is None
    weights = tmp_path / "run" / "step-00000002" / "adapter.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert folder.load() is None
    folder.delete()
    assert not (tmp_path / "run").exists()


def test_checkpoints_that_nobody_took_up_are_deleted(tmp_path: Path) -> None:
    CheckpointFolder(tmp_path / "old", "mine").save(checkpoint(1))
    delete_abandoned(tmp_path, older_than_s=3600.0)
    assert (tmp_path / "old").exists()
    delete_abandoned(tmp_path, older_than_s=-1.0)
    assert not (tmp_path / "old").exists()
    delete_abandoned(tmp_path / "nowhere")
