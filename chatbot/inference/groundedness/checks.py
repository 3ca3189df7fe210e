"""What of a sentence must be in the sources to the letter: facts, names, steps, words without exception. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chatbot.inference.groundedness.claim_words import ACTION_WORDS, SCREEN_WORDS, STOPS
from chatbot.inference.groundedness.claims import content_stems, stem, words
from chatbot.inference.groundedness.facts import Fact, Kind, extract_facts, plain
from chatbot.inference.groundedness.sources import (
    QUANTITIES,
    Sources,
    SourceSentence,
    about,
    around,
    clause_of,
)

# "The article doesn't say", "I can't tell", and the offer of a person: claims nothing about the shop. "We can't give
# refunds" claims a lot, so who doesn't do what matters.
DECLINES = re.compile(
    r"\b(?:i|we)(?:'m| am| are|'re)? (?:do not|don't|cannot|can't|could not|couldn't|did not|didn't|not)(?: \w+){0,2}? "
    r"(?:know|say|tell|find|see|sure|certain|advise|have (?:any )?(?:information|details))\b"
    r"|\b(?:articles?|pages?|passages?|texts?|information|details) (?:\w+ ){0,8}?(?:do|does|did)(?: not|n't)(?: \w+)? "
    r"(?:say|mention|state|specify|tell|name|list|give|describe|answer|include|cover)\b"
    r"|\b(?:it|this|that) (?:does|did)(?: not|n't)(?: \w+)? (?:say|mention|state|specify|tell)\b"
    r"|\b(?:is|are)(?: not|n't) (?:mentioned|stated|specified|described)\b"
    r"|\bno (?:information|mention|details)\b|\brather not guess\b|\bi(?:'m| am) unsure\b"
    r"|\b(?:talk|speak|pass you|hand you|connect you)(?: on| over)? (?:to|with) (?:a|one of|our|somebody|someone)\b"
    r"|\bwould you like (?:a|to talk|to speak|me to)\b|\bshall i\b"
    r"|\bweiß ich (?:leider )?nicht\b|\bsteht nicht\b|\bnicht (?:erwähnt|angegeben)\b"
    r"|\bne (?:dit|précise|mentionne) pas\b|\bno (?:dice|menciona|indica|lo sé)\b"
    r"|没有(?:说明|提到)|不知道|不清楚|لا (?:أعرف|تذكر|يذكر)",
    re.I,
)
_REPEATS = re.compile(
    r"\b(?:you (?:said|mentioned|asked|wrote|heard|told|gave)|your (?:order|ticket|booking|reservation|reference|case"
    r"|number|account))\b",
    re.I,
)
NEGATED = re.compile(
    r"\b(?:not|no|never|cannot|nor|without|nicht|kein\w*|pas|nunca)\b|n't\b|[不没未无]|\b(?:لا|لم|لن|ليس)\b",
    re.I,
)
_CAPITALISED = re.compile(r"(?<=[^\W\d_]|[,;:’'”\")→>-])\s+([“\"‘(]?)([^\W\d_]*[A-Z][\w&'’-]*)")
_AT_LEAST = re.compile(
    r"\b(?:at least|minimum(?: of)?|more than|over|above|older than|no less than|from|exceed\w*|mindestens"
    r"|au moins)\s*[€$£]?\s*$",
    re.I,
)
_AT_MOST = re.compile(
    r"\b(?:at most|maximum(?: of)?|no more than|not more than|up to|less than|under|below|within|younger than"
    r"|no later than|höchstens|maximal)\s*[€$£]?\s*$",
    re.I,
)
_THRESHOLDS = (Kind.MONEY, Kind.NUMBER)
_NAVIGATES = frozenset(map(stem, ("choose", "open", "visit", "navigate")))
_OTHERWISE = re.compile(r"\b(?:below|under|above|over|beyond|after|before) (?:that|this|it)\b|\botherwise\b", re.I)
_PATH_STEP = re.compile(r"(?P<from>[\w'&-]+)[*_”\"]* (?:→|>|»|›) [*_“\"]*(?=(?P<to>[\w'&-]+))")
_ARROW = re.compile(r"→|\s>\s|»")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a sentence is not supported: what kind of thing it states, and the thing as it wrote it."""

    kind: str
    text: str


def unsupported(text: str, claim: str, facts: Sequence[Fact], sources: Sources) -> Iterator[Reason]:
    """What a sentence states without the sources' support.

    `claim` is the part of the sentence that says how things are, `facts` are the facts of the whole.
    """
    yield from _facts(text, facts, sources)
    yield from _names(text, sources)
    yield from _paths(text, sources)
    yield from _thresholds(text, facts, sources)
    yield from _steps(claim, sources)
    yield from _absolutes(claim, sources)


def _facts(text: str, facts: Sequence[Fact], sources: Sources) -> Iterator[Reason]:
    repeats = bool(_REPEATS.search(text)) or bool(DECLINES.search(text))
    for fact in facts:
        if (
            is_found(fact, sources.facts, sources.folded)
            and _is_about_it(fact, text, sources)
            and _belongs(fact, facts, text, sources)
        ):
            continue
        asked = is_found(fact, sources.asked.facts) or fact.text.casefold() in sources.question.casefold()
        negated = bool(NEGATED.search(clause_of(fact, text)))
        if asked and (repeats or negated or fact.kind not in QUANTITIES) and not is_found(fact, sources.facts):
            continue
        yield Reason(fact.kind.value, fact.text)


def is_found(fact: Fact, among: Sequence[Fact], folded: str = "") -> bool:
    match fact.kind:
        case Kind.LABEL:
            return fact.value in folded or any(fact.value == other.value for other in among)
        case Kind.PHONE:
            digits = fact.value.lstrip("0")
            return any(other.value.lstrip("0").endswith(digits[-9:]) for other in among if other.kind is Kind.PHONE)
        case Kind.NUMBER if not fact.unit or fact.unit.startswith("?"):
            return any(other.value == fact.value and _same_unit(fact, other) for other in among)
        case Kind.DAY:
            return any(other.value in _DAYS_OF.get(fact.value, (fact.value,)) for other in among)
        case Kind.LINK:
            links = [other.value for other in among if other.kind is Kind.LINK]
            return any(fact.value == link or fact.value == link.split("/")[0] for link in links)
        case Kind.DATE:
            return any(
                other.kind is Kind.DATE and (other.value == fact.value or other.value[:2] == fact.value)
                for other in among
            )
        case Kind.MONEY if fact.value == "free":
            return any(other.kind is Kind.MONEY and other.value in ("free", "0") for other in among)
        case _:
            return any((other.kind, other.value, other.unit) == (fact.kind, fact.value, fact.unit) for other in among)


# What a source must name for a sentence to name the day.
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday")
_DAYS_OF = {day: (day, "daily", "working days") for day in _WEEK} | {
    "saturday": ("saturday", "daily", "weekend"),
    "sunday": ("sunday", "daily", "weekend"),
    "weekend": ("weekend", "saturday", "sunday", "daily"),
    "working days": ("working days", "monday", "working day"),
    "daily": ("daily", "day"),
    "next day": ("next day", "tomorrow"),
}


def _same_unit(fact: Fact, other: Fact) -> bool:
    """Two counted nouns may differ in wording ("2 bags", "2 pieces of luggage"), a noun and a unit may not."""
    if not fact.unit or not other.unit:
        return other.kind in (Kind.NUMBER, Kind.TIME) or not fact.unit
    return other.unit.startswith("?")


def _is_about_it(fact: Fact, text: str, sources: Sources) -> bool:
    """Whether a source sentence with the figure has half of what the sentence, or its clause, says of it."""
    if fact.kind not in QUANTITIES or sources.capitalises_nouns:
        return True
    having = [one for one in (*sources.sentences, *sources.extra) if is_found(fact, one.facts)]
    for part in (clause_of(fact, text), text):
        said = about(part, extract_facts(part))
        if any(2 * len(said & (one.stems | one.about)) >= len(said) for one in having):
            return True
    return False


def _belongs(fact: Fact, facts: Sequence[Fact], text: str, sources: Sources) -> bool:
    """Whether the figure stands beside the same words in the source: "express costs €5" is wrong where standard does.

    The words around the figure are compared with those around every figure of its kind in the source; another value
    that fits strictly better means that two were swapped. A bound turned around ("at least", "up to") is wrong too.
    """
    if fact.kind not in QUANTITIES or fact.kind is Kind.DAY:
        return True
    alike = [other for other in facts if (other.kind, other.unit) == (fact.kind, fact.unit)]
    if any(other.value != fact.value and _belongs(other, [other], text, sources) for other in alike):
        return True  # of two in a range, or side by side, one tells where the other belongs
    clause, whole, bound = around(fact, text), about(text, facts), _bound(fact, text)
    if not clause:
        return True
    fits: dict[bool, int] = {True: 0, False: 0}
    bounds = set()
    for one in (*sources.sentences, *sources.extra):
        for other, labels in one.figures:
            if other.kind is not fact.kind or (other.unit != fact.unit and fact.kind is not Kind.MONEY):
                continue
            same = other.value == fact.value
            its_bound = _bound(other, one.text)
            if same:
                bounds.add(0 if _says_the_rest(facts, one) else its_bound)
            elif not bound and (its_bound or (other.value == "free" and _threshold(one))):
                continue  # a threshold, and what is free beyond it, is no price that could have been swapped
            fit = 2 * _weight(clause & labels) + _weight(whole & one.about)
            fits[same] = max(fits[same], fit)
    return not (bound and bounds == {-bound}) and fits[True] >= fits[False]


def _threshold(source: SourceSentence) -> str:
    """The figure from which, or up to which, the source sentence holds; empty where there is none."""
    figures = (fact for fact, _ in source.figures if fact.kind in _THRESHOLDS and _bound(fact, source.text))
    return next((fact.text for fact in figures), "")


def _says_the_rest(facts: Sequence[Fact], source: SourceSentence) -> bool:
    """Whether a fact is what holds "below that" or "otherwise", where the bound of the source is turned around."""
    rest = _OTHERWISE.search(source.text)
    return rest is not None and any(
        (fact.kind, fact.value) == (other.kind, other.value)
        for fact in facts
        for other in source.facts
        if other.start > rest.start()
    )


def _weight(labels: frozenset[str]) -> int:
    """Days tell more about what a figure belongs to than other words."""
    return sum(2 if label.startswith("day:") else 1 for label in labels)


def _bound(fact: Fact, text: str) -> int:
    before = plain(text)[: fact.start]
    return 1 if _AT_LEAST.search(before) else -1 if _AT_MOST.search(before) else 0


def _thresholds(text: str, facts: Sequence[Fact], sources: Sources) -> Iterator[Reason]:
    """What is free above or below a figure only, said without the figure."""
    free = next((fact for fact in facts if fact.value == "free"), None)
    if free is None or any(_bound(fact, text) for fact in facts):
        return
    if any(fact.kind in _THRESHOLDS for fact in sources.asked.facts):
        return  # the customer has said on which side of it they are
    said = about(text, facts)
    having = [one for one in sources.sentences if is_found(free, one.facts) and 2 * len(said & one.stems) >= len(said)]
    if having and all(map(_threshold, having)):
        yield Reason("condition", _threshold(having[0]))


def _names(text: str, sources: Sources) -> Iterator[Reason]:
    """Capitalised words inside the sentence that neither the sources nor the customer used."""
    if sources.capitalises_nouns:
        return
    for match in _CAPITALISED.finditer(text):
        name = match[2].rstrip("'’-").removesuffix("'s").removesuffix("’s")
        folded = plain(name).casefold()
        known = folded in sources.words or folded in sources.asked_words or stem(folded) in sources.stems
        if known or folded in STOPS or folded.split("'")[0] in STOPS or any(c.isdigit() for c in name):
            continue
        if all(piece in sources.words for piece in re.split(r"[-&']", folded)) or extract_facts(name):
            continue
        yield Reason("name", name)


_ABSOLUTE = re.compile(
    r"\b(?:always|never|any ?time|unlimited|permanently|forever|guaranteed?|as often as|all|immer|jederzeit)\b",
    re.I,
)
# What in a source says as much.
_AS_ABSOLUTE = {
    "all": ("all", "every", "each", "any"),
    "anytime": ("any time", "anytime", "always"),
    "any time": ("any time", "anytime", "always"),
}


def _absolutes(text: str, sources: Sources) -> Iterator[Reason]:
    """Words that admit no exception where the sources use none: most of what a shop promises has a condition."""
    for match in _ABSOLUTE.finditer(text):
        word = match[0].casefold()
        if not any(re.search(rf"\b{same}\b", sources.folded) for same in _AS_ABSOLUTE.get(word, (word,))):
            yield Reason("absolute", match[0])


def _paths(text: str, sources: Sources) -> Iterator[Reason]:
    """Paths through menus, step by step: "Settings → Data" is wrong where the source has "Settings → Roaming"."""
    for match in _PATH_STEP.finditer(plain(text)):
        step = rf"{re.escape(match['from'])}\W*(?:→|>|»|›)\W*{re.escape(match['to'])}\b"
        if not re.search(step, sources.folded, re.I):
            yield Reason("step", f"{match['from']} → {match['to']}")


def _steps(text: str, sources: Sources) -> Iterator[Reason]:
    """Things on a screen and actions that the sources do not name."""
    navigates = bool(_ARROW.search(sources.folded)) or not _NAVIGATES.isdisjoint(sources.stems)
    for word in words(text):
        one = next(iter(content_stems(word)), "")
        if word.casefold() in _CLICKING and not navigates:
            yield Reason("step", word)
        if one in sources.stems or one not in _STEPS:
            continue
        if one in _NAVIGATES and navigates:
            continue
        yield Reason("step", word)


_STEPS = frozenset(map(stem, SCREEN_WORDS | ACTION_WORDS))
_CLICKING = frozenset(("click", "tap", "press"))
