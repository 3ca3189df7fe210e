"""What an import did, told to a person and to a program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from chatbot.intents.labelled_texts import LabelledFile, LabelledText, Skipped
from chatbot.intents.services import ImportOutcome
from chatbot.intents.wording import counted, lines_named, listed, quoted

# More than a screen of them hides what comes before; the JSON form has them all.
_SHOWN = 20
_NAMES_SHOWN = 10


def report_lines(path: Path, file: LabelledFile, outcome: ImportOutcome, *, dry_run: bool) -> Iterator[str]:
    """The report for a terminal. Texts of the file cannot steer it."""
    intents = len({row.intent for row in file.rows})
    yield f"{path}: {counted(len(file.rows), 'row')} with text, of {counted(intents, 'label')}."
    if dry_run:
        yield "This is a dry run: nothing was written. An import would do this:"
    yield from _added(outcome)
    yield from _changed(outcome)
    yield from _skipped(file, outcome)
    yield from _conflicting(outcome)
    yield from _notes(file, outcome)


def report_object(path: Path, file: LabelledFile, outcome: ImportOutcome, *, dry_run: bool) -> dict[str, Any]:
    """The report as one JSON object: every row with its line."""
    return {
        "file": str(path),
        "dry_run": dry_run,
        "rows": len(file.rows),
        "counts": {
            "new_intents": len(outcome.new_intents),
            "added": len(outcome.added),
            "changed": len(outcome.moved) + len(outcome.activated),
            "skipped": len(outcome.known) + len(outcome.repeated) + len(file.skipped),
            "conflicts": len(outcome.conflicts),
        },
        "new_intents": outcome.new_intents,
        "added": [_row(row) for row in outcome.added],
        "moved": [_row(move.row) | {"to": move.intent, "from": move.stood_under} for move in outcome.moved],
        "activated": outcome.activated,
        "known": [_row(row) for row in outcome.known],
        "repeated": [_row(each.row) | {"first_line": each.first_line} for each in outcome.repeated],
        "skipped": [
            {"line": each.line, "reason": each.reason, "name": each.name, "phrases": each.phrases}
            for each in file.skipped
        ],
        "conflicts": [
            _row(each.row) | {"stands_under": each.stands_under, "at_line": each.at_line or None}
            for each in outcome.conflicts
        ],
        "inactive": outcome.inactive,
        "renamed_labels": outcome.renamed,
        "unread_columns": list(file.unread_columns),
    }


def _row(row: LabelledText) -> dict[str, Any]:
    return {"line": row.line, "text": row.text, "intent": row.intent}


def _added(outcome: ImportOutcome) -> Iterator[str]:
    rows = f" ({_lines(outcome.added)})" if outcome.added else ""
    yield f"Added: {counted(len(outcome.new_intents), 'intent')}, {counted(len(outcome.added), 'example')}{rows}"
    if outcome.new_intents:
        yield f"  new intents: {_names(outcome.new_intents)}"


def _changed(outcome: ImportOutcome) -> Iterator[str]:
    yield f"Changed: {counted(len(outcome.activated), 'intent')}, {counted(len(outcome.moved), 'example')}"
    yield from _some(
        outcome.moved,
        lambda move: f"line {move.row.line}: {quoted(move.row.text)} moved from {move.stood_under} to {move.intent}",
    )
    yield from _some(outcome.activated, lambda slug: f"the intent {slug} is active again")


def _skipped(file: LabelledFile, outcome: ImportOutcome) -> Iterator[str]:
    yield f"Skipped: {len(outcome.known) + len(outcome.repeated) + len(file.skipped):,}"
    if outcome.known:
        yield f"  in the catalogue already: {len(outcome.known):,} ({_lines(outcome.known)})"
    if outcome.repeated:
        lines = _lines(each.row for each in outcome.repeated)
        yield f"  repeats of earlier rows: {len(outcome.repeated):,} ({lines})"
    by_reason = sorted(file.skipped, key=lambda each: each.reason)
    for reason, grouped in groupby(by_reason, key=lambda each: each.reason):
        group = list(grouped)
        yield f"  {reason}: {len(group):,} ({_described(group)})"


def _described(group: list[Skipped]) -> str:
    if not any(each.phrases for each in group) and len({each.name for each in group}) < len(group):
        return lines_named(each.line for each in group)
    described = [
        (f"{quoted(each.name)} " if each.name else "")
        + (f"with {counted(each.phrases, 'phrase')} " if each.phrases else "")
        + f"on line {each.line}"
        for each in group[:_NAMES_SHOWN]
    ]
    more = len(group) - len(described)
    return ", ".join([*described, f"{more:,} more"] if more else described)


def _conflicting(outcome: ImportOutcome) -> Iterator[str]:
    yield f"Conflicting, left out: {len(outcome.conflicts):,}"
    yield from _some(
        outcome.conflicts,
        lambda each: (
            f"line {each.row.line}: {quoted(each.row.text)} is {each.intent}, but stands under {each.stands_under} "
            + (f"on line {each.at_line}" if each.at_line else "in the catalogue")
        ),
    )
    if any(not each.at_line for each in outcome.conflicts):
        yield "  Move those that stand in the catalogue with --move, or change them in the admin."


def _notes(file: LabelledFile, outcome: ImportOutcome) -> Iterator[str]:
    if outcome.inactive:
        yield (
            f"Not active, and so not trained: {_names(outcome.inactive)}. Make them active with --activate, or in the "
            "admin."
        )
    if outcome.renamed:
        renamed = [f"{quoted(label)} → {slug}" for label, slug in islice(outcome.renamed.items(), _NAMES_SHOWN)]
        more = len(outcome.renamed) - len(renamed)
        yield f"Labels with another name in the catalogue: {', '.join(renamed)}{f', {more:,} more' if more else ''}"
    if file.unread_columns:
        yield f"Columns not read: {listed(quoted(name) for name in file.unread_columns[:_NAMES_SHOWN])}"


def _some(items: list[Any], line: Callable[[Any], str]) -> Iterator[str]:
    yield from (f"  {line(item)}" for item in items[:_SHOWN])
    if len(items) > _SHOWN:
        yield f"  … and {len(items) - _SHOWN:,} more; --json lists them all"


def _lines(rows: Iterable[LabelledText]) -> str:
    return lines_named(row.line for row in rows)


def _names(names: list[str]) -> str:
    shown = names[:_NAMES_SHOWN]
    more = len(names) - len(shown)
    return listed([*shown, f"{more:,} more"] if more else shown)
