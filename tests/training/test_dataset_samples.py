"""What people are shown of a dataset."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatbot.training.dataset_files import ROW_KINDS, DatasetFolder, read_folder, write_manifest, write_rows
from chatbot.training.dataset_rows import IntentRow
from chatbot.training.dataset_samples import sample_rows

FILE = "intents.train.jsonl"


def folder(directory: Path, texts: list[str]) -> DatasetFolder:
    for file in ROW_KINDS:
        rows = [IntentRow(id=str(number), text=text, intent="x") for number, text in enumerate(texts)]
        write_rows(directory, file, rows if file == FILE else [])
    write_manifest(directory, {})
    return read_folder(directory)


@pytest.mark.parametrize("rows", [0, 1, 3, 6])
def test_of_few_rows_all_are_shown_once(tmp_path: Path, rows: int) -> None:
    shown = sample_rows(folder(tmp_path, [f"text {number}" for number in range(rows)]), FILE, 6)
    assert [row.id for row in shown] == [str(number) for number in range(rows)]


def test_of_many_rows_half_have_placeholders_and_the_rest_reach_to_the_end(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(100)]
    for place in (40, 50, 60, 70):
        texts[place] = "write to [email 2]"
    shown = [int(row.id) for row in sample_rows(folder(tmp_path, texts), FILE, 6)]
    assert {40, 50, 60, 99} <= set(shown)
    assert len(shown) == 6
    assert shown == sorted(shown)
