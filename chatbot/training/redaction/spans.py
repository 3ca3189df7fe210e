"""Stretches of a text that hold personal data, and which of them count where several overlap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What was found; the value is what stands in the placeholder's brackets. The order is that of precedence."""

    PASSWORD = "password"
    LINK = "link"
    EMAIL = "email"
    IBAN = "iban"
    CARD = "card number"
    BIRTH = "date of birth"
    IDENTITY = "id number"
    IP = "ip address"
    ORDER = "order number"
    REFERENCE = "reference number"
    PHONE = "phone"
    ADDRESS = "address"
    NAME = "name"
    NUMBER = "number"


_PRECEDENCE = {kind: position for position, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]` is of this kind."""

    start: int
    end: int
    kind: Kind


def resolve(text: str, found: Iterable[Span], kept: Iterable[tuple[int, int]]) -> list[Span]:
    """Spans that do not overlap, in order of the text.

    Of two that overlap the one of precedence, or else the longer one, stands, and of the other whatever it does not
    cover. `kept` are stretches that nothing may touch.
    """
    taken = bytearray(len(text))
    for start, end in kept:
        taken[start:end] = b"\1" * (end - start)
    chosen: list[Span] = []
    for span in sorted(found, key=lambda each: (_PRECEDENCE[each.kind], each.start - each.end, each.start)):
        for start, end in _free(taken, span):
            piece = _trimmed(text, start, end)
            if piece is not None:
                chosen.append(_without_full_stop(text, Span(*piece, span.kind)))
        taken[span.start : span.end] = b"\1" * (span.end - span.start)
    return sorted(chosen, key=lambda each: each.start)


def _free(taken: bytearray, span: Span) -> Iterator[tuple[int, int]]:
    start = taken.find(0, span.start, span.end)
    while start >= 0:
        end = taken.find(1, start, span.end)
        yield start, span.end if end < 0 else end
        if end < 0:
            return
        start = taken.find(0, end, span.end)


def _without_full_stop(text: str, span: Span) -> Span:
    """A street or a name ends before the sentence does."""
    ends = span.kind in (Kind.ADDRESS, Kind.NAME) and text[span.end - 1] == "."
    return Span(span.start, span.end - 1, span.kind) if ends else span


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Without blanks and punctuation at its ends that another span left over; None where nothing else remains."""
    piece = text[start:end]
    if not any(character.isalnum() for character in piece):
        return None
    start += len(piece) - len(piece.lstrip(" \n,;:"))
    end -= len(piece) - len(piece.rstrip(" \n,;:"))
    return start, end
