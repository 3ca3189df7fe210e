"""Labelled texts from the files that people have: CSV from a spreadsheet, and Rasa's `nlu.yml`.

Whatever is wrong with a file becomes one ImportFailed that names the file and the line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from chatbot.exceptions import ImportFailed

# A cell longer than any message may be is a quote left open that swallowed the rest of the file.
_LONGEST_CELL = 20_000
# Rasa's marks for entities: [Berlin](city) and [Berlin]{"entity": "city"}.
_ENTITY = re.compile(r"\[([^\]]+)\](?:\([^)]*\)|\{[^}]*\})")


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text with its intent, and the line where it stands; 0 where the format does not tell."""

    text: str
    intent: str
    line: int = 0


def read_labelled_file(path: Path) -> list[LabelledText]:
    """Read a `.csv`, `.tsv`, `.yml` or `.yaml` file. Raises ImportFailed."""
    suffix = path.suffix.lower()
    if suffix in {".csv", ".tsv", ".txt"}:
        return read_labelled_csv(path)
    if suffix in {".yml", ".yaml"}:
        return read_rasa_nlu(path)
    raise ImportFailed(f"{path}: only .csv and .yml files can be read, not {suffix or 'files without an ending'}.")


def read_labelled_csv(path: Path) -> list[LabelledText]:
    """The rows of a CSV file whose header names `text` and `intent`; rows without text are left out."""
    rows = []
    for line, row in _rows(path, ("text", "intent")):
        text, intent = row["text"], row["intent"].strip()
        if text.strip() and not intent:
            raise ImportFailed(f"{path}, line {line}: the row has no intent.")
        if text.strip():
            rows.append(LabelledText(text, intent, line))
    if not rows:
        raise ImportFailed(f"{path}: the file has no rows with text.")
    return rows


def read_text_csv(path: Path) -> list[str]:
    """The `text` column of a CSV file; other columns are ignored, rows without text left out."""
    texts = [row["text"] for _, row in _rows(path, ("text",)) if row["text"].strip()]
    if not texts:
        raise ImportFailed(f"{path}: the file has no rows with text.")
    return texts


def read_rasa_nlu(path: Path) -> list[LabelledText]:
    """The intents of a Rasa 2 or 3 training file, entity marks taken off; synonyms, lookups and rules are left out."""
    try:
        content = yaml.safe_load(_read_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ImportFailed(f"{path}{where}: this is no YAML ({getattr(error, 'problem', None) or error}).") from error
    entries = content.get("nlu") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ImportFailed(f"{path}: there is no list called “nlu” in it.")
    rows = [
        LabelledText(text, str(entry["intent"])) for entry in entries if _is_intent(entry) for text in _texts(entry)
    ]
    if not rows:
        raise ImportFailed(f"{path}: there are no intents with examples in it.")
    return rows


def _is_intent(entry: Any) -> bool:
    return isinstance(entry, dict) and bool(entry.get("intent"))


def _texts(entry: dict[str, Any]) -> Iterator[str]:
    """Rasa writes examples as one block of “- …” lines, or as a list of texts or of mappings with `text`."""
    examples = entry.get("examples") or ""
    if isinstance(examples, str):
        examples = [line.strip()[1:] for line in examples.splitlines() if line.strip().startswith("-")]
    for example in examples:
        text = example.get("text", "") if isinstance(example, dict) else example
        plain = _ENTITY.sub(r"\1", str(text)).strip()
        if plain:
            yield plain


def _rows(path: Path, required: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    content = _read_text(path)
    header = content.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        for name in required:
            if name not in names:
                raise ImportFailed(
                    f"{path}: the first line must name the columns {' and '.join(required)}; "
                    f"it has {', '.join(names)[:200] or 'nothing'}."
                )
        for row in reader:
            cells = {name: row.get(name) or "" for name in required}
            if any(len(cell) > _LONGEST_CELL for cell in cells.values()):
                raise ImportFailed(f"{path}, line {reader.line_num}: a cell is too long; is a quote left open above?")
            yield reader.line_num, cells
    except csv.Error as error:
        raise ImportFailed(f"{path}, line {reader.line_num}: {error}.") from error


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImportFailed(f"{path}: {error.strerror or error}.") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ImportFailed(f"{path}: the file is UTF-16. Save it as UTF-8.")
    try:
        # utf-8-sig: spreadsheets write a byte-order mark, which would become part of the first column's name.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ImportFailed(f"{path}, line {line}: the file is not UTF-8. Save it as UTF-8.") from error
    if "\0" in text:
        raise ImportFailed(f"{path}: the file has NUL characters and is no text.")
    return text
