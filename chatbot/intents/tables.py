"""CSV files as spreadsheets and programs write them, read as a stream.

The first line names the columns. The delimiter is a comma, a semicolon or a tab. Quoted cells may hold all of them, and
line ends. A line without anything is no row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from chatbot.exceptions import ImportFailed
from chatbot.intents.text_files import text_lines
from chatbot.intents.wording import listed, quoted

OVERFULL = "more cells than the first line names columns (a text with commas needs quotes around it)"
_COLUMNS_NAMED = 10
_QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True, slots=True)
class TableRow:
    """The line where a row begins, and its cells: as many as there are columns.

    `overfull` where the file has more of them, other than empty ones; they are cut off here.
    """

    line: int
    cells: list[str]
    overfull: bool


class Table:
    """An opened CSV file: its columns as they are written, and once its rows."""

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        """Reads the first line. Raises ImportFailed where the file cannot be read, or has none."""
        self.path = path
        lines = text_lines(path, encoding)
        head = []
        for line in lines:
            head.append(line)
            if line.strip():
                break
        else:
            raise ImportFailed(f"{path}: the file is empty.")
        self.delimiter = max(",;\t", key=_QUOTED.sub("", head[-1]).count)
        self._reader = csv.reader(chain(head, lines), delimiter=self.delimiter, strict=True)
        self._line = 1
        self.columns = next(self._records())

    def column(self, name: str) -> int:
        """The index of the column of this name. Raises ImportFailed where there is none, or more than one."""
        index = self.find(name)
        if index is None:
            present = [quoted(column) for column in self.columns if column.strip()]
            more = len(present) - _COLUMNS_NAMED
            if more > 0:
                present[_COLUMNS_NAMED:] = [f"{more} more"]
            raise ImportFailed(
                f"{self.path}: the first line must name the columns, and names no {quoted(name)}; "
                f"it has {listed(present) if present else 'nothing'}."
            )
        return index

    def find(self, name: str) -> int | None:
        """The index of the column of this name, blanks and case aside. Raises ImportFailed where it is named twice."""
        found = [index for index, column in enumerate(self.columns) if _plain(column) == _plain(name)]
        if len(found) > 1:
            raise ImportFailed(f"{self.path}: the first line names the column {quoted(name)} {len(found)} times.")
        return found[0] if found else None

    def rows(self) -> Iterator[TableRow]:
        """The rows after the first line. Raises ImportFailed at the first that is no CSV."""
        width = len(self.columns)
        for cells in self._records():
            surplus = any(cell.strip() for cell in cells[width:])
            yield TableRow(self._line, cells[:width] + [""] * (width - len(cells)), surplus)

    def _records(self) -> Iterator[list[str]]:
        while True:
            self._line = self._reader.line_num + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise ImportFailed(f"{self.path}, line {self._line}: {_sentence(str(error))}.") from error
            if cells:
                yield cells


def _plain(name: str) -> str:
    return name.strip().casefold()


def _sentence(error: str) -> str:
    """The csv module's words in the words of somebody with a spreadsheet."""
    if "unexpected end of data" in error:
        return "a quote is opened in this row and never closed"
    if "field larger" in error:
        return f"a cell has more than {csv.field_size_limit():,} characters; is a quote left open"
    if "expected after" in error:
        return "after a closing quote the cell goes on; a quote inside a quoted text is written twice"
    return error
