"""A dataset's files: whole or not there, and refused where a single byte is not as it was frozen."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from django.conf import LazySettings

from chatbot.exceptions import DatasetError
from chatbot.inference.prompt import GroundingPassage, Utterance
from chatbot.training.dataset_files import (
    MANIFEST,
    ROW_KINDS,
    new_dataset_folder,
    open_dataset,
    write_manifest,
    write_rows,
)
from chatbot.training.dataset_rows import IntentRow, Origin, ReplyRow, TranscriptRow
from chatbot.training.models import Dataset

INTENT = IntentRow(id="example-4", text="wo ist mein Paket\u2028?", intent="order_status", origin=Origin(example=4))
REPLY = ReplyRow(
    id="turn-7",
    text="退款?",
    reply="Yes.",
    passages=(GroundingPassage("Refunds", "Yes."),),
    history=(Utterance("user", "hi"),),
    origin=Origin(conversation="c", turn="7"),
)
TRANSCRIPT = TranscriptRow(id="conversation-c", messages=(Utterance("user", "hi"), Utterance("assistant", "Hello!")))
ROWS: dict[str, list[IntentRow | ReplyRow | TranscriptRow]] = {
    "intents.train.jsonl": [INTENT],
    "intents.held-out.jsonl": [],
    "replies.train.jsonl": [REPLY],
    "replies.held-out.jsonl": [],
    "transcripts.train.jsonl": [TRANSCRIPT],
}


@pytest.fixture
def dataset(tmp_path: Path, settings: LazySettings) -> Dataset:
    settings.VAR_DIR, settings.DATASETS_DIR = tmp_path, tmp_path / "datasets"
    return frozen(tmp_path / "datasets" / "dataset-0001")


def frozen(folder: Path) -> Dataset:
    with new_dataset_folder(folder) as draft:
        for file, rows in ROWS.items():
            write_rows(draft, file, rows)
        manifest = write_manifest(draft, {"seed": 4})
    return Dataset(name=folder.name, path=f"datasets/{folder.name}", digest=manifest["digest"], manifest=manifest)


def test_rows_come_back_as_they_were_written(dataset: Dataset) -> None:
    opened = open_dataset(dataset)
    assert list(opened.intents("train")) == [INTENT]
    assert list(opened.intents("held-out")) == []
    assert list(opened.replies("train")) == [REPLY]
    assert list(opened.transcripts()) == [TRANSCRIPT]
    assert opened.count("replies.train.jsonl") == 1
    assert opened.manifest["seed"] == 4


def test_the_digest_is_of_the_contents_alone(dataset: Dataset, tmp_path: Path) -> None:
    again = frozen(tmp_path / "datasets" / "dataset-0002")
    assert again.digest == dataset.digest
    with new_dataset_folder(tmp_path / "datasets" / "dataset-0003") as draft:
        for file, rows in ROWS.items():
            write_rows(draft, file, [] if file == "replies.train.jsonl" else rows)
        assert write_manifest(draft, {"seed": 4})["digest"] != dataset.digest


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_dataset_folder(tmp_path / "dataset-0001") as draft:
            write_rows(draft, "intents.train.jsonl", [INTENT])
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_is_never_replaced(dataset: Dataset) -> None:
    with pytest.raises(FileExistsError):
        frozen(Path(open_dataset(dataset).directory))
    assert open_dataset(dataset)


@pytest.mark.parametrize("file", [*ROW_KINDS, MANIFEST])
def test_a_missing_file_is_named(dataset: Dataset, tmp_path: Path, file: str) -> None:
    (tmp_path / "datasets/dataset-0001" / file).unlink()
    with pytest.raises(DatasetError, match=f"{file} is missing"):
        open_dataset(dataset)


@pytest.mark.parametrize("position", [0, 20, -2])
def test_a_changed_byte_is_found(dataset: Dataset, tmp_path: Path, position: int) -> None:
    path = tmp_path / "datasets/dataset-0001/replies.train.jsonl"
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"replies.train.jsonl is damaged"):
        open_dataset(dataset)


def test_an_unknown_file_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "datasets/dataset-0001/weights.pkl").write_bytes(b"\x80\x04")
    with pytest.raises(DatasetError, match=r"weights.pkl is not part of a dataset"):
        open_dataset(dataset)


def test_a_link_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "datasets/dataset-0001/intents.train.jsonl"
    path.rename(tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path)
    with pytest.raises(DatasetError, match="not a plain file"):
        open_dataset(dataset)


def test_files_and_manifest_exchanged_together_are_not_what_was_registered(dataset: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "datasets/dataset-0001"
    write_rows(folder, "intents.train.jsonl", [])
    write_manifest(folder, {})
    with pytest.raises(DatasetError, match="digest differs"):
        open_dataset(dataset)


@pytest.mark.parametrize("content", ["[", "[]", "{}", json.dumps({"digest": "d", "files": {}}), '{"digest": 1}'])
def test_a_manifest_that_is_none_is_one_sentence(dataset: Dataset, tmp_path: Path, content: str) -> None:
    (tmp_path / "datasets/dataset-0001" / MANIFEST).write_text(content)
    with pytest.raises(DatasetError, match="not a readable manifest"):
        open_dataset(dataset)


def test_a_dataset_lies_below_its_folder(dataset: Dataset) -> None:
    dataset.path = "datasets/../../elsewhere"
    with pytest.raises(DatasetError, match="outside"):
        open_dataset(dataset)
