"""Freezing: what reviewers judged and the catalogue holds becomes a dataset, redacted before anything is written."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from chatbot import __version__
from chatbot.conversations.reviews import batched
from chatbot.exceptions import DatasetError
from chatbot.inference.weights import Progress
from chatbot.intents.shop import load_shop
from chatbot.training.curation import reading
from chatbot.training.curation.left_out import LeftOut
from chatbot.training.curation.options import CurationOptions
from chatbot.training.curation.rows import ConversationRows, conversation_rows, example_rows
from chatbot.training.curation.selection import Selection, select
from chatbot.training.dataset_files import new_dataset_folder, write_manifest, write_rows
from chatbot.training.dataset_lock import dataset_lock
from chatbot.training.dataset_report import dataset_report
from chatbot.training.datasets import examples_digest
from chatbot.training.models import Dataset, TrainingRun

logger = logging.getLogger(__name__)

# How often what was read is read anew because somebody withdrew a conversation meanwhile.
MOST_TRIES = 3
WITHDRAWN = (
    "Conversations were erased or withdrawn again and again while the dataset was being frozen. Try again later."
)
NOTHING = (
    "There is nothing to freeze: the catalogue has no examples, and nobody has reviewed a conversation whose customer "
    "agreed to training."
)


@dataclass(frozen=True, slots=True)
class Curated:
    """What a dataset would consist of, and what is to be said about it."""

    selection: Selection
    conversations: frozenset[UUID]
    report: dict[str, Any]
    lineage: dict[str, Any]


def preview_dataset(*, options: CurationOptions, progress: Progress | None = None) -> dict[str, Any]:
    """What `freeze_dataset` would keep and leave out, and why (`dataset_report`). Writes nothing.

    Raises DatasetError where nothing is left to freeze.
    """
    return _curate(options, progress or _silent).report


def freeze_dataset(
    *,
    options: CurationOptions | None = None,
    note: str = "",
    created_by: User | None = None,
    run: TrainingRun | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Freeze the present state under the next free name. `run` is the training run that asked for it.

    A conversation that is erased, excluded or withdrawn while this goes on is not in it.

    Raises DatasetError where nothing is left to freeze, and whatever `progress` raises; nothing is kept then.
    """
    options, report = options or CurationOptions(), progress or _silent
    with dataset_lock():
        for _ in range(MOST_TRIES):
            curated = _curate(options, report)
            dataset = _keep(curated, {"note": note.strip(), "created_by": created_by, "run": run}, report)
            if dataset is not None:
                return dataset
        raise DatasetError(WITHDRAWN)


def _curate(options: CurationOptions, report: Progress) -> Curated:
    report("Reading the catalogue", None)
    redactor, shop = reading.shop_redactor(), load_shop().name
    catalogue = reading.catalogue_examples()
    examples = example_rows(catalogue, redactor)
    ids = list(reading.usable_conversations().order_by("created_at", "id").values_list("id", flat=True))
    read: list[ConversationRows] = []
    for conversation in reading.read_conversations(ids):
        read.append(conversation_rows(conversation, redactor, shop))
        if len(read) % reading.CHUNK == 0:
            report(f"Redacting: {len(read)} of {len(ids)} conversations", 0.8 * len(read) / len(ids))
    report("Taking out repeats", 0.8)
    selection = select(examples, read, options)
    unreviewed = reading.unreviewed_turns(reading.usable_conversations())
    for file in ("intents", "replies"):
        selection.left_out[file][LeftOut.NOT_REVIEWED] += unreviewed
    selection.left_out["conversations"].update(reading.unusable_conversations())
    if not selection.train_intents and not selection.train_replies and not selection.transcripts:
        raise DatasetError(NOTHING)
    of_intents = [(each.text, each.intent) for each in catalogue if each.intent]
    out_of_scope = [each.text for each in catalogue if not each.intent]
    redacted: Counter[str] = sum((each.redacted for each in read), Counter())
    return Curated(
        selection,
        frozenset(UUID(each.id) for each in read),
        dataset_report(selection, looked_at=len(read), redacted=redacted),
        {
            "catalogue_digest": examples_digest(of_intents, out_of_scope),
            "examples": len(catalogue),
            "conversations": len(read),
            "reviewed_conversations": sum(each.is_judged for each in read),
            "options": options.stored(),
            "seed": options.seed,
            "split_rule": selection.split_rule,
            "code_version": __version__,
            "rules_digest": _rules_digest(),
        },
    )


def _keep(curated: Curated, fields: Mapping[str, Any], report: Progress) -> Dataset | None:
    """Write and register it; None where a conversation is no longer to be used, and then nothing is kept."""
    report("Writing the files", 0.95)
    name = _next_name()
    directory = Path(settings.DATASETS_DIR) / name
    with new_dataset_folder(directory) as draft:
        manifest = _write(draft, name, curated)
    try:
        with transaction.atomic():
            if _all_usable(curated.conversations):
                return Dataset.objects.create(
                    name=name,
                    path=directory.resolve().relative_to(Path(settings.VAR_DIR).resolve()).as_posix(),
                    digest=manifest["digest"],
                    manifest=manifest,
                    **fields,
                )
    except BaseException:
        shutil.rmtree(directory)
        raise
    logger.info("conversations were withdrawn while %s was being frozen; it is begun anew", name)
    shutil.rmtree(directory)
    return None


def _write(draft: Path, name: str, curated: Curated) -> dict[str, Any]:
    selection = curated.selection
    write_rows(draft, "intents.train.jsonl", selection.train_intents)
    write_rows(draft, "intents.held-out.jsonl", selection.held_out_intents)
    write_rows(draft, "replies.train.jsonl", selection.train_replies)
    write_rows(draft, "replies.held-out.jsonl", selection.held_out_replies)
    write_rows(draft, "transcripts.train.jsonl", selection.transcripts)
    details = {"name": name, "created_at": timezone.now().isoformat(), **curated.report}
    return write_manifest(draft, {**details, "lineage": curated.lineage, "erasures": []})


def _all_usable(conversations: Collection[UUID]) -> bool:
    """Whether all may still be used. They stay locked: who erases one waits until the dataset can be found."""
    usable: set[UUID] = set()
    for ids in batched(conversations):
        usable.update(
            reading.usable_conversations().filter(pk__in=ids).select_for_update().values_list("pk", flat=True)
        )
    return usable == set(conversations)


def _next_name() -> str:
    """The next free name, such as dataset-0003: no dataset and no folder has it."""
    names = list(Dataset.objects.values_list("name", flat=True))
    names += [path.name for path in Path(settings.DATASETS_DIR).iterdir()]
    numbers = [int(match[1]) for name in names if (match := re.fullmatch(r"dataset-(\d+)", name))]
    return f"dataset-{max(numbers, default=0) + 1:04d}"


@lru_cache(maxsize=1)
def _rules_digest() -> str:
    """SHA-256 of the code that decides what is in a dataset: with other code the same state may give other rows."""
    digest = hashlib.sha256()
    for package in ("curation", "redaction"):
        for path in sorted((Path(__file__).parent / package).glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _silent(_message: str, _share: float | None) -> None:
    """Nobody watches."""
