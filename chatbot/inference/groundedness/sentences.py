"""Cuts text into sentences, also while it is still being written. Pure.

Rules instead of a model: a reply has some sentences, and a wrong cut must cost no more than a clause judged by itself.
Where a sentence ends does not depend on how the text was cut into pieces on its way here.
"""

from __future__ import annotations

import re


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Longer sentences are cut between words: nobody waits for a sentence that does not end.
LONGEST = 400
# How far behind an end the text that decides about it may reach. No word of honest text is longer.
_LOOK_AHEAD = 40

_CLOSERS = "\"'”’»)\\]」』）*_"
# What may end a sentence: a line; a stop of Chinese, Japanese; a full stop and its kin before a blank.
_END = re.compile(rf"\n\s*|[。！？｡][{_CLOSERS}]*|[.!?…؟۔।]+[{_CLOSERS}]*(?=\s)")
_WORD_BEFORE = re.compile(r"[^\s(\[“\"'«]*$")
_NUMBER = re.compile(r"\d+")
_LIST_MARKER = re.compile(r"\s*(\d{1,3}|[a-zA-Z])\.$")
_NEXT_WORD = re.compile(r"\s+(\w+)(?=\W)|\s+(?=[^\w\s])")
# A full stop behind these ends no sentence.
_INSIDE = _listed(
    "mr mrs ms dr prof st nos e.g i.e eg ie vs cf approx ca incl excl tel fig abs bzw z.b d.h u.a evtl ggf inkl zzgl "
    "p.ej p.ex sra env dept"
)
# Behind these where a number follows; "no" is a word of its own.
_BEFORE_NUMBERS = frozenset(("no", "nr", "art"))
# Behind these it does where the next word begins like a sentence.
_AT_THE_END_TOO = _listed("a.m p.m am pm etc usw inc ltd co corp gmbh u.s u.k jr sr std ff max min")
_MONTHS = _listed(
    "january february march april may june july august september october november december januar februar märz mai "
    "juni juli oktober dezember"
)


class SentenceBuffer:
    """Takes text in pieces and gives it back in sentences, blanks and all: joined, they are the text again."""

    def __init__(self) -> None:
        self.pending = ""

    def feed(self, text: str) -> list[str]:
        """More text; returns the sentences that it completes."""
        self.pending += text
        sentences: list[str] = []
        while (end := _first_end(self.pending)) is not None:
            sentences.append(self.pending[:end])
            self.pending = self.pending[end:]
        return sentences

    def finish(self) -> list[str]:
        """The end of the text; returns what has not been given back yet, as one sentence at most."""
        rest, self.pending = self.pending, ""
        return [rest] if rest else []


def split_sentences(text: str) -> list[str]:
    """The sentences of a whole text, without the blanks around them."""
    buffer = SentenceBuffer()
    sentences = [*buffer.feed(text), *buffer.finish()]
    return [stripped for sentence in sentences if (stripped := sentence.strip())]


def _first_end(text: str) -> int | None:
    """Where the first sentence of `text` ends; None while that is not certain."""
    for match in _END.finditer(text):
        if match.end() > LONGEST or not text[: match.start()].strip():
            continue
        ends = _ends_here(text, match)
        if ends is None:
            return None if len(text) <= LONGEST + _LOOK_AHEAD else _between_words(text)
        if ends:
            return match.end()
    return _between_words(text) if len(text) > LONGEST + _LOOK_AHEAD else None


def _between_words(text: str) -> int:
    blank = max(text.rfind(" ", 0, LONGEST), text.rfind("\n", 0, LONGEST))
    return blank + 1 if blank > 0 else LONGEST


def _ends_here(text: str, match: re.Match[str]) -> bool | None:
    """Whether the sentence ends with `match`; None where the text that decides it has not come yet."""
    mark = match[0]
    if match.end() == len(text):
        return None  # a closing quote or another blank may follow
    if mark[0] in "\n。！？｡":
        return True
    if mark[0] != "." and mark[0] != "…":
        return True
    before = _WORD_BEFORE.search(text, 0, match.start())
    word = before[0].casefold() if before else ""
    if _LIST_MARKER.match(text[: match.start() + 1]) or word in _INSIDE:
        return False
    following = _NEXT_WORD.match(text, match.end())
    if following is None:
        return None if len(text) - match.end() <= _LOOK_AHEAD else True
    next_word = following[1] or ""
    if word in _BEFORE_NUMBERS and next_word.isdecimal():
        return False
    if _NUMBER.fullmatch(word):  # "am 3. März", "It costs 5. You pay by card."
        return not (next_word[:1].islower() or next_word.casefold() in _MONTHS)
    if word in _AT_THE_END_TOO or len(word) == 1 or mark.startswith(("..", "…")):
        return not next_word[:1].islower() and not (len(word) == 1 and word.isalpha())
    # An abbreviation that nobody listed goes on in small letters.
    return not (next_word[:1].islower() and len(word) < 4)
