"""Taking a person's rows out of the datasets: of every folder, registered or not.

A dataset's files are replaced one by one, after the database knows the digest that they are to have. Killed in between,
the dataset is refused as damaged until it is done again: what the files then hold has that digest, and the manifest
follows. Of files that were damaged beforehand the rows go too, and they stay refused.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from chatbot.exceptions import DatasetError
from chatbot.training.dataset_files import (
    MANIFEST,
    ROW_KINDS,
    DatasetFolder,
    dataset_directory,
    describe_file,
    digest_of,
    read_folder,
    store_manifest,
    sync_folder,
)
from chatbot.training.dataset_report import rows_by_intent
from chatbot.training.models import Dataset, Erasure


@dataclass(frozen=True, slots=True)
class Origins:
    """What rows to take out came from: conversations, and examples of the catalogue."""

    conversations: frozenset[str]
    examples: frozenset[int]

    def gave(self, line: bytes) -> str | None:
        """The id of the row if it is one of theirs, else None. A line that is no row counts if it names them."""
        try:
            row = json.loads(line)
            origin = row.get("origin", {})
            is_theirs = origin.get("conversation") in self.conversations or origin.get("example") in self.examples
            return str(row["id"]) if is_theirs else None
        except (ValueError, KeyError, TypeError, AttributeError):
            return "" if self.named_in(line) else None

    def named_in(self, content: bytes) -> bool:
        """Whether any of the conversations is named."""
        return any(conversation.encode() in content for conversation in self.conversations)


def count_rows(origins: Origins) -> dict[str, int]:
    """How many rows each dataset has of theirs, by name; those without any are left out."""
    counts: dict[str, int] = {}
    for dataset in Dataset.objects.order_by("id"):
        if found := count_in(dataset_directory(dataset), origins):
            counts[dataset.name] = found
    return counts


def conversations_in_datasets() -> set[str]:
    """The ids of all conversations that rows of registered datasets come from."""
    found: set[str] = set()
    for dataset in Dataset.objects.order_by("id"):
        directory = dataset_directory(dataset)
        for path in (directory / file for file in ROW_KINDS):
            for line in _lines(path) if path.is_file() else ():
                try:
                    found.add(json.loads(line)["origin"]["conversation"])
                except (ValueError, KeyError, TypeError):
                    continue  # a row of the catalogue, or none
    return found


def count_in(directory: Path, origins: Origins) -> int:
    """How many rows of theirs a dataset's folder has."""
    files = [directory / file for file in ROW_KINDS if (directory / file).is_file()]
    return sum(origins.gave(line) is not None for path in files for line in _lines(path))


def erase_rows(*, origins: Origins, erasure: Erasure) -> None:
    """Take their rows out, and note in the receipt from which datasets. The caller holds the `dataset_lock`."""
    registered = set()
    for dataset in Dataset.objects.order_by("id"):
        directory = dataset_directory(dataset)
        registered.add(directory)
        if directory.is_dir():
            _erase_from(dataset, directory, origins, erasure)
    for path in Path(settings.DATASETS_DIR).iterdir():
        # A killed freeze left it, or somebody copied it here: nobody can train on it.
        if path.resolve() not in registered and _holds_theirs(path, origins):
            _delete(path)


def _erase_from(dataset: Dataset, directory: Path, origins: Origins, erasure: Erasure) -> None:
    for path in directory.iterdir():
        if path.name not in ROW_KINDS and path.name != MANIFEST and _holds_theirs(path, origins):
            _delete(path)
    if not count_in(directory, origins) and _is_intact(directory, dataset):
        return
    # By a name that the lock clears away should this be killed.
    draft = directory.with_name(f".{directory.name}.erasing")
    draft.mkdir()
    try:
        removed = _write_rest(directory, draft, origins)
        files = {path.name: describe_file(path) for path in draft.iterdir()}
        is_whole = set(files) == set(ROW_KINDS)
        if removed and not (is_whole and digest_of(files) == dataset.digest):
            is_whole = is_whole and _is_intact(directory, dataset)
            _note(dataset, DatasetFolder(dataset.name, draft, "", {}) if is_whole else None, files, removed, erasure)
        if removed:
            for file in files:
                os.replace(draft / file, directory / file)
        if is_whole and digest_of(files) == dataset.digest:
            store_manifest(draft, dataset.manifest)
            os.replace(draft / MANIFEST, directory / MANIFEST)
        sync_folder(directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_rest(directory: Path, draft: Path, origins: Origins) -> set[str]:
    """Copy all rows but theirs. Returns the ids of the rows that are left out."""
    removed: set[str] = set()
    for file in ROW_KINDS:
        if not (directory / file).is_file():
            continue
        with (draft / file).open("wb") as rest:
            for line in _lines(directory / file):
                row_id = origins.gave(line)
                if row_id is None:
                    rest.write(line)
                else:
                    removed.add(f"{file} {row_id}")
            rest.flush()
            os.fsync(rest.fileno())
    return removed


@transaction.atomic
def _note(
    dataset: Dataset, rest: DatasetFolder | None, files: dict[str, Any], removed: set[str], erasure: Erasure
) -> None:
    """Keep what becomes of the dataset and, in the same transaction, that it did. `rest` is None if it is damaged."""
    now = timezone.now()
    if rest is not None:
        dataset.former_digests = [*dataset.former_digests, dataset.digest]
        dataset.manifest = _manifest_of(dataset.manifest, rest, files, removed, now.isoformat())
        dataset.digest = dataset.manifest["digest"]
    dataset.erased_rows += len(removed)
    dataset.erased_at = now
    dataset.save(update_fields=["former_digests", "manifest", "digest", "erased_rows", "erased_at"])
    erasure.counts = {**erasure.counts, "dataset rows": erasure.counts.get("dataset rows", 0) + len(removed)}
    erasure.datasets = sorted({*erasure.datasets, dataset.name})
    erasure.save(update_fields=["counts", "datasets"])


def _manifest_of(
    manifest: dict[str, Any], rest: DatasetFolder, files: dict[str, Any], removed: set[str], now: str
) -> dict[str, Any]:
    """The manifest for the rows that are left. What was left out and redacted when it was frozen stays as it was."""
    row_ids = {each.partition(" ")[2] for each in removed}
    counts = dict(manifest["counts"])
    for name in ("intents", "replies"):
        train, held_out = (files[f"{name}.{part}.jsonl"]["rows"] for part in ("train", "held-out"))
        counts[name] = {"train": train, "held_out": held_out}
    counts["transcripts"] = {"train": files["transcripts.train.jsonl"]["rows"]}
    return {
        **manifest,
        "counts": counts,
        "per_intent": rows_by_intent(
            list(rest.intents("train")),
            list(rest.intents("held-out")),
            list(rest.replies("train")),
            list(rest.replies("held-out")),
        ),
        "overruled": [pair for pair in manifest.get("overruled", []) if row_ids.isdisjoint(pair)],
        "erasures": [*manifest.get("erasures", []), {"at": now, "rows": len(removed)}],
        "digest": digest_of(files),
        "files": files,
    }


def _is_intact(directory: Path, dataset: Dataset) -> bool:
    try:
        return read_folder(directory).digest == dataset.digest
    except DatasetError:
        return False


def _holds_theirs(path: Path, origins: Origins) -> bool:
    files: Iterable[Path] = path.rglob("*") if path.is_dir() else [path]
    return any(
        origins.gave(line) is not None or origins.named_in(line)
        for file in files
        if file.is_file()
        for line in _lines(file)
    )


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as lines:
        yield from lines
