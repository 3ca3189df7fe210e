"""Takes personal data out of what customers and staff wrote, and leaves typed placeholders such as `[email]`.

Pure: no Django, no models, no files. Patterns and checks tell e-mail addresses, links that lead to somebody's own page,
telephone numbers (libphonenumber), cards (Luhn), bank accounts (mod 97), IP addresses, numbers of orders, parcels,
customers and identities, birthdays, passwords, postal addresses, and names that something introduces. Presidio adds
names that nothing introduces, where it is installed and switched on.

The first value of a kind in a conversation becomes `[email]`, the second `[email 2]`, and each stays what it is. Almost
every conversation has one of each, so the words that a model learns from are the same everywhere; and where there are
two, “not [phone] but [phone 2]” still says something, which `[phone]` twice would not.

What the shop says of itself in its own articles is no secret: values that are given as `public` stay as they are.
Otherwise a model would learn to answer “[phone]” to who asks for the shop's number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from chatbot.training.redaction import addresses, contacts, names, numbers
from chatbot.training.redaction.ordinary import without_ordinary
from chatbot.training.redaction.reading import read
from chatbot.training.redaction.spans import Kind, Span, resolve

__all__ = ["PLACEHOLDER", "Detector", "Kind", "Redacted", "Redactor", "Span", "public_values"]

# Finds more than patterns do, in the text as it was written.
Detector = Callable[[str], Iterable[Span]]
Values = frozenset[tuple[Kind, str]]

PLACEHOLDER = re.compile(r"\[(?:" + "|".join(Kind) + r")(?: \d{1,4})?\]")
# What one pass leaves over may look like something once its neighbour is gone; two have always sufficed.
_MOST_PASSES = 6


@dataclass(slots=True)
class Redacted:
    """Texts with placeholders, and how many values of each kind were taken out of them."""

    texts: list[str]
    found: Counter[str] = field(default_factory=Counter)


class Redactor:
    """Redacts by the same rules throughout. `regions` are where national telephone numbers are looked up."""

    def __init__(
        self,
        *,
        public: Values = frozenset(),
        regions: Sequence[str] = contacts.REGIONS,
        detector: Detector | None = None,
    ) -> None:
        self._public = public
        self._regions = tuple(regions)
        self._detector = detector

    def redact(self, texts: Sequence[str]) -> Redacted:
        """The texts of one conversation, in its order. Redacting the result changes nothing."""
        result = Redacted(list(texts))
        numbering = _Numbering()
        for _ in range(_MOST_PASSES):
            found = [self._found(text) for text in result.texts]
            known = frozenset(
                part
                for text, spans in zip(result.texts, found, strict=True)
                for span in spans
                if span.kind == Kind.NAME
                for part in names.parts(text[span.start : span.end])
            )
            if known:
                found = [self._found(text, known) for text in result.texts]
            if not any(found):
                break
            for place, (text, spans) in enumerate(zip(result.texts, found, strict=True)):
                result.texts[place] = _replaced(text, spans, numbering)
                result.found.update(span.kind.value for span in spans)
        return result

    def redact_text(self, text: str) -> str:
        """One text by itself."""
        return self.redact([text]).texts[0]

    def spans(self, text: str) -> list[Span]:
        """What is found in a text, in its order; public values are not."""
        return self._found(text)

    def _found(self, written: str, known: frozenset[str] = frozenset()) -> list[Span]:
        """What is to be taken out of the text, and nothing of what stands in for something already."""
        kept = [match.span() for match in PLACEHOLDER.finditer(written)]
        found: list[Span] = []
        begin = 0
        for start, end in [*kept, (len(written), len(written))]:
            found += (
                Span(begin + span.start, begin + span.end, span.kind)
                for span in self._found_between(written[begin:start], known)
            )
            begin = end
        if self._detector is not None:
            found = resolve(written, [*found, *self._detector(written)], kept)
        return [span for span in found if not self._is_public(written[span.start : span.end], span.kind)]

    def _found_between(self, written: str, known: frozenset[str]) -> list[Span]:
        if not written.strip():
            return []
        reading = read(written)
        text = reading.text
        links, kept = contacts.links(text)
        found = [*links, *contacts.emails(text), *contacts.ip_addresses(text), *names.names(text)]
        if known:
            found += names.mentions(text, known)
        if any(character.isdigit() for character in text):
            found += _numeric(text, self._regions)
        return [Span(*reading.written(span.start, span.end), span.kind) for span in resolve(text, found, kept)]

    def _is_public(self, value: str, kind: Kind) -> bool:
        if kind is not Kind.ADDRESS:
            return (kind, _canonical(value)) in self._public
        # “28 Larch Street, Dublin” is public where both of its parts are.
        return bool(self._public) and all((kind, part) in self._public for part in _address_parts(value))


def public_values(texts: Iterable[str], redactor: Redactor) -> Values:
    """What the shop's own texts say of the shop: its telephone number, its addresses, whom to write to."""
    values: set[tuple[Kind, str]] = set()
    for text in texts:
        for span in redactor.spans(text):
            value = text[span.start : span.end]
            values.add((span.kind, _canonical(value)))
            if span.kind is Kind.ADDRESS:
                values.update((span.kind, part) for part in _address_parts(value))
    return frozenset(values)


def _numeric(text: str, regions: Sequence[str]) -> Iterator[Span]:
    yield from numbers.passwords(text)
    yield from numbers.cards(text)
    yield from numbers.ibans(text)
    yield from numbers.births(text)
    yield from numbers.called_numbers(text)
    bare = without_ordinary(text)
    yield from numbers.shaped_numbers(bare)
    yield from contacts.phone_numbers(bare, regions)
    yield from addresses.addresses(bare)
    yield from numbers.long_numbers(bare)


class _Numbering:
    """Which placeholder stands for which value throughout a conversation."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Kind, str], int] = {}
        self._taken: Counter[Kind] = Counter()

    def placeholder(self, kind: Kind, value: str) -> str:
        """Of the value, as it was written here."""
        keys = [(kind, _canonical(value))]
        if kind is Kind.NAME:  # “Jane” is the Jane Doe of before
            keys += ((kind, _canonical(part)) for part in names.parts(value))
        number = next((self._numbers[key] for key in keys if key in self._numbers), None)
        if number is None:
            self._taken[kind] += 1
            number = self._taken[kind]
        self._numbers |= dict.fromkeys(keys, number)
        return f"[{kind}]" if number == 1 else f"[{kind} {number}]"


def _replaced(text: str, spans: Sequence[Span], numbering: _Numbering) -> str:
    pieces: list[str] = []
    end = 0
    for span in spans:
        pieces += (text[end : span.start], numbering.placeholder(span.kind, text[span.start : span.end]))
        end = span.end
    return "".join([*pieces, text[end:]])


def _canonical(value: str) -> str:
    """Two ways to write one value are one value."""
    return "".join(character for character in read(value).text.casefold() if character.isalnum())


def _address_parts(value: str) -> list[str]:
    parts = (_canonical(part) for part in re.split(r"[,\n;]", value))
    return [part for part in parts if part]
