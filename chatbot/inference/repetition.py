"""Holds back what a small model says twice, and notices when it is caught in a loop. Pure.

Greedy decoding of small models ends in loops (Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration").
Penalties on tokens would also forbid the words of the passage that a grounded answer must use, so whole clauses are
compared instead, and only with what this reply has already said.
"""

from __future__ import annotations

import re

# Where a clause may end. A dot or comma inside a number or an address is followed by no space.
_CLAUSE_END = re.compile(r"[.!?;,:](?=\s)|\n")
_WORD = re.compile(r"\w+")
# How a clause is tied to the one before says nothing new.
_JOINTS = {"and", "or", "but", "then", "so", "also"}
# Shorter clauses repeat in honest text: "Account, then Orders", "yes, please".
_FEWEST_WORDS = 4


class RepetitionFilter:
    """Takes a reply as it is generated and gives back what is new in it.

    While the clause under way reads like the beginning of one that was said before, it is held back: it is let go as
    soon as it turns out to be another, and dropped where it is the same. Then `looping` is true and the rest is not
    worth generating.
    """

    def __init__(self) -> None:
        self.looping = False
        self._said: list[tuple[str, ...]] = []
        self._clause = ""
        self._emitted = 0  # characters of the clause under way that have been given out

    def feed(self, text: str) -> str:
        """More text; returns what may be shown now."""
        if self.looping:
            return ""
        self._clause += text
        shown = ""
        while (end := _CLAUSE_END.search(self._clause)) is not None:
            clause, rest = self._clause[: end.end()], self._clause[end.end() :]
            words = _words(clause)
            if len(words) >= _FEWEST_WORDS and words in self._said:
                self.looping = True
                return shown
            shown += clause[self._emitted :]
            self._said.append(words)
            self._clause, self._emitted = rest, 0
        return shown + self._release()

    def finish(self) -> str:
        """The end of the reply; returns what is still held back, unless it was said before."""
        if self.looping:
            return ""
        words = _words(self._clause)
        is_repeated = len(words) >= _FEWEST_WORDS and words in self._said
        rest = "" if is_repeated else self._clause[self._emitted :]
        self._clause, self._emitted = "", 0
        return rest

    def _release(self) -> str:
        """What of the clause under way may be shown: all of it, unless it may still become a repetition."""
        words = _words(self._clause)
        # The last word may be half a word, so it only has to begin like its counterpart.
        may_be_joint = len(words) == 1 and any(joint.startswith(words[0]) for joint in _JOINTS)
        if not words or may_be_joint or any(_begins(said, words) for said in self._said if len(said) >= _FEWEST_WORDS):
            return ""
        shown = self._clause[self._emitted :]
        self._emitted = len(self._clause)
        return shown


def _words(clause: str) -> tuple[str, ...]:
    words = [word.casefold() for word in _WORD.findall(clause)]
    while words and words[0] in _JOINTS:
        del words[0]
    return tuple(words)


def _begins(said: tuple[str, ...], words: tuple[str, ...]) -> bool:
    *whole, last = words
    return len(words) <= len(said) and list(said[: len(whole)]) == whole and said[len(whole)].startswith(last)
