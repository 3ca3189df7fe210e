"""How operators are told about rows of a file: line numbers in few words, and texts that cannot harm a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from chatbot.exceptions import ImportFailed

_LONGEST_QUOTE = 80
_RANGES_NAMED = 8
_PROBLEMS_NAMED = 5
# What holds emoji together and shapes Persian: invisible, and harmless.
_JOINERS = "\u200c\u200d"


def quoted(text: str) -> str:
    """The text in quotes, on one line, shortened; characters that steer a terminal or lie to the eye become visible."""
    flat = " ".join(text.split())
    if len(flat) > _LONGEST_QUOTE:
        flat = flat[: _LONGEST_QUOTE - 1] + "…"
    return "“" + "".join(c if c.isprintable() or c in _JOINERS else f"⟨U+{ord(c):04X}⟩" for c in flat) + "”"


def lines_named(lines: Iterable[int], more: int = 0) -> str:
    """Such as “line 3” or “lines 3–5, 9 and 212 more”. `more` are further lines that are not given."""
    ranges: list[list[int]] = []
    for line in sorted(set(lines)):
        if ranges and line == ranges[-1][1] + 1:
            ranges[-1][1] = line
        else:
            ranges.append([line, line])
    named = [str(first) if first == last else f"{first}–{last}" for first, last in ranges[:_RANGES_NAMED]]
    more += sum(last - first + 1 for first, last in ranges[_RANGES_NAMED:])
    if more:
        named.append(f"{more:,} more")
    word = "line" if len(ranges) == 1 and ranges[0][0] == ranges[0][1] and not more else "lines"
    return f"{word} {listed(named)}"


def listed(words: Iterable[str]) -> str:
    """Such as “a, b and c”."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def counted(number: int, noun: str, plural: str = "") -> str:
    """Such as “1 example” or “10,003 examples”."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {plural or f'{noun}s'}"


@dataclass(slots=True)
class RowProblems:
    """What is wrong with the rows of one file, gathered so that all of it can be mended at once.

    Keeps the first lines of each problem and counts the rest: a file may be wrong a million times.
    """

    source: str
    _lines: dict[str, list[int]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _others: int = 0

    def add(self, line: int, problem: str) -> None:
        if problem not in self._lines and len(self._lines) == _PROBLEMS_NAMED:
            self._others += 1
            return
        lines = self._lines.setdefault(problem, [])
        self._counts[problem] = self._counts.get(problem, 0) + 1
        if len(lines) < _RANGES_NAMED:
            lines.append(line)

    def raise_if_any(self) -> None:
        """Raises ImportFailed with one sentence that names the file and the lines."""
        if not self._lines:
            return
        told = [
            f"{lines_named(lines, self._counts[problem] - len(lines))}: {problem}"
            for problem, lines in self._lines.items()
        ]
        if self._others:
            told.append(f"{counted(self._others, 'more problem')} of other rows")
        raise ImportFailed(f"{self.source + ', ' if self.source else ''}{'; '.join(told)}.")
