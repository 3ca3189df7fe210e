"""Trainings of the generator that end in the registry: base, adapter and what is served of them, in one release."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.conf import settings
from django.contrib.auth.models import User

from chatbot.exceptions import DatasetError, GeneratorError
from chatbot.inference.normalisation import text_key
from chatbot.intents.shop import load_shop
from chatbot.releases.artifacts import verify_release_folder
from chatbot.releases.models import Kind, Release
from chatbot.releases.preparation import generator_directory
from chatbot.releases.remote import is_remote
from chatbot.releases.selectors import release_directory
from chatbot.releases.services import store_release
from chatbot.training.canaries import plant
from chatbot.training.corpora import grounded_corpus
from chatbot.training.dataset_files import open_dataset
from chatbot.training.dataset_rows import ReplyRow, TranscriptRow
from chatbot.training.evaluation.overlap import TRAINED_ON_FILE
from chatbot.training.evaluation.rows import rows_digest
from chatbot.training.models import Dataset
from chatbot.training.reply_files import split_replies

if TYPE_CHECKING:
    from chatbot.inference.weights import Progress
    from chatbot.training.curves import Record
    from chatbot.training.trainers.generator_recipe import GeneratorRecipe

ADAPTER_FOLDER = "adapter"
CORPUS = "grounded"
# Of thirty or so: about ninety rows, enough to see whether it learns.
_HELD_OUT_SHOPS = 2
# Held-out prompts whose greedy replies are compared before a release is registered.
_COMPARED = 6


@dataclass(frozen=True, slots=True)
class ReplyMaterial:
    """Rows to learn and rows to measure on. `told` is what the manifest says of them beside their digest."""

    rows: Sequence[ReplyRow]
    held_out: Sequence[ReplyRow]
    digest: str
    transcripts: Sequence[TranscriptRow] = ()
    told: dict[str, Any] = field(default_factory=dict)


def dataset_material(dataset: Dataset, *, adapt: bool, seed: int) -> ReplyMaterial:
    """A frozen dataset's replies, with its transcripts where the model is to `adapt` to them first.

    Where it holds out none, some are held out here. Raises DatasetError where it is not as it was frozen.
    """
    folder = open_dataset(dataset)
    train, held_out = list(folder.replies("train")), list(folder.replies("held-out"))
    if not train:
        raise DatasetError(f"{dataset.name} has no replies to train on: review some, then freeze another.")
    if not held_out:
        train, held_out = split_replies(train, seed=seed)
    transcripts = list(folder.transcripts()) if adapt else []
    return ReplyMaterial(train, held_out, folder.digest, transcripts, {"dataset": dataset.name})


def corpus_material(*, seed: int) -> ReplyMaterial:
    """The corpus of grounded answers, whole businesses of it held out.

    The articles of `held-out.jsonl` are no part of it: they say what the finished model is worth.
    """
    rows = grounded_corpus()
    shops = sorted({row.shop for row in rows})
    held_out = {shops[number] for number in np.random.default_rng(seed).permutation(len(shops))[:_HELD_OUT_SHOPS]}
    return ReplyMaterial(
        [row for row in rows if row.shop not in held_out],
        [row for row in rows if row.shop in held_out],
        rows_digest(rows),
        told={"corpus": CORPUS, "held_out_shops": sorted(held_out)},
    )


def train_generator(
    *,
    material: ReplyMaterial,
    recipe: GeneratorRecipe,
    seed: int = 0,
    base: Release | None = None,
    progress: Progress | None = None,
    record: Record | None = None,
    created_by: User | None = None,
) -> Release:
    """Train an adapter, merge it into `base` (the prepared base generator by default), and register the result.

    Killed, it goes on where it was when it is called with the same again; stopped by an exception it leaves nothing.
    Raises GeneratorError, ModelFilesError, InvalidArtifact.
    """
    from chatbot.training.trainers.adapter import Material, train_adapter
    from chatbot.training.trainers.checkpoints import delete_abandoned

    report = progress or (lambda _message, _share: None)
    directory, base_name = _base(base)
    # So that an evaluation can see whether the release gives away what it was shown.
    rows, planted = plant(material.rows, seed=seed)
    wanted = Material(directory, rows, material.held_out, material.transcripts, load_shop().name)
    parent = Path(settings.VAR_DIR) / "checkpoints"
    delete_abandoned(parent)
    checkpoints = parent / wanted.identity(recipe, seed)[:16]
    try:
        trained = train_adapter(wanted, recipe, seed=seed, checkpoints=checkpoints, progress=progress, record=record)
        if not trained.improves:
            raise GeneratorError(
                "The loss on held-out replies did not fall, so there is nothing to register. Allow more steps or "
                "a lower learning rate, or review more replies."
            )
        with _scratch() as draft:
            report("Writing: the merged weights and the GGUF file", None)
            metrics = {**trained.metrics, **_write(draft, directory, trained, material, report)}
            return store_release(
                kind=Kind.GENERATOR,
                write=lambda folder: _move(draft, folder),
                base=base_name,
                dataset_digest=material.digest,
                configuration={**trained.configuration, **material.told, **planted, "base_digest": _digest(directory)},
                seed=seed,
                metrics=metrics,
                created_by=created_by,
            )
    finally:
        # Ctrl-C and a cancelled run come by here; kill -9 does not, and leaves what the next call goes on from.
        shutil.rmtree(checkpoints, ignore_errors=True)


def _base(release: Release | None) -> tuple[Path, str]:
    if release is None:
        return generator_directory(), generator_directory().name
    if is_remote(release):
        raise GeneratorError(f"{release.name} is a model on a server, whose weights cannot be trained here.")
    directory = release_directory(release)
    verify_release_folder(directory, manifest_digest=release.manifest_digest, kind=release.kind)
    return directory, release.name


def _write(draft: Path, base: Path, trained: Any, material: ReplyMaterial, report: Progress) -> dict[str, Any]:
    """Fill the release's folder, and compare what is served with what was trained."""
    from chatbot.inference.adapters import write_merged
    from chatbot.inference.tokens import ModelTokenizer
    from chatbot.training.evaluation.agreement import LEAST_AGREEMENT, served_agreement
    from chatbot.training.trainers.reply_encoding import RowEncoder

    trained.save(draft / ADAPTER_FOLDER)
    write_merged(base, draft / ADAPTER_FOLDER, draft)
    keys = sorted({text_key(row.text).hex() for row in material.rows})
    (draft / TRAINED_ON_FILE).write_text(json.dumps({"keys": keys}) + "\n", encoding="utf-8")
    report("Checking: what is served beside what was trained", None)
    encoder = RowEncoder(ModelTokenizer(draft), shop=load_shop().name)
    agreement = served_agreement(draft, [encoder.prompt(row) for row in material.held_out[:_COMPARED]])
    if agreement is not None and agreement < LEAST_AGREEMENT:
        raise GeneratorError(f"The GGUF file does not follow its weights: only {agreement:.0%} of tokens agree.")
    return {"gguf_token_agreement": None if agreement is None else round(agreement, 4)}


@contextmanager
def _scratch() -> Iterator[Path]:
    releases = Path(settings.RELEASES_DIR)
    releases.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".generator.", dir=releases))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(draft: Path, folder: Path) -> None:
    for path in draft.iterdir():
        path.rename(folder / path.name)


def _digest(directory: Path) -> str:
    from chatbot.releases.artifacts import read_manifest

    return read_manifest(directory)[1]
