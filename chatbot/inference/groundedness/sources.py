"""What a reply may rest on, read once for all of its sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from chatbot.inference.groundedness.claims import Clause, clauses, content_stems, stem, words
from chatbot.inference.groundedness.facts import Fact, Kind, extract_facts, plain
from chatbot.inference.groundedness.sentences import split_sentences
from chatbot.inference.prompt import GroundingPassage

# What is stated of a thing, where the others name one.
QUANTITIES = (Kind.NUMBER, Kind.MONEY, Kind.PERCENT, Kind.DURATION, Kind.DATE, Kind.TIME, Kind.DAY)
# What an address or a number is for need not be said.
_MEANS_OF = {
    Kind.PHONE: tuple(map(stem, ("call", "contact"))),
    Kind.EMAIL: tuple(map(stem, ("email", "write", "contact"))),
    Kind.LINK: tuple(map(stem, ("site", "visit", "online"))),
}
_OPENING = frozenset(("open", "clos", "start", "end", "cost", "pay"))
_CLAUSE_MARKS = (
    ", ",
    "; ",
    " and ",
    " but ",
    "\n",
    " · ",
    "，",
    "；",
    ". ",
    " or ",
    " und ",
    "、",
    " instead of ",
    " rather than ",
)


@dataclass(frozen=True)
class SourceSentence:
    """A sentence of a passage with what is compared."""

    text: str
    stems: frozenset[str] = field(repr=False)
    clauses: tuple[Clause, ...] = field(repr=False)
    facts: tuple[Fact, ...] = field(repr=False)

    @cached_property
    def figures(self) -> list[tuple[Fact, frozenset[str]]]:
        """Its quantities, each with what the clause around it is about."""
        return [(fact, around(fact, self.text)) for fact in self.facts if fact.kind in QUANTITIES]

    @cached_property
    def about(self) -> frozenset[str]:
        """What it is about, its days included."""
        return about(self.text, self.facts)


class Sources:
    """What a reply may rest on: passages, and the customer's question, which may be repeated but not believed."""

    def __init__(self, passages: Sequence[GroundingPassage], *, question: str = "", known: Iterable[str] = ()) -> None:
        """`known`: other text that may be used, such as the shop's name and the intent's guidance."""
        self.question = question
        titles = [passage.title for passage in passages]
        self.sentences = [_read(text) for passage in passages for text in split_sentences(passage.text)]
        self.extra = [_read(text) for text in (*titles, *known) if text]
        self._text = " ".join([*(one.text for one in self.sentences), *(one.text for one in self.extra)])

    @cached_property
    def stems(self) -> frozenset[str]:
        return frozenset().union(*(one.stems for one in (*self.sentences, *self.extra)))

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        return tuple(fact for one in (*self.sentences, *self.extra) for fact in one.facts)

    @cached_property
    def asked(self) -> SourceSentence:
        """The customer's message."""
        return _read(self.question)

    @cached_property
    def folded(self) -> str:
        """All of the text for looking words up, in small letters and single blanks."""
        return " ".join(plain(self._text).casefold().split())

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(word.casefold() for word in words(self._text))

    @cached_property
    def asked_words(self) -> frozenset[str]:
        return frozenset(word.casefold() for word in words(self.question))

    @cached_property
    def capitalises_nouns(self) -> bool:
        """Whether capitals inside its sentences are too common to be names, as in German or in titles."""
        inside = [word for one in self.sentences for word in one.text.split()[1:] if word[:1].isalpha()]
        return len(inside) > 5 and sum(word[0].isupper() for word in inside) > 0.22 * len(inside)


def _read(text: str) -> SourceSentence:
    facts = tuple(extract_facts(text))
    # "Free of charge" says nothing about a charge.
    priced = without(text, (fact for fact in facts if fact.value == "free"))
    means = (means for fact in facts for means in _MEANS_OF.get(fact.kind, ()))
    return SourceSentence(text, frozenset((*content_stems(priced), *means)), tuple(clauses(text)), facts)


def without(text: str, facts: Iterable[Fact]) -> str:
    """The text without what is looked up by itself."""
    for fact in facts:
        text = text[: fact.start] + " " * (fact.end - fact.start) + text[fact.end :]
    return text


def around(fact: Fact, text: str) -> frozenset[str]:
    """What the clause that the figure stands in is about."""
    text = plain(text)
    starts = [place + len(mark) for mark in _CLAUSE_MARKS if (place := text.rfind(mark, 0, fact.start)) >= 0]
    ends = [place for mark in _CLAUSE_MARKS if (place := text.find(mark, fact.end)) >= 0]
    clause = text[max(starts, default=0) : min(ends, default=len(text))]
    return about(clause, extract_facts(clause))


def about(text: str, facts: Iterable[Fact]) -> frozenset[str]:
    days = (f"day:{fact.value}" for fact in facts if fact.kind is Kind.DAY)
    # Hours are when a place opens and when it closes.
    return frozenset(one for one in content_stems(text) if one not in _OPENING) | frozenset(days)
