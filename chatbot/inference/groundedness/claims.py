"""What a sentence claims, as far as words tell: its content in stems, what is denied, and before or after what. Pure.

Comparing a claim with the source sentence that it resembles most, instead of with the whole source, is what made such
comparisons work (Laban et al. 2022, "SummaC"); that negation and opposites are what overlap alone is blind to is known
since Kryściński et al. 2020 ("FactCC"). Both use models of language inference where this uses word lists: they take a
second on a processor where this takes a millisecond, and they read English only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from chatbot.inference.groundedness.claim_words import AFTER, NEGATORS, OPPOSITES, SAME, STOPS, UNTIL
from chatbot.inference.groundedness.facts import plain

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_CJK}]+|[^\W\d_{_CJK}]+(?:'[a-z]+)?|\d+(?:[.,:]\d+)*", re.I)
# Verbs that another word makes another verb.
_PARTICLE = re.compile(
    r"\b(check|sign|log|pick|drop)(?:s|ed|ing|p?ing|p?ed)?(?:[- ]| (?:it|them|one|this) )(in|out|up|off)\b",
    re.I,
)
# Where words are not apart, what denies and what carries no meaning takes them apart.
_CJK_SPLIT = re.compile(r"([不没无未])|[的了是在和也可能以会将后内请您我们吗就都到]")
_CONDITION = re.compile(r"if|unless|when|wenn|falls|si", re.I)
_CLAUSE_END = re.compile(
    r"([,;:·|\n—–()→]|[。，；、！？]|[.!?](?=\s|$)|\b(?:and|but|so|then|because|although|though|whereas|that|which|who|if|unless|"
    r"when|und|aber|wenn|falls|et|mais|si|y|pero)\b)",
    re.I,
)
# Negations that deny nothing.
_NOT_DENIED = re.compile(
    r"\bnot only\b|\bno problem\b|\bdo(?:n't| not) worry\b|\bdo(?:n't| not) (?:forget|hesitate)\b|\bwhether or not\b"
    r"|\bif not\b|\bno later than\b|\bno more than\b|\bnot more than\b|\bno less than\b|\bno matter\b|\b(?:costs?"
    r"|pay) nothing\b|\b(?:at )?(?:no|without) (?:extra |additional )?(?:cost|charge|fee)s?\b",
    re.I,
)
_BEING = frozenset(("is", "are", "be", "was", "were", "been", "it's", "we're", "stays", "remains", "remain", "stay"))
# "Until two hours before departure for €40": what follows a bound is soon something else.
_LONGEST_BOUND = 3
_PREDICATES = frozenset(("closed", "closes", "close"))
# Each with the fewest letters that must be left: "order" and "best" end in none.
_SUFFIXES = {
    "ations": 3, "ation": 3, "able": 3, "ible": 3, "ments": 3, "ment": 3, "ings": 3, "ing": 3, "ingly": 3, "edly": 3,
    "ies": 3, "ied": 3, "ers": 4, "est": 4, "ed": 3, "es": 3, "er": 4, "ly": 3, "s": 3,
}  # fmt: skip
_ARABIC_PREFIX = re.compile(r"^(?:وال|بال|كال|فال|لل|ال|و)(?=\w{3})")
_ARABIC_SUFFIX = re.compile(r"(?<=\w{3})(?:ات|ون|ين|ها|ة|ه|ي)$")


@dataclass(frozen=True, slots=True)
class Clause:
    """`stems` are what it is about, `subject` the first of them; `sign` is -1 where it is denied.

    `edges` are its bounds in time: ("until" or "after", the stems of what it is until or after).
    """

    stems: frozenset[str]
    subject: str
    sign: int
    edges: tuple[tuple[str, frozenset[str]], ...]

    @property
    def predicate(self) -> frozenset[str]:
        """What is claimed or denied, without its bounds; all of it where there is nothing else."""
        stems = frozenset(one for one in self.stems if not one[0].isdigit())
        return stems.difference(*(bounded for _, bounded in self.edges)) or stems


@lru_cache(maxsize=4096)
def stem(word: str) -> str:
    """A form that the inflections of a word share, and words that mean the same on a help page."""
    word = word.casefold().removesuffix("'s").removesuffix("'")
    if word in SAME:
        return SAME[word]
    word = _ARABIC_SUFFIX.sub("", _ARABIC_PREFIX.sub("", word))
    root = _without_suffixes(word)
    if root in SAME:
        return SAME[root]
    root = (root.rstrip("eyi") or root) if len(root) > 3 else root
    return SAME.get(root, root)


def _without_suffixes(word: str) -> str:
    """The word without its endings, one after the other: "transferred", "transfer", "transf"."""
    for suffix, shortest in _SUFFIXES.items():
        if word.endswith(suffix) and len(word) - len(suffix) >= shortest:
            root = word[: -len(suffix)]
            if root in SAME:
                return root
            doubled = len(root) > 3 and root[-1] == root[-2] and root[-1] not in "aeiou"
            return _without_suffixes(root[:-1] if doubled else root)
    return word


_OPPOSITE_STEMS = {stem(word): (stem(other), -1) for word, other in OPPOSITES.items()}


def words(text: str) -> Iterator[str]:
    """The words of a text; where a script puts no blanks between them, pairs of characters."""
    for match in _WORD.finditer(_PARTICLE.sub(r"\1\2", plain(text))):
        word = match[0]
        if re.match(rf"[{_CJK}]", word):
            for piece in filter(None, _CJK_SPLIT.split(word)):
                if piece in NEGATORS:
                    yield piece
                else:
                    yield from (piece[place : place + 2] for place in range(max(1, len(piece) - 1)))
        else:
            yield word


def content_stems(text: str) -> tuple[str, ...]:
    """The stems of the words that carry meaning, in order, without opposites' signs; numbers are not among them."""
    return tuple(one for word in words(text) if (one := _content(word)))


def _content(word: str) -> str:
    folded = word.casefold()
    if folded[:1].isdigit() or folded in STOPS or folded in NEGATORS or folded.endswith("n't"):
        return ""
    if folded in UNTIL or folded in AFTER:
        return ""
    root = stem(folded)
    return _OPPOSITE_STEMS[root][0] if root in _OPPOSITE_STEMS else root


def clauses(text: str) -> list[Clause]:
    """The clauses of a text that say anything. Conditions deny nothing: "if you don't cancel" says that one can."""
    pieces = _CLAUSE_END.split(_NOT_DENIED.sub(" ", plain(text)))
    found = []
    for place in range(0, len(pieces), 2):
        clause = _clause(pieces[place])
        if place and _CONDITION.fullmatch(pieces[place - 1]):
            clause = replace(clause, sign=1)
        if clause.stems:
            found.append(clause)
    return found


def _clause(text: str) -> Clause:
    stems: list[str] = []
    edges: list[tuple[str, list[str]]] = []
    sign = 1
    folded = before = ""
    for word in words(text):
        before, folded = folded, word.casefold()
        if folded in NEGATORS or folded.endswith("n't"):
            sign = -sign
        elif folded in UNTIL or folded in AFTER:
            edges.append(("until" if folded in UNTIL else "after", []))
        elif root := folded if folded[:1].isdigit() else _content(word):
            # "It is closed" denies that it is open; "in a closed bag" denies nothing.
            if folded not in _PREDICATES or before in _BEING:
                sign *= _OPPOSITE_STEMS.get(stem(folded), ("", 1))[1]
            stems.append(root)
            if edges and len(edges[-1][1]) < _LONGEST_BOUND:
                edges[-1][1].append(root)
    if len(edges) == 1 and edges[0][1] == stems[:_LONGEST_BOUND]:
        # "After 30 minutes it cannot be cancelled": not all of what follows is the bound.
        edges = [(edges[0][0], stems[:2])] if len(stems) > 2 else []
    return Clause(
        frozenset(stems),
        stems[0] if stems else "",
        sign,
        tuple((edge, frozenset(bounded)) for edge, bounded in edges if bounded),
    )


def contradicts(claim: Clause, source: Sequence[Clause]) -> bool:
    """Whether a source sentence, by its clauses, denies the claim, or affirms what the claim denies.

    A claim is denied where the source has a part of it, other than its subject alone, in denied clauses only; a
    denial needs some part of it denied
    there. A bound that is turned around ("until it ships", "after it shipped") turns the sense like a denial, and both
    together leave it as it was.
    """
    signs: dict[str, set[int]] = {}
    predicates: set[str] = set()
    # "Until departure, and for 28 days after": what the second bound refers to is not in its clause.
    refers_back = any(not moment for other in source for _, moment in other.edges)
    for other in source:
        for one in other.predicate & claim.predicate:
            turned = 1 if refers_back else _turned(claim, other)
            signs.setdefault(one, set()).add(other.sign * turned)
            if len(other.predicate) == 1:
                predicates.add(one)
    if not signs:
        return False
    if claim.sign > 0:
        # "Tyres are not taken; bring them to the yard" does not deny "bring tyres to the yard".
        denied = {one for one, found in signs.items() if found == {-1}}
        return bool(denied - ({claim.subject} - predicates)) or denied == set(signs)
    return all(found == {1} for found in signs.values())


def _turned(claim: Clause, other: Clause) -> int:
    """-1 where the two stand on different sides of the same moment."""
    sides = {
        mine == theirs
        for mine, my_moment in claim.edges
        for theirs, their_moment in other.edges
        if my_moment & their_moment
    }
    return -1 if sides == {False} else 1
