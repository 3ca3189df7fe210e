"""What the groundedness guard found in a reply, in a reviewer's words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chatbot.inference.groundedness import Fate, Mode

_FATES = {
    Fate.KEPT: "Supported",
    Fate.REPLACED: "Replaced",
    Fate.LEFT_OUT: "Left out",
    Fate.FLAGGED: "Not supported, shown all the same",
}
_OPENING = {
    Mode.REPLACE: "Every sentence was compared with the sources before the customer saw it.",
    Mode.FLAG: "Every sentence was compared with the sources; nothing was changed.",
}
_REASONS = {
    "name": "names “{text}”, which the sources don't",
    "step": "describes a step with “{text}”, which the sources don't",
    "absolute": "promises “{text}”, which the sources don't",
    "answer": "says “{text}” to something that the sources don't confirm",
    "condition": "leaves out the condition “{text}”",
    "echo": "only repeats the question",
    "contradiction": "says the opposite of the sources",
    "content": "is mostly about things that the sources don't mention",
}
_FACT = "states the {kind} “{text}”, which the sources don't state so"


@dataclass(frozen=True, slots=True)
class ReportedSentence:
    """`text` is the model's, empty where the passage was quoted without it; `shown` what stood in for it, if any.

    `score` is the share of its words that the sources have, 0 to 1.
    """

    text: str
    fate: str
    label: str
    score: float
    why: str
    shown: str


@dataclass(frozen=True, slots=True)
class GroundednessReport:
    """How a reply stood to its sources, sentence by sentence."""

    opening: str
    summary: str
    sentences: list[ReportedSentence]

    @property
    def changed(self) -> int:
        """How many sentences the customer did not see as the model wrote them, or saw unsupported."""
        return sum(sentence.fate != Fate.KEPT.value for sentence in self.sentences)


def read_groundedness(record: Mapping[str, Any]) -> GroundednessReport | None:
    """The report of what is stored with a turn; None where nothing was checked."""
    if not record.get("sentences"):
        return None
    sentences = [_sentence(stored) for stored in record["sentences"]]
    counts = Counter(sentence.label for sentence in sentences)
    summary = ", ".join(f"{counts[label]} {label.lower()}" for label in _FATES.values() if counts[label])
    return GroundednessReport(_OPENING.get(Mode(record["mode"]), ""), summary, sentences)


def _sentence(stored: Mapping[str, Any]) -> ReportedSentence:
    fate = Fate(stored["fate"])
    reasons = [_REASONS.get(kind, _FACT).format(kind=kind, text=text) for kind, text in stored.get("reasons", [])]
    return ReportedSentence(
        text=stored["text"],
        fate=fate.value.replace(" ", "-"),
        label=_FATES[fate],
        score=stored["score"],
        why=f"It {'; it '.join(reasons)}." if reasons else "",
        shown=stored.get("shown", ""),
    )
