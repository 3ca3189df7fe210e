"""Messages with personal data planted in them, and how much of it redaction finds.

`tuned.txt` was looked at while the detectors were adjusted, `unseen.txt` was not: its figures are what to expect of
other people's messages written as these are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from chatbot.training.redaction import Redactor

FILES = ("tuned", "unseen")
_MARK = re.compile(r"\{([a-z ]+):([^}]*)\}|<([^>]*)>")


@dataclass(frozen=True, slots=True)
class Message:
    """A message with places that are personal, by kind, and places that look like it and are not."""

    text: str
    planted: tuple[tuple[int, int, str], ...]
    ordinary: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Recall:
    """How many planted values there were, by kind; how many were found whole, and under their own name."""

    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    ordinary: int = 0
    swallowed: list[str] = field(default_factory=list)
    other_letters: int = 0
    other_letters_swallowed: int = 0

    @property
    def share_found(self) -> float:
        return self.found.total() / self.planted.total()

    @property
    def share_swallowed(self) -> float:
        """Of the values that look personal and are not."""
        return len(self.swallowed) / self.ordinary

    @property
    def share_of_letters_swallowed(self) -> float:
        """Of all letters and digits that are not personal."""
        return self.other_letters_swallowed / self.other_letters


def read_messages(name: str) -> list[Message]:
    """The messages of one file."""
    lines = (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [_message(line.replace("\\n", "\n")) for line in lines if line and not line.startswith("#")]


def measure(messages: Iterable[Message], redactor: Redactor) -> Recall:
    """What the redactor makes of the messages, each by itself."""
    recall = Recall()
    for message in messages:
        covered: dict[int, str] = {}
        for span in redactor.spans(message.text):
            covered |= dict.fromkeys(range(span.start, span.end), span.kind.value)
        inside: set[int] = set()
        for start, end, kind in message.planted:
            letters = [place for place in range(start, end) if message.text[place].isalnum()]
            inside.update(letters)
            recall.planted[kind] += 1
            if all(place in covered for place in letters):
                recall.found[kind] += 1
                recall.named[kind] += all(covered[place] == kind for place in letters)
            else:
                recall.missed.append(f"{kind}: {message.text[start:end]!r} in {message.text!r}")
        for start, end in message.ordinary:
            recall.ordinary += 1
            if any(place in covered for place in range(start, end)):
                recall.swallowed.append(f"{message.text[start:end]!r} in {message.text!r}")
        others = [place for place, sign in enumerate(message.text) if sign.isalnum() and place not in inside]
        recall.other_letters += len(others)
        recall.other_letters_swallowed += sum(place in covered for place in others)
    return recall


def _message(line: str) -> Message:
    text, end = "", 0
    planted: list[tuple[int, int, str]] = []
    ordinary: list[tuple[int, int]] = []
    for match in _MARK.finditer(line):
        text += line[end : match.start()]
        kind, value, plain = match.groups()
        start = len(text)
        text += value if kind else plain
        if kind:
            planted.append((start, len(text), kind))
        else:
            ordinary.append((start, len(text)))
        end = match.end()
    return Message(text + line[end:], tuple(planted), tuple(ordinary))
