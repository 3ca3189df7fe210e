"""One training of the tiny model in a process that may be killed: `python -m tests.training.tuning_process MODEL DIR`.

Prints a line a step and leaves its checkpoints in DIR/checkpoints.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from chatbot.inference.tokens import ModelTokenizer
from chatbot.training.trainers.checkpoints import CheckpointFolder
from chatbot.training.trainers.generator import Tuned, tune
from chatbot.training.trainers.generator_recipe import GeneratorRecipe
from chatbot.training.trainers.lora import ReplyModel
from chatbot.training.trainers.reply_encoding import RowEncoder
from tests.training.reply_examples import reply_rows

RECIPE = GeneratorRecipe(
    epochs=6, rank=4, alpha=8, learning_rate=5e-3, step_tokens=600, batch_tokens=400, pack_tokens=200, looks=6
)


def tune_tiny(
    model_dir: Path,
    *,
    seed: int = 0,
    recipe: GeneratorRecipe = RECIPE,
    directory: Path | None = None,
    say: Callable[[str], object] = len,
) -> Tuned:
    model = ReplyModel.load(model_dir, device="cpu").with_adapter(
        rank=recipe.rank, alpha=recipe.alpha, targets=recipe.targets, layers=recipe.adapted_layers(2), seed=seed
    )

    def report(message: str, _share: float | None) -> None:
        say(message)

    encoder = RowEncoder(ModelTokenizer(model_dir))
    rows = [encoder.encode_reply(row) for row in reply_rows(5)]
    return tune(
        model,
        rows[5:],
        rows[:5],
        recipe,
        seed=seed,
        checkpoints=CheckpointFolder(directory / "checkpoints", "tiny") if directory else None,
        checkpoint_every_s=0.0,
        progress=report,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    tune_tiny(Path(sys.argv[1]), directory=Path(sys.argv[2]), say=partial(print, flush=True))
