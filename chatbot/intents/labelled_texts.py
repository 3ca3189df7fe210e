"""What comes out of a file of labelled texts: its rows, and a record of everything in it that is none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text with its intent, and the line where it begins; 0 where that is not known.

    The intent is empty where a file was read for its texts alone.
    """

    text: str
    intent: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something in a file that was left out: the line, why or what it is, its name and how many phrases it holds."""

    line: int
    reason: str
    name: str = ""
    phrases: int = 0


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """The rows in their order, what was left out, and the columns that were not looked at."""

    rows: tuple[LabelledText, ...]
    skipped: tuple[Skipped, ...] = ()
    unread_columns: tuple[str, ...] = ()
