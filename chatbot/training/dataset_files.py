"""A frozen dataset on disk: written whole or not at all, and checked byte by byte before anything in it is used.

    dataset-0001/
      manifest.json           written last: rows, size and sha256 of every file, digest, counts, lineage
      intents.train.jsonl     intents.held-out.jsonl      IntentRow
      replies.train.jsonl     replies.held-out.jsonl      ReplyRow
      transcripts.train.jsonl                             TranscriptRow

Every file is always there; it may be empty. The digest is of what the files hold and of nothing else, so freezing the
same state twice gives the same digest. Those who train and evaluate use `open_dataset` and what it gives.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from django.conf import settings

from chatbot.exceptions import DatasetError
from chatbot.training.dataset_rows import IntentRow, ReplyRow, Row, TranscriptRow, read_row
from chatbot.training.models import Dataset

Part = Literal["train", "held-out"]

MANIFEST = "manifest.json"
FORMAT = 1
ROW_KINDS: Mapping[str, type[IntentRow] | type[ReplyRow] | type[TranscriptRow]] = {
    "intents.train.jsonl": IntentRow,
    "intents.held-out.jsonl": IntentRow,
    "replies.train.jsonl": ReplyRow,
    "replies.held-out.jsonl": ReplyRow,
    "transcripts.train.jsonl": TranscriptRow,
}


@dataclass(frozen=True, slots=True)
class DatasetFolder:
    """A dataset whose files are as they were frozen. Made by `open_dataset`."""

    name: str
    directory: Path
    digest: str
    manifest: dict[str, Any]

    def intents(self, part: Part) -> Iterator[IntentRow]:
        """What the classifier trains on, or is measured on."""
        return self._rows(IntentRow, f"intents.{part}.jsonl")

    def replies(self, part: Part) -> Iterator[ReplyRow]:
        """What the generator trains on, or is measured on."""
        return self._rows(ReplyRow, f"replies.{part}.jsonl")

    def transcripts(self) -> Iterator[TranscriptRow]:
        """What the generator may be adapted on beforehand; no held-out conversation is among them."""
        return self._rows(TranscriptRow, "transcripts.train.jsonl")

    def count(self, file: str) -> int:
        """Rows of one of the files."""
        return int(self.manifest["files"][file]["rows"])

    def _rows(self, kind: type[Row], file: str) -> Iterator[Row]:
        with (self.directory / file).open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield read_row(kind, line)
                except DatasetError as error:
                    raise DatasetError(f"{self.directory / file}, line {number}: {error}") from error


def dataset_directory(dataset: Dataset) -> Path:
    """Where the dataset's files lie. Raises DatasetError where that is outside the folder for datasets."""
    directory = (Path(settings.VAR_DIR) / dataset.path).resolve()
    if not directory.is_relative_to(Path(settings.DATASETS_DIR).resolve()):
        raise DatasetError(f"{dataset.name} lies outside {settings.DATASETS_DIR}.")
    return directory


def open_dataset(dataset: Dataset) -> DatasetFolder:
    """The dataset, once every byte of it is known to be as registered.

    Raises DatasetError in one sentence, which names the first file that is missing, changed or unknown.
    """
    directory = dataset_directory(dataset)
    folder = read_folder(directory)
    if folder.digest != dataset.digest:
        raise DatasetError(f"{directory} is not the dataset that was registered: its digest differs.")
    return folder


def read_folder(directory: Path) -> DatasetFolder:
    """What `open_dataset` gives, for a folder that matches its own manifest. Raises DatasetError."""
    manifest = _read_manifest(directory)
    files = manifest["files"]
    present = {path.name for path in directory.iterdir()} - {MANIFEST}
    if odd := sorted(present ^ set(ROW_KINDS)):
        state = "missing" if odd[0] in ROW_KINDS else "not part of a dataset"
        raise DatasetError(f"{directory / odd[0]} is {state}.")
    for file in ROW_KINDS:
        path = directory / file
        if path.is_symlink() or not path.is_file():
            raise DatasetError(f"{path} is not a plain file.")
        if describe_file(path) != files[file]:
            raise DatasetError(f"{path} is damaged: it is not what the manifest describes.")
    if manifest["digest"] != digest_of(files):
        raise DatasetError(f"{directory / MANIFEST} is damaged: its digest is not that of its files.")
    return DatasetFolder(directory.name, directory, manifest["digest"], manifest)


@contextmanager
def new_dataset_folder(target: Path) -> Iterator[Path]:
    """An empty folder for `write_rows` and `write_manifest`; becomes `target` when the block succeeds.

    Raises FileExistsError where `target` exists.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield draft
        # Renaming onto an empty folder would succeed.
        if target.exists():
            raise FileExistsError(str(target))
        os.rename(draft, target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_rows(directory: Path, file: str, rows: Iterable[IntentRow | ReplyRow | TranscriptRow]) -> None:
    """Write one of the files."""
    with (directory / file).open("w", encoding="utf-8", newline="\n") as stream:
        for row in rows:
            stream.write(row.model_dump_json(exclude_defaults=True) + "\n")
        _sync(stream)


def write_manifest(directory: Path, details: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest, which tells of all files in the folder and of `details`. Returns it."""
    files = {file: describe_file(directory / file) for file in ROW_KINDS}
    manifest = {"format": FORMAT, **details, "digest": digest_of(files), "files": files}
    store_manifest(directory, manifest)
    return manifest


def store_manifest(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest as it is."""
    with (directory / MANIFEST).open("w", encoding="utf-8") as stream:
        json.dump(manifest, stream, ensure_ascii=False, indent=1)
        stream.write("\n")
        _sync(stream)


def digest_of(files: Mapping[str, Mapping[str, Any]]) -> str:
    """SHA-256 of the files' own, by name."""
    content = json.dumps([[file, files[file]["sha256"]] for file in sorted(files)])
    return hashlib.sha256(content.encode()).hexdigest()


def describe_file(path: Path) -> dict[str, Any]:
    """`rows`, `size` in bytes, and `sha256`."""
    digest, rows, size = hashlib.sha256(), 0, 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            rows += block.count(b"\n")
            size += len(block)
    return {"rows": rows, "size": size, "sha256": digest.hexdigest()}


def sync_folder(folder: Path) -> None:
    """Once this returns, a power cut does not undo a rename in the folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_manifest(directory: Path) -> dict[str, Any]:
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        if not isinstance(manifest["digest"], str) or set(manifest["files"]) != set(ROW_KINDS):
            raise ValueError("it does not tell of every file")
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is not a readable manifest: {error}.") from error
    return dict(manifest)


def _sync(stream: Any) -> None:
    stream.flush()
    os.fsync(stream.fileno())
