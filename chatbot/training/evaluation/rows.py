"""The rows that releases are judged on: read, cleared of repeats and of what a release was trained on.

They come out of a frozen dataset's held-out part or out of a file; either way both releases get the same ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from chatbot.exceptions import DatasetError, ImportFailed
from chatbot.inference.normalisation import normalise, text_key
from chatbot.intents.labels import intent_slug, is_out_of_scope
from chatbot.intents.text_files import text_lines
from chatbot.training.dataset_rows import IntentRow, ReplyRow, read_row
from chatbot.training.files import read_examples
from chatbot.training.reply_files import read_replies

RowT = TypeVar("RowT", IntentRow, ReplyRow)
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class HeldOutRows(Generic[RowT]):
    """Rows to judge on. `source` says where they come from; the counts say what was left out of it, and why."""

    source: str
    rows: tuple[RowT, ...]
    digest: str = ""
    repeats: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    left: int = 0

    def __post_init__(self) -> None:
        if not self.digest:
            object.__setattr__(self, "digest", rows_digest(self.rows))

    @property
    def groups(self) -> list[str]:
        """Each row's conversation, or itself where it has none."""
        return [row.origin.conversation or f"row {number}" for number, row in enumerate(self.rows)]

    def without(self, keys: Collection[bytes], who: str) -> HeldOutRows[RowT]:
        """Those rows whose text is not among what `who` was trained on, told by `text_key`."""
        kept = tuple(row for row in self.rows if text_key(row.text) not in keys)
        return replace(self, rows=kept, seen={**self.seen, who: len(self.rows) - len(kept)})

    def at_most(self, count: int) -> HeldOutRows[RowT]:
        """So many of them, spread evenly over all, where there are more; `left` says how many that leaves out."""
        if len(self.rows) <= count:
            return self
        step = len(self.rows) / count
        kept = tuple(self.rows[int(number * step)] for number in range(count))
        return replace(self, rows=kept, left=len(self.rows) - count)


def held_out_rows(source: str, rows: Iterable[RowT]) -> HeldOutRows[RowT]:
    """Rows of a source, each text once: a repeat would count twice and be drawn as if it were news."""
    given = tuple(rows)
    kept: dict[tuple[str, str], RowT] = {}
    for row in given:
        label = row.intent if isinstance(row, IntentRow) else row.reply
        kept.setdefault((normalise(row.text), label), row)
    return HeldOutRows(source, tuple(kept.values()), rows_digest(given), repeats=len(given) - len(kept))


def rows_digest(rows: Sequence[IntentRow] | Sequence[ReplyRow]) -> str:
    """SHA-256 of the rows' contents in their order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row.model_dump(mode="json"), ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def read_intent_rows(path: Path, note: Note) -> HeldOutRows[IntentRow]:
    """Rows of a `.jsonl` file of IntentRow, or of a CSV file with the columns text and intent.

    Labels that mean out of scope become an empty intent. Raises ImportFailed, DatasetError.
    """
    if path.suffix.lower() == ".jsonl":
        return held_out_rows(path.name, _read_lines(path))
    examples = read_examples(path, note)
    rows = [
        IntentRow(id=f"line-{number}", text=text, intent="" if is_out_of_scope(label) else _known_slug(label))
        for number, (text, label) in enumerate(examples, start=1)
    ]
    return held_out_rows(path.name, rows)


def read_reply_rows(path: Path) -> HeldOutRows[ReplyRow]:
    """Rows of a file as `train_generator` takes it (`reply_files`). Raises ImportFailed, DatasetError."""
    return held_out_rows(path.name, read_replies(path))


def _known_slug(label: str) -> str:
    """As the catalogue would call it; labels that have no slug stay as they are."""
    return intent_slug(label) or label


def _read_lines(path: Path) -> list[IntentRow]:
    rows = []
    for number, line in enumerate(text_lines(path), start=1):
        try:
            rows.append(read_row(IntentRow, line))
        except DatasetError as error:
            raise DatasetError(f"{path}, line {number}: {error}") from error
    if not rows:
        raise ImportFailed(f"{path}: the file has no rows.")
    return rows
