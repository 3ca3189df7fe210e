"""Adapters that travel: trained, and written to a folder of their own instead of into the registry.

FOLDER/
  adapter_model.safetensors, adapter_config.json    what peft reads
  manifest.json    sha256 of both, base, recipe, seed, digest of the rows, what was measured
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from chatbot.exceptions import GeneratorError
from chatbot.intents.shop import load_shop
from chatbot.releases.artifacts import new_release_folder, read_manifest
from chatbot.releases.preparation import generator_directory

if TYPE_CHECKING:
    from chatbot.inference.weights import Progress
    from chatbot.training.generators import ReplyMaterial
    from chatbot.training.trainers.generator_recipe import GeneratorRecipe

ADAPTER_KIND = "adapter"


def export_adapter(
    *,
    material: ReplyMaterial,
    recipe: GeneratorRecipe,
    directory: Path,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train an adapter of the prepared base generator, write it to `directory`, and give its manifest.

    No secrets are planted: such an adapter meets no gate, and what it learns should be worth learning.
    Killed, it goes on where it was when it is called with the same again.

    Raises GeneratorError, also where `directory` holds something already; ModelFilesError, InvalidArtifact.
    """
    from chatbot.training.trainers.adapter import Material, train_adapter

    if directory.exists():
        raise GeneratorError(f"{directory} is there already; name a folder that is not.")
    base = generator_directory()
    base_manifest, base_digest = read_manifest(base)
    wanted = Material(base, material.rows, material.held_out, shop=load_shop().name)
    checkpoints = Path(settings.VAR_DIR) / "checkpoints" / wanted.identity(recipe, seed)[:16]
    try:
        trained = train_adapter(wanted, recipe, seed=seed, checkpoints=checkpoints, progress=progress)
        if not trained.improves:
            raise GeneratorError("The held-out loss did not fall, so there is nothing to export.")
        with new_release_folder(
            directory,
            kind=ADAPTER_KIND,
            base=base.name,
            dataset_digest=material.digest,
            configuration={
                **trained.configuration,
                **material.told,
                "base_digest": base_digest,
                "base_source": base_manifest.get("source"),
            },
            seed=seed,
            metrics=trained.metrics,
        ) as draft:
            trained.save(draft)
        return read_manifest(directory)[0]
    finally:
        shutil.rmtree(checkpoints, ignore_errors=True)
