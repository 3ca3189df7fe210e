"""A text as detectors read it: one sort of digit, blank and dash, and nothing invisible.

Customers write ٠١٢, ０１２ and 012, and whoever wants to slip a number past a pattern puts a zero-width space in it.
The detectors see one form of all of these, and what they find is led back to the characters that were written.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

# Letters and digits of scripts that put blanks between words: where one of them stands, a number is part of a word.
# Chinese and Japanese write theirs right beside it.
SPACED = "0-9A-Za-z_À-ɏͰ-ӿ"


@dataclass(frozen=True, slots=True)
class Reading:
    """`text[i]` stands for `written[starts[i]:ends[i]]`."""

    text: str
    starts: list[int] | range
    ends: list[int] | range

    def written(self, start: int, end: int) -> tuple[int, int]:
        """Where `text[start:end]` stands in what was written."""
        return self.starts[start], self.ends[end - 1]


def read(written: str) -> Reading:
    """The text with its places."""
    if written.isascii() and "\r" not in written and "\t" not in written:
        return Reading(written, range(len(written)), range(1, len(written) + 1))
    characters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for place, character in enumerate(written):
        category = unicodedata.category(character)
        if category in ("Cf", "Mn") and characters:
            joined = unicodedata.normalize("NFC", characters[-1] + character) if category == "Mn" else ""
            if len(joined) == 1:
                characters[-1] = joined
            if category == "Mn":
                ends[-1] = place + 1
            continue
        for plain in _plain(character, category):
            characters.append(plain)
            starts.append(place)
            ends.append(place + 1)
    return Reading("".join(characters), starts, ends)


def _plain(character: str, category: str) -> str:
    if character.isascii():
        return " " if character == "\t" else "\n" if character == "\r" else character
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Pd":
        return "-"
    if category == "Zs":
        return " "
    if category in ("Zl", "Zp"):
        return "\n"
    if category == "Cf":
        return ""
    return unicodedata.normalize("NFKC", character)
