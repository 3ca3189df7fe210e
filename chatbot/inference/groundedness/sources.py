"""What a reply may rest on, read once for all of its sentences. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from chatbot.inference.groundedness.claims import Clause, clauses, content_stems, stem, words
from chatbot.inference.groundedness.fact_words import DURATIONS
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
    Kind.MONEY: tuple(map(stem, ("cost", "pay"))),
}
_ANOTHER = re.compile(r"(?:instead of|rather than) \Z")
_MARKER = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+")
_PUNCTUATION = str.maketrans(dict.fromkeys('.,;:!?"“”„»«()', " "))
_PREPOSITION = re.compile(r"\b(?:on|with|by|at|in|within|for|from|via|through|if|when|to)\b", re.I)
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
        self.sentences = [_read_published(text) for passage in passages for text in split_sentences(passage.text)]
        self.extra = [_read_published(text) for text in (*titles, *known) if text]
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
    def verbatim(self) -> frozenset[tuple[str, ...]]:
        """Its sentences word by word."""
        return frozenset(map(in_words, (one.text for one in self.sentences))) - {()}

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
    means = (means for fact in facts if fact.value != "free" for means in _MEANS_OF.get(fact.kind, ()))
    return SourceSentence(text, frozenset((*content_stems(priced), *means)), tuple(clauses(text)), facts)


# Reading an article's sentences takes milliseconds before the first token, and every customer is shown the same ones.
# What a customer wrote is read without it, so that nobody's words are kept.
_read_published = lru_cache(maxsize=4096)(_read)


def in_words(text: str) -> tuple[str, ...]:
    """The words and figures of a text as they stand, without list marks and punctuation."""
    return tuple(plain(_MARKER.sub("", text)).casefold().translate(_PUNCTUATION).split())


def without(text: str, facts: Iterable[Fact]) -> str:
    """The text without what is looked up by itself."""
    for fact in facts:
        text = text[: fact.start] + " " * (fact.end - fact.start) + text[fact.end :]
    return text


def around(fact: Fact, text: str) -> frozenset[str]:
    """What the clause that the figure stands in is about.

    "Bags cost €28 online and €45 at the airport": a clause that begins with its figure is about the same as the clause
    before, up to that one's figure. What a second preposition adds at the end holds for all figures before it.
    """
    text = plain(text)
    start = _clause_start(text, fact.start)
    ends = [place for mark in _CLAUSE_MARKS if (place := text.find(mark, fact.end)) >= 0]
    tail = text[fact.end : min(ends, default=len(text))]
    prepositions = [match.start() for match in _PREPOSITION.finditer(tail)]
    if len(prepositions) > 1:
        tail = tail[: prepositions[1]]
    head = text[start : fact.start]
    while start > 0 and not _ANOTHER.search(text, 0, start) and not about(head, extract_facts(head)):
        before = _clause_start(text, start - 1)
        figures = [other.start for other in extract_facts(text[before:start]) if other.kind is fact.kind]
        head, start = text[before : before + figures[0]] if figures else text[before:start], before
    clause = f"{head} {tail}"
    return about(clause, extract_facts(clause))


def clause_of(fact: Fact, text: str) -> str:
    """The clause that a fact stands in."""
    text = plain(text)
    ends = [place for mark in _CLAUSE_MARKS if (place := text.find(mark, fact.end)) >= 0]
    return text[_clause_start(text, fact.start) : min(ends, default=len(text))]


def _clause_start(text: str, place: int) -> int:
    return max((found + len(mark) for mark in _CLAUSE_MARKS if (found := text.rfind(mark, 0, place)) >= 0), default=0)


def about(text: str, facts: Sequence[Fact]) -> frozenset[str]:
    """The content of a text, with its days, and with months and the like where something is per month."""
    days = (f"day:{fact.value}" for fact in facts if fact.kind in (Kind.DAY, Kind.DATE))
    rates = (f"per:{fact.unit}" for fact in facts if fact.value == "per" and fact.unit in DURATIONS)
    stems = content_stems(without(text, (fact for fact in facts if fact.kind in QUANTITIES)))
    # Hours are when a place opens and when it closes, prices what something costs.
    return frozenset(one for one in stems if one not in _OPENING) | frozenset((*days, *rates))
