"""Labelled texts from CSV files, with errors that name the file and the line."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

from chatbot.exceptions import ClassifierError

# A cell longer than a message may be is a broken quote that swallowed the rest of the file.
_LONGEST_CELL = 20_000


def read_labelled_csv(path: Path) -> list[tuple[str, str]]:
    """(text, intent) of each row. The header must name `text` and `intent`. Raises ClassifierError."""
    rows, columns = _read(path)
    for name in ("text", "intent"):
        if name not in columns:
            raise ClassifierError(f"{path}: the header must name the columns text and intent; it has {', '.join(columns)}.")
    pairs = []
    for number, row in rows:
        text, intent = row.get("text") or "", (row.get("intent") or "").strip()
        if text.strip() and not intent:
            raise ClassifierError(f"{path}, line {number}: the row has no intent.")
        if text.strip():
            pairs.append((text, intent))
    if not pairs:
        raise ClassifierError(f"{path}: the file has no rows with text.")
    return pairs


def read_text_csv(path: Path) -> list[str]:
    """The `text` column; other columns are ignored. Raises ClassifierError."""
    rows, columns = _read(path)
    if "text" not in columns:
        raise ClassifierError(f"{path}: the header must name the column text; it has {', '.join(columns)}.")
    texts = [row["text"] for _, row in rows if (row.get("text") or "").strip()]
    if not texts:
        raise ClassifierError(f"{path}: the file has no rows with text.")
    return texts


def examples_digest(examples: Sequence[tuple[str, str]], out_of_scope: Sequence[str]) -> str:
    """SHA-256 of what a classifier is trained on; the order does not matter."""
    content = json.dumps([sorted(examples), sorted(out_of_scope)], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    try:
        # utf-8-sig: spreadsheets write a byte-order mark, which would become part of the first column's name.
        content = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ClassifierError(f"{path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise ClassifierError(f"{path}: the file is not UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    if "\0" in content:
        raise ClassifierError(f"{path}: the file has NUL characters and is no CSV text.")
    header = content.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else "\t" if "\t" in header and "," not in header else ","
    reader = csv.DictReader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        columns = [name.strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        for row in reader:
            if any(len(cell or "") > _LONGEST_CELL for name, cell in row.items() if name):
                raise ClassifierError(f"{path}, line {reader.line_num}: a cell is too long; is a quote left open above?")
            rows.append((reader.line_num, {name: cell or "" for name, cell in row.items() if name}))
    except csv.Error as error:
        raise ClassifierError(f"{path}, line {reader.line_num}: {error}.") from error
    if not columns:
        raise ClassifierError(f"{path}: the file is empty.")
    return rows, columns
