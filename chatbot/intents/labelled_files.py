"""Labelled texts from the files that people have: CSV from a spreadsheet, and Rasa's `nlu.yml`.

Whatever is wrong with a file becomes one ImportFailed that names the file and the lines; whatever is left out of a file
that can be read stands in the result.
"""

from __future__ import annotations

from pathlib import Path

from chatbot.exceptions import ImportFailed
from chatbot.intents.labelled_texts import LabelledFile, LabelledText, Skipped
from chatbot.intents.rasa import read_rasa_nlu
from chatbot.intents.tables import OVERFULL, Table
from chatbot.intents.wording import RowProblems

__all__ = [
    "NO_TEXT",
    "LabelledFile",
    "LabelledText",
    "Skipped",
    "read_labelled_csv",
    "read_labelled_file",
    "read_rasa_nlu",
    "read_table",
    "read_text_csv",
]

NO_TEXT = "no text"
# A cell longer than any message may be is a quote left open that swallowed the rows below.
_LONGEST_CELL = 20_000


def read_labelled_file(
    path: Path, *, text_column: str = "text", intent_column: str = "intent", encoding: str | None = None
) -> LabelledFile:
    """Read a `.csv`, `.tsv`, `.txt`, `.yml` or `.yaml` file; the columns are those of a table. Raises ImportFailed."""
    suffix = path.suffix.lower()
    if suffix in {".csv", ".tsv", ".txt"}:
        return read_table(path, text_column=text_column, intent_column=intent_column, encoding=encoding)
    if suffix in {".yml", ".yaml"}:
        return read_rasa_nlu(path, encoding)
    raise ImportFailed(f"{path}: only .csv and .yml files can be read, not {suffix or 'files without an ending'}.")


def read_table(
    path: Path, *, text_column: str = "text", intent_column: str | None = "intent", encoding: str | None = None
) -> LabelledFile:
    """The rows of a CSV file whose first line names the columns; without an intent column, its texts alone.

    Rows without text are skipped. Raises ImportFailed where any row with text has no intent or more cells than there
    are columns, and where there is no row with text.
    """
    table = Table(path, encoding)
    text_index = table.column(text_column)
    intent_index = table.column(intent_column) if intent_column else None
    rows, skipped, problems = [], [], RowProblems(str(path))
    for row in table.rows():
        text, intent = row.cells[text_index], "" if intent_index is None else row.cells[intent_index].strip()
        if row.overfull:
            problems.add(row.line, OVERFULL)
        elif max(len(text), len(intent)) > _LONGEST_CELL:
            problems.add(row.line, f"a cell of more than {_LONGEST_CELL:,} characters; is a quote left open")
        elif not text.strip():
            skipped.append(Skipped(row.line, NO_TEXT, intent))
        elif intent_index is not None and not intent:
            problems.add(row.line, "no intent")
        else:
            rows.append(LabelledText(text, intent, row.line))
    problems.raise_if_any()
    if not rows:
        raise ImportFailed(f"{path}: the file has no rows with text{'' if skipped else ' after its first line'}.")
    read = {text_index, intent_index}
    unread = tuple(name for index, name in enumerate(table.columns) if index not in read and name.strip())
    return LabelledFile(tuple(rows), tuple(skipped), unread)


def read_labelled_csv(path: Path) -> list[LabelledText]:
    """The rows of a CSV file with the columns `text` and `intent`, without those that `read_table` skips."""
    return list(read_table(path).rows)


def read_text_csv(path: Path) -> list[str]:
    """The `text` column of a CSV file, without the rows that `read_table` skips."""
    return [row.text for row in read_table(path, intent_column=None).rows]
