"""Labelling a file: every row of a CSV with what a classifier says of its text.

The input is read as a stream, twice: once to find whatever is wrong with it before any work is done, and once to label
it. Memory does not grow with its length. The work is done in batches that always begin at the same rows, since the last
digits of a text's embedding depend on what shares its batch; so an interrupted run ends with the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatbot.conversations.exports import BYTE_ORDER_MARK, defused
from chatbot.exceptions import ExportFailed, ImportFailed
from chatbot.intents.labels import intent_slug, is_out_of_scope
from chatbot.intents.tables import OVERFULL, Table, TableRow
from chatbot.intents.text_files import has_byte_order_mark
from chatbot.intents.wording import RowProblems
from chatbot.training.drafts import open_draft, refuse_existing

if TYPE_CHECKING:
    from chatbot.inference.predictions import Prediction
    from chatbot.inference.text_classifier import TextClassifier

# Enough for the encoder to sort texts of like length together, little enough to lose nothing worth mentioning.
BATCH_ROWS = 512
APPENDED = ("intent", "confidence", "out_of_scope", "runner_up", "runner_up_confidence")
DEFAULT_LABEL_COLUMN = "intent"
# Raised when the same input gives other bytes, so that no file is begun by one version and ended by another.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class LabellingInput:
    """A file to label, read through once: rows can be relied on to be whole. `label_index` is None without labels."""

    path: Path
    encoding: str | None
    columns: tuple[str, ...]
    delimiter: str
    has_mark: bool
    text_index: int
    label_index: int | None
    rows: int
    digest: str
    stamp: tuple[int, int]

    @property
    def appended(self) -> tuple[str, ...]:
        """The names of the columns that labelling adds; one that the input has is called `predicted_…`."""
        taken = {column.strip().casefold() for column in self.columns}
        return tuple(_free_name(name, taken) for name in APPENDED)


@dataclass(frozen=True, slots=True)
class Labelling:
    """What was written. `resumed_at` rows were there from an earlier run; `measured` is None without labels."""

    rows: int
    empty: int
    out_of_scope: int
    resumed_at: int
    intents: dict[str, int]
    measured: dict[str, Any] | None


def survey_input(
    path: Path, *, text_column: str = "text", label_column: str | None = None, encoding: str | None = None
) -> LabellingInput:
    """Read the file through, for everything that is wrong with it. Raises ImportFailed.

    Without a `label_column`, the column `intent` holds the labels where there is one.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ImportFailed(f"{path}: the input must be a file, because it is read more than once.")
    table = Table(path, encoding)
    stamp = _stamp(path)
    text_index = table.column(text_column)
    label_index = table.column(label_column) if label_column else table.find(DEFAULT_LABEL_COLUMN)
    problems, rows = RowProblems(str(path)), 0
    for row in table.rows():
        rows += 1
        if row.overfull:
            problems.add(row.line, OVERFULL)
    problems.raise_if_any()
    if not rows:
        raise ImportFailed(f"{path}: the file has no rows after its first line.")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return LabellingInput(
        path=path,
        encoding=encoding,
        columns=tuple(table.columns),
        delimiter=table.delimiter,
        has_mark=has_byte_order_mark(path),
        text_index=text_index,
        label_index=None if label_index == text_index else label_index,
        rows=rows,
        digest=digest,
        stamp=stamp,
    )


def refuse_output(source: LabellingInput, output: Path, *, overwrite: bool) -> None:
    """Raise ExportFailed where the output would overwrite what must stay."""
    if output.exists() and output.samefile(source.path):
        raise ExportFailed(f"{output} is the input itself; name another file.")
    refuse_existing(output, overwrite=overwrite)


def label_file(
    *,
    source: LabellingInput,
    output: Path,
    classifier: TextClassifier,
    release: str,
    release_digest: str = "",
    overwrite: bool = False,
    restart: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Labelling:
    """Write `output`: the rows of the input with the columns `source.appended`. Goes on where an earlier run stopped.

    UTF-8, with the input's delimiter and, if it has one, a byte-order mark. A row without text gets no prediction.
    `progress` is told how many rows are done, and of how many. Raises ExportFailed.
    """
    refuse_output(source, output, overwrite=overwrite)
    job = {
        "release": release,
        "text column": source.columns[source.text_index].strip(),
        "encoding": source.encoding or "by its mark or UTF-8",
        "input file": source.digest,
        "content of the release": release_digest,
        "version of this command": [FORMAT, BATCH_ROWS],
    }
    with open_draft(output, job, restart=restart) as draft:
        if draft.is_new:
            header = _csv_line([*source.columns, *source.appended], source.delimiter)
            draft.append((BYTE_ORDER_MARK if source.has_mark else "") + header, rows=0)
        resumed_at = draft.rows
        rows = islice(Table(source.path, source.encoding).rows(), resumed_at, None)
        if progress:
            progress(resumed_at, source.rows)
        while batch := list(islice(rows, BATCH_ROWS)):
            draft.append(_labelled(batch, source, classifier), rows=len(batch))
            if progress:
                progress(draft.rows, source.rows)
        if draft.rows != source.rows or _stamp(source.path) != source.stamp:
            raise ExportFailed(f"{source.path} was changed while it was read. Begin anew with --restart.")
        labelling = _summary(draft.path, source, classifier.intents, resumed_at)
        draft.finish(overwrite=overwrite)
    return labelling


def _labelled(batch: Sequence[TableRow], source: LabellingInput, classifier: TextClassifier) -> str:
    texts = [row.cells[source.text_index] for row in batch]
    predictions = iter(classifier.predict([text for text in texts if text.strip()]))
    return "".join(
        _csv_line(
            [*row.cells, *(_cells(next(predictions)) if text.strip() else [""] * len(APPENDED))], source.delimiter
        )
        for row, text in zip(batch, texts, strict=True)
    )


def _cells(prediction: Prediction) -> list[str]:
    best, second = prediction.ranking[:2]
    return [
        defused(best.intent),
        f"{best.confidence:.4f}",
        "true" if prediction.out_of_scope else "false",
        defused(second.intent),
        f"{second.confidence:.4f}",
    ]


def _csv_line(cells: Sequence[str], delimiter: str) -> str:
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter).writerow(cells)
    return line.getvalue()


def _free_name(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    candidates = [f"predicted_{name}", *(f"predicted_{name}_{number}" for number in range(2, len(taken) + 3))]
    return next(candidate for candidate in candidates if candidate not in taken)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


# --- What was written, and how well it agrees with the labels ------------------------------------


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What the rows that are counted together have in common. All are empty where a row has no text."""

    label: str
    predicted: str
    out_of_scope: str


def _summary(path: Path, source: LabellingInput, intents: Sequence[str], resumed_at: int) -> Labelling:
    """Counted from the file itself, so that it is the same after any number of interruptions."""
    counts = Counter(_outcomes(path, source))
    empty = sum(count for outcome, count in counts.items() if not outcome.predicted)
    predicted: Counter[str] = Counter()
    for outcome, count in counts.items():
        if outcome.predicted:
            predicted[outcome.predicted] += count
    return Labelling(
        rows=counts.total(),
        empty=empty,
        out_of_scope=sum(count for outcome, count in counts.items() if outcome.out_of_scope == "true"),
        resumed_at=resumed_at,
        intents=dict(predicted.most_common()),
        measured=None if source.label_index is None else measure(counts, intents),
    )


def _outcomes(path: Path, source: LabellingInput) -> Iterator[_Outcome]:
    first = len(source.columns)
    for row in Table(path).rows():
        label = "" if source.label_index is None else row.cells[source.label_index].strip()
        yield _Outcome(label, row.cells[first], row.cells[first + APPENDED.index("out_of_scope")])


def measure(counts: Counter[_Outcome], intents: Sequence[str]) -> dict[str, Any]:
    """Agreement with the labels. Rows without text or without a label are left out.

    Accuracy and macro-F1 (the mean over the labels that occur) are of rows labelled with an intent, by the best intent
    whether or not the text was called out of scope; labels that the release does not know count as wrong. Recall is of
    rows labelled out of scope. None where there is nothing to measure on.
    """
    slugs = {intent_slug(intent): intent for intent in intents}
    shown = {defused(intent): intent for intent in intents}
    agreed: Counter[str] = Counter()
    labelled: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    rejected = strange = recalled = unlabelled = 0
    for outcome, count in counts.items():
        if not outcome.predicted:
            continue
        called_strange = outcome.out_of_scope == "true"
        if not outcome.label:
            unlabelled += count
        elif is_out_of_scope(outcome.label):
            strange += count
            recalled += count * called_strange
        else:
            known = outcome.label in intents
            label = outcome.label if known else slugs.get(intent_slug(outcome.label), outcome.label)
            answer = shown[outcome.predicted]
            labelled[label] += count
            predicted[answer] += count
            agreed[label] += count * (label == answer)
            rejected += count * called_strange
    total = labelled.total()
    f1 = [2 * agreed[label] / (labelled[label] + predicted[label]) for label in labelled]
    return {
        "measured_examples": total,
        "unlabelled": unlabelled,
        "unknown_intents": sum(count for label, count in labelled.items() if label not in intents),
        "accuracy": _share(agreed.total(), total),
        "macro_f1": _share(sum(f1), len(f1)),
        "in_scope_rejected": _share(rejected, total),
        "measured_out_of_scope": strange,
        "oos_recall": _share(recalled, strange),
    }


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
