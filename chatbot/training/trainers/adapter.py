"""From rows to an adapter: an optional stage of adaptation on transcripts, then the replies.

It knows rows, a base model's folder and a folder for checkpoints, and nothing of Django or of the registry.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatbot.exceptions import ModelFilesError
from chatbot.inference.adapters import CONFIG, WEIGHTS
from chatbot.inference.prompt import EXAMPLES_KEY, PROMPT_KEY
from chatbot.inference.tokens import ModelTokenizer
from chatbot.inference.weights import MANIFEST, Progress
from chatbot.training.curves import Record
from chatbot.training.dataset_rows import ReplyRow, TranscriptRow
from chatbot.training.trainers.checkpoints import CheckpointFolder
from chatbot.training.trainers.generator import Tuned, tune
from chatbot.training.trainers.generator_recipe import ADAPTATION_SHARE, GeneratorRecipe
from chatbot.training.trainers.reply_encoding import ANY_SHOP, RowEncoder

if TYPE_CHECKING:
    import torch

# Adaptation moves the model a little towards how people write here, and not away from answering.
_ADAPTATION_RATE = 0.3


@dataclass(frozen=True, slots=True)
class Material:
    """What is trained on, and with what. `shop` is for rows that name none."""

    base: Path
    rows: Sequence[ReplyRow]
    held_out: Sequence[ReplyRow]
    transcripts: Sequence[TranscriptRow] = ()
    shop: str = ANY_SHOP

    def identity(self, recipe: GeneratorRecipe, seed: int) -> str:
        """A digest of all that decides what comes out, by which a training's checkpoints are known."""
        digest = hashlib.sha256()
        manifest = self.base / MANIFEST
        digest.update(manifest.read_bytes() if manifest.is_file() else bytes(self.base))
        digest.update(json.dumps([recipe.described(), seed, self.shop], sort_keys=True).encode())
        for part in (self.rows, self.held_out, self.transcripts):
            for row in part:
                digest.update(row.model_dump_json().encode() + b"\n")
            digest.update(b"\0")
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class TrainedAdapter:
    """An adapter, what it was made with and what was measured. `configuration` is what would train it again."""

    tensors: dict[str, torch.Tensor]
    peft_config: dict[str, Any]
    metrics: dict[str, Any]
    configuration: dict[str, Any]

    @property
    def improves(self) -> bool:
        """Whether the held-out loss fell at all; where not, the adapter changes nothing."""
        return bool(self.metrics["loss_after"] < self.metrics["loss_before"])

    def save(self, directory: Path) -> None:
        """Write what peft's `save_pretrained` would, in float16: what is merged is what is stored."""
        import torch
        from safetensors.torch import save_file

        directory.mkdir(parents=True, exist_ok=True)
        halves = {name: tensor.to(torch.float16).contiguous() for name, tensor in sorted(self.tensors.items())}
        save_file(halves, directory / WEIGHTS, metadata={"format": "pt"})
        (directory / WEIGHTS).chmod(0o644)
        (directory / CONFIG).write_text(json.dumps(self.peft_config, indent=1) + "\n", encoding="utf-8")


def train_adapter(
    material: Material,
    recipe: GeneratorRecipe,
    *,
    seed: int = 0,
    checkpoints: Path | None = None,
    progress: Progress | None = None,
    record: Record | None = None,
) -> TrainedAdapter:
    """Train by `recipe`, going on from `checkpoints` where an earlier process was killed.

    Imports torch and peft. Raises GeneratorError where there is nothing to learn or measure, or training diverges;
    ModelFilesError where the base cannot be loaded.
    """
    from chatbot.training.trainers.lora import ReplyModel

    report, note = progress or (lambda _message, _share: None), record or (lambda _point: None)
    began = time.monotonic()
    report("Reading: the model", 0.0)
    if not (material.base / "config.json").is_file():
        raise ModelFilesError("the file is missing", path=material.base / "config.json")
    encoder = RowEncoder(ModelTokenizer(material.base), shop=material.shop)
    frozen = ReplyModel.load(material.base)
    layers = recipe.adapted_layers(frozen.layers)
    model = frozen.with_adapter(rank=recipe.rank, alpha=recipe.alpha, targets=recipe.targets, layers=layers, seed=seed)
    rows = [encoder.encode_reply(row) for row in material.rows if row.reply.strip()]
    held_out = [encoder.encode_reply(row) for row in material.held_out if row.reply.strip()]
    identity = material.identity(recipe, seed)

    adaptation: Tuned | None = None
    if material.transcripts:
        adaptation = tune(
            model,
            [encoder.encode_transcript(row) for row in material.transcripts],
            held_out,
            replace(recipe, epochs=1, learning_rate=recipe.learning_rate * _ADAPTATION_RATE),
            seed=seed,
            checkpoints=CheckpointFolder(checkpoints / "adaptation", identity) if checkpoints else None,
            progress=lambda message, share: report(
                message.replace("Training", "Adapting"), share and share * ADAPTATION_SHARE
            ),
            record=note,
        )
    before = adaptation.planned if adaptation else 0
    start = ADAPTATION_SHARE if adaptation else 0.0
    tuned = tune(
        model,
        rows,
        held_out,
        recipe,
        seed=seed,
        checkpoints=CheckpointFolder(checkpoints / "replies", identity) if checkpoints else None,
        progress=lambda message, share: report(message, None if share is None else start + (1 - start) * share),
        record=lambda point: note(replace(point, step=point.step + before)) if point.step or not before else None,
    )
    first = adaptation or tuned
    return TrainedAdapter(
        tensors=tuned.adapter,
        peft_config=_peft_config(recipe, layers),
        metrics={
            "loss_before": round(first.before.per_token, 4),
            "loss_after": round(tuned.after.per_token, 4),
            "train_seconds": round(time.monotonic() - began, 1),
            "tokens_per_s": round(tuned.tokens_per_s, 1),
            "tokens": tuned.tokens + (adaptation.tokens if adaptation else 0),
            "steps": tuned.steps,
            "planned_steps": tuned.planned,
            "best_step": tuned.best_step,
            "rows": len(rows),
            "held_out_rows": len(held_out),
            "held_out_tokens": int(tuned.after.tokens.sum()),
            **_adaptation_metrics(adaptation),
        },
        configuration={
            "recipe": recipe.described(),
            "seed": seed,
            PROMPT_KEY: {EXAMPLES_KEY: False},
        },
    )


def _adaptation_metrics(adaptation: Tuned | None) -> dict[str, Any]:
    """What adaptation did; it was kept if the replies' held-out loss fell."""
    if adaptation is None:
        return {}
    return {
        "adaptation": {
            "kept": adaptation.best_step > 0,
            "steps": adaptation.steps,
            "loss_before": round(adaptation.before.per_token, 4),
            "loss_after": round(adaptation.after.per_token, 4),
        }
    }


def _peft_config(recipe: GeneratorRecipe, layers: range) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "inference_mode": True,
        "r": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(recipe.targets),
        "layers_to_transform": list(layers),
    }
