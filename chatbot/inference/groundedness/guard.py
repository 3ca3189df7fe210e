"""Keeps a reply to its sources while it streams: each sentence is judged as it completes. Pure.

What a customer has seen is never taken back. So a sentence is shown once it is judged, and the stream never waits for
more than that; while the words under way are those that a source sentence begins with, they are shown at once, because
should the rest turn out to be made up, the source's own continuation finishes the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import Any

from chatbot.inference.groundedness.claims import content_stems
from chatbot.inference.groundedness.judging import Verdict, claims_nothing, judge, without_opener
from chatbot.inference.groundedness.sentences import SentenceBuffer
from chatbot.inference.groundedness.sources import Sources, SourceSentence

# So many words of a source sentence in a row are no accident.
_FEWEST_COPIED = 3
# A reply of which more had to be replaced answers something else; the passage is linked below it anyway.
_MOST_REPLACED = 2
# What a source sentence must share with the question and the sentence that it stands in for, at least.
_FEWEST_SHARED = 2
# Of the question's content, before the passage is quoted where nothing else is left.
_ANSWERS = 0.5

_MARKER = re.compile(r"\s*(?:[-*•]|\d{1,2}[.)])\s+")
_TOKEN = re.compile(r"\S+")
_AROUND_TOKENS = "*_“”\"'‘’()"


class Mode(StrEnum):
    """What happens to sentences that the sources do not support."""

    REPLACE = "replace"
    FLAG = "flag"
    OFF = "off"


class Fate(StrEnum):
    """What became of a sentence."""

    KEPT = "kept"
    REPLACED = "replaced"
    LEFT_OUT = "left out"
    FLAGGED = "flagged"


@dataclass(frozen=True, slots=True)
class Checked:
    """A sentence as the model wrote it, and what the customer was shown for it."""

    text: str
    verdict: Verdict
    fate: Fate
    shown: str

    def record(self) -> dict[str, Any]:
        """As it is stored with the turn."""
        kept: dict[str, Any] = {"text": self.text, "fate": self.fate.value, "score": self.verdict.score}
        if self.verdict.reasons:
            kept["reasons"] = [[reason.kind, reason.text] for reason in self.verdict.reasons]
        if self.fate is Fate.REPLACED:
            kept["shown"] = self.shown
        return kept


class GroundednessGuard:
    """Takes a reply as it is generated and gives back what may be shown."""

    def __init__(self, sources: Sources, mode: Mode = Mode.REPLACE) -> None:
        self.mode = mode
        self.checked: list[Checked] = []
        self._sources = sources
        self._buffer = SentenceBuffer()
        self._released = 0  # characters of the sentence under way that have been shown
        self._said: set[int] = set()  # places of source sentences that have been shown

    @property
    def says_nothing(self) -> bool:
        """Whether so much was left out that no content remains."""
        return any(checked.fate is Fate.LEFT_OUT for checked in self.checked) and self._is_courtesy_alone()

    def _is_courtesy_alone(self) -> bool:
        return all(claims_nothing(checked.shown) for checked in self.checked if checked.shown)

    def feed(self, text: str) -> str:
        """More text; returns what may be shown now."""
        if self.mode is Mode.OFF:
            return text
        sentences = self._buffer.feed(text)
        if self.mode is Mode.FLAG:
            for sentence in sentences:
                self._flag(sentence)
            return text
        return "".join(self._settle(sentence) for sentence in sentences) + self._release()

    def finish(self, text: str = "", *, was_stopped: bool = False) -> str:
        """The end of the reply; returns what is still to be shown.

        Where nothing supported has been said, that is what the passage itself says about the question, if it does. A
        reply that the customer stopped gets nothing added.
        """
        shown = self.feed(text)
        for sentence in self._buffer.finish():
            if self.mode is Mode.FLAG:
                self._flag(sentence)
            elif was_stopped and not judge(sentence, self._sources).supported:
                self._released = 0
            elif self.checked and not self._released and _is_fragment(sentence):
                pass  # "Old paint,": what a loop or the longest reply has cut off says nothing
            else:
                shown += self._settle(sentence)
        if self.mode is Mode.REPLACE and not was_stopped and self._is_courtesy_alone():
            answer = self._answer_from_source()
            shown += f" {answer}" if answer and any(checked.shown for checked in self.checked[:-1]) else answer
        return shown

    def record(self) -> dict[str, Any]:
        """What was found and done, as it is stored with the turn."""
        if not self.checked:
            return {}
        return {"mode": self.mode.value, "sentences": [checked.record() for checked in self.checked]}

    def _flag(self, sentence: str) -> None:
        if sentence.strip():
            verdict = judge(sentence, self._sources)
            fate = Fate.KEPT if verdict.supported else Fate.FLAGGED
            self.checked.append(Checked(sentence.strip(), verdict, fate, sentence.strip()))

    # --- Replacing --------------------------------------------------------------------------------

    def _settle(self, sentence: str) -> str:
        """What is shown for a whole sentence, beyond what has been shown of it."""
        shown_before, self._released = self._released, 0
        if not sentence.strip():
            return sentence[shown_before:]
        # As if its words had come one by one: what is shown must not depend on how a reply is cut.
        released, followed = self._follow(sentence)
        verdict = judge(sentence, self._sources)
        fate, rest = self._decide(sentence, verdict, released, followed)
        shown = sentence[:released] + rest
        self.checked.append(Checked(sentence.strip(), verdict, fate, shown.strip()))
        if fate is Fate.KEPT:
            self._note_said(sentence)
        return shown[shown_before:]

    def _decide(
        self, sentence: str, verdict: Verdict, released: int, followed: SourceSentence | None
    ) -> tuple[Fate, str]:
        """What becomes of a sentence, of which some words are shown, and what follows them."""
        leading, trailing = _blanks(sentence)
        if verdict.supported:
            # A wish to have helped helps nobody where all before it was left out.
            idle = claims_nothing(sentence) and self.says_nothing
            repeats = released == 0 and self._repeats_a_replacement(sentence)
            return (Fate.LEFT_OUT, "") if idle or repeats else (Fate.KEPT, sentence[released:])
        if followed is not None:
            self._said.add(self._sources.sentences.index(followed))
            return Fate.REPLACED, _continuation(sentence[:released], followed.text) + trailing
        if verdict.only_its_opener and content_stems(body := without_opener(sentence.strip())):
            return Fate.REPLACED, leading + body + trailing
        replaced = sum(checked.fate is Fate.REPLACED for checked in self.checked)
        place = self._stand_in(sentence) if replaced < _MOST_REPLACED else None
        if place is None:
            return Fate.LEFT_OUT, ""
        self._said.add(place)
        return Fate.REPLACED, leading + _bare(self._sources.sentences[place].text) + trailing

    def _stand_in(self, sentence: str) -> int | None:
        """The place of the source sentence that says what can be said instead, unless it was said before."""
        stated, asked = frozenset(content_stems(sentence)), self._sources.asked.stems
        best, place = 0.0, None
        for index, source in enumerate(self._sources.sentences):
            shared = len(source.stems & (stated | asked))
            is_about_it = shared >= min(_FEWEST_SHARED, len(source.stems)) or (asked and asked <= source.stems)
            if index in self._said or not is_about_it or source.text.endswith(":"):
                continue
            fit = (len(source.stems & stated) + 1.5 * len(source.stems & asked)) / (3 + len(source.stems)) ** 0.5
            if fit > best:
                best, place = fit, index
        return place

    def _answer_from_source(self) -> str:
        asked = self._sources.asked.stems
        known = asked & self._sources.stems
        place = self._stand_in("") if asked and len(known) >= _ANSWERS * len(asked) else None
        if place is None:
            return ""
        text = _bare(self._sources.sentences[place].text)
        self.checked.append(Checked("", Verdict(0.0), Fate.REPLACED, text))
        return text

    def _note_said(self, sentence: str) -> None:
        stems = frozenset(content_stems(sentence))
        for index, source in enumerate(self._sources.sentences):
            if source.stems and len(source.stems & stems) >= 0.8 * len(source.stems):
                self._said.add(index)

    def _repeats_a_replacement(self, sentence: str) -> bool:
        stems = content_stems(sentence)
        return bool(stems) and any(
            checked.fate is Fate.REPLACED and set(stems) <= set(content_stems(checked.shown))
            for checked in self.checked
        )

    # --- Showing words before their sentence is whole -----------------------------------------------

    def _release(self) -> str:
        """The words under way that may be shown, beyond those that have been."""
        released, _ = self._follow(self._buffer.pending)
        shown = self._buffer.pending[self._released : released]
        self._released = max(self._released, released)
        return shown

    def _follow(self, sentence: str) -> tuple[int, SourceSentence | None]:
        """How many characters of a sentence are the beginning of a source sentence, in whole words, and of which."""
        marker = _MARKER.match(sentence)
        # The last word may be half a word, or be followed by what changes it.
        words = [token for token in _tokens(sentence, marker.end() if marker else 0) if token.end() < len(sentence)]
        written = [_same(token[0]) for token in words]
        longest, followed = 0, None
        for index, source in enumerate(self._sources.sentences):
            begins = (_same(token[0]) for token in _tokens(_bare(source.text)))
            alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(written, begins, strict=False)))
            if alike > longest and index not in self._said:
                longest, followed = alike, source
        return (words[longest - 1].end(), followed) if longest >= _FEWEST_COPIED else (0, None)


def _is_fragment(sentence: str) -> bool:
    return sentence.rstrip().endswith((",", ";", ":"))


def _tokens(text: str, start: int = 0) -> Iterator[re.Match[str]]:
    return _TOKEN.finditer(text, start)


def _same(token: str) -> str:
    return token.casefold().strip(_AROUND_TOKENS)


def _bare(text: str) -> str:
    """A source sentence without the mark of the list that it stands in."""
    marker = _MARKER.match(text)
    return text[marker.end() :].strip() if marker else text.strip()


def _continuation(begun: str, source: str) -> str:
    """What is missing of a source sentence of which the first words are shown."""
    marker = _MARKER.match(begun)
    count = sum(1 for _ in _tokens(begun, marker.end() if marker else 0))
    bare = _bare(source)
    *_, last = (token for token, _ in zip(_tokens(bare), range(count), strict=False))
    return bare[last.end() :]


def _blanks(sentence: str) -> tuple[str, str]:
    stripped = sentence.strip()
    start = sentence.index(stripped)
    return sentence[:start], sentence[start + len(stripped) :]
