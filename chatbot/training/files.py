"""Rows to train on or to measure on out of CSV files, with a word on everything that is odd about them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from chatbot.inference.normalisation import normalise
from chatbot.intents.labelled_files import read_table
from chatbot.intents.labelled_texts import LabelledFile
from chatbot.intents.wording import counted, lines_named, listed, quoted

# More conflicts than these are counted, not listed.
_NAMED = 10


def read_examples(path: Path, note: Callable[[str], None]) -> list[tuple[str, str]]:
    """(text, intent) of each row of the columns `text` and `intent`. Raises ImportFailed.

    `note` is told of rows that are left out, and of texts that stand under two intents, which are kept under both.
    """
    file = read_table(path)
    _note_skipped(path, file, note)
    _note_conflicts(path, file, note)
    return [(row.text, row.intent) for row in file.rows]


def read_texts(path: Path, note: Callable[[str], None]) -> list[str]:
    """The column `text`. Raises ImportFailed. `note` is told of rows that are left out."""
    file = read_table(path, intent_column=None)
    _note_skipped(path, file, note)
    return [row.text for row in file.rows]


def _note_skipped(path: Path, file: LabelledFile, note: Callable[[str], None]) -> None:
    for reason, rows in groupby(sorted(file.skipped, key=lambda each: each.reason), key=lambda each: each.reason):
        note(f"{path}: left out {lines_named(each.line for each in rows)}: {reason}.")


def _note_conflicts(path: Path, file: LabelledFile, note: Callable[[str], None]) -> None:
    places: dict[str, dict[str, int]] = {}
    for row in file.rows:
        places.setdefault(normalise(row.text), {}).setdefault(row.intent, row.line)
    conflicts = {text: intents for text, intents in places.items() if len(intents) > 1}
    for text, intents in list(conflicts.items())[:_NAMED]:
        stands = listed(f"{quoted(intent)} (line {line})" for intent, line in intents.items())
        note(f"{path}: {quoted(text)} stands under {stands}; all are kept.")
    if len(conflicts) > _NAMED:
        note(f"{path}: {counted(len(conflicts) - _NAMED, 'further text')} under more than one intent.")
