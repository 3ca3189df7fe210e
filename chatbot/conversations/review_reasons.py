"""Why a turn is worth a reviewer's time. Pure: the same facts always give the same reasons.

One more reason is one more class in `REASONS`: when it holds, what it keeps, how much it counts, and its words.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

from chatbot.conversations import wording
from chatbot.conversations.policy import CONFIDENCE_FLOOR

# Two intents nearer to each other than this are nearly a tie.
TIE_MARGIN = 0.2
# A score this near to the threshold, as a share of it. Every out-of-scope rule has a scale of its own; this fits all.
THRESHOLD_SHARE = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """What the customer wrote next, and the intent that was followed then."""

    text: str
    intent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What of a turn and its surroundings decides.

    `ranking` is (intent slug, confidence), best first. `offered` is what the reply offered as quick replies.
    `left_to_person`: the customer went over to a person without writing anything more. `shadow` is the intent that a
    candidate in the shadow would have followed instead, empty for none; None where no candidate differs.
    """

    ranking: Sequence[tuple[str, float]] = ()
    out_of_scope_score: float | None = None
    threshold: float | None = None
    was_miss: bool = False
    was_stopped: bool = False
    is_rated_down: bool = False
    offered: Sequence[str] = ()
    follow_up: FollowUp | None = None
    left_to_person: bool = False
    is_out_of_scope: bool = False
    shadow: str | None = None

    @property
    def chosen(self) -> str | None:
        """The intent that the customer chose from what the bot offered."""
        if self.follow_up is None or self.follow_up.text == wording.TALK_TO_A_PERSON:
            return None
        return self.follow_up.intent if self.follow_up.text in self.offered else None


class Reason(ABC):
    """A reason to look at a turn. `weight` is what it counts at its strongest."""

    __slots__ = ()
    kind: ClassVar[str]
    label: ClassVar[str]
    weight: ClassVar[int]

    @classmethod
    @abstractmethod
    def of(cls, facts: Facts) -> Self | None:
        """The reason, if it holds."""

    @property
    def strength(self) -> float:
        """From 0 to 1."""
        return 1.0

    @abstractmethod
    def words(self, names: Mapping[str, str]) -> str:
        """For the reviewer. `names` has the intents' names by slug; what left the catalogue is called by its slug."""

    @property
    def points(self) -> int:
        return max(1, round(self.weight * self.strength))


@dataclass(frozen=True, slots=True)
class ThumbsDown(Reason):
    """Somebody took the trouble to say that it was wrong."""

    kind, label, weight = "thumbs_down", "Thumbs down", 100

    @classmethod
    def of(cls, facts: Facts) -> Self | None:
        return cls() if facts.is_rated_down else None

    def words(self, names: Mapping[str, str]) -> str:
        return "The customer gave the reply thumbs down"


@dataclass(frozen=True, slots=True)
class MissedClarification(Reason):
    """Neither of the two best intents was meant."""

    kind, label, weight = "missed_clarification", "Asked back in vain", 80

    @classmethod
    def of(cls, facts: Facts) -> Self | None:
        if not facts.was_miss or facts.chosen is not None:
            return None
        return cls() if facts.follow_up is not None or facts.left_to_person else None

    def words(self, names: Mapping[str, str]) -> str:
        return "The bot asked what was meant, and nothing that it offered was"


@dataclass(frozen=True, slots=True)
class ChosenAfterwards(Reason):
    """The customer labelled it; a reviewer has only to confirm."""

    intent: str
    kind, label, weight = "chosen_afterwards", "Chosen afterwards", 50

    @classmethod
    def of(cls, facts: Facts) -> Self | None:
        return cls(facts.chosen) if facts.was_miss and facts.chosen is not None else None

    def words(self, names: Mapping[str, str]) -> str:
        return f"The bot asked what was meant, and the customer chose {_quoted(self.intent, names)}"


@dataclass(frozen=True, slots=True)
class NearTie(Reason):
    """The right label moves the border between two intents."""

    first: str
    first_confidence: float
    second: str
    second_confidence: float
    kind, label, weight = "near_tie", "Nearly a tie", 60

    @classmethod
    def of(cls, facts: Facts) -> Self | None:
        if _margin(facts) >= TIE_MARGIN:
            return None
        (first, first_confidence), (second, second_confidence) = facts.ranking[:2]
        return cls(first, first_confidence, second, second_confidence)

    @property
    def strength(self) -> float:
        return 1 - (self.first_confidence - self.second_confidence) / TIE_MARGIN

    def words(self, names: Mapping[str, str]) -> str:
        first = f"{_quoted(self.first, names)} {self.first_confidence:.0%}"
        return f"{first}, {_quoted(self.second, names)} {self.second_confidence:.0%}: nearly a tie"


@dataclass(frozen=True, slots=True)
class Unsure(Reason):
    """No intent stands out, and none competes either: the catalogue has few examples like it."""

    best: str
    confidence: float
    kind, label, weight = "unsure", "Unsure", 50

    @classmethod
    def of(cls, facts: Facts) -> Self | None:
        if not facts.ranking or _margin(facts) < TIE_MARGIN:
            return None
        best, confidence = facts.ranking[0]
        return cls(best, confidence) if confidence < CONFIDENCE_FLOOR else None

    @property
    def strength(self) -> float:
        return 1 - self.confidence / CONFIDENCE_FLOOR

    def words(self, names: Mapping[str, str]) -> str:
        return f"{_quoted(self.best, names)} is the best guess, with only {self.confidence:.0%}"


@dataclass(frozen=True, slots=True)
class NearThreshold(Reason):
    """A little more or less strange, and the bot would have decided otherwise whether to try at all."""

    score: float
    threshold: float
    kind, label, weight = "near_threshold", "Barely in or out of scope", 60

    @classmethod
    def of(cls, facts: Facts) -> Self | None:
        score, threshold = facts.out_of_scope_score, facts.threshold
        if score is None or threshold is None or abs(score - threshold) >= THRESHOLD_SHARE * abs(threshold):
            return None
        return cls(score, threshold)

    @property
    def strength(self) -> float:
        return 1 - abs(self.score - self.threshold) / (THRESHOLD_SHARE * abs(self.threshold))

    def words(self, names: Mapping[str, str]) -> str:
        side = "out of" if self.score > self.threshold else "in"
        return f"Barely {side} scope: strangeness {self.score:.2f}, threshold {self.threshold:.2f}"


@dataclass(frozen=True, slots=True)
class Stopped(Reason):
    """Perhaps the reply went astray, perhaps the customer had read enough."""

    kind, label, weight = "stopped", "Stopped by the customer", 30

    @classmethod
    def of(cls, facts: Facts) -> Self | None:
        return cls() if facts.was_stopped else None

    def words(self, names: Mapping[str, str]) -> str:
        return "The customer stopped the reply"


@dataclass(frozen=True, slots=True)
class Disagreement(Reason):
    """The current classifier and the candidate cannot both be right, and the label says which is."""

    served: str
    shadow: str
    kind, label, weight = "disagreement", "Candidate disagrees", 70

    @classmethod
    def of(cls, facts: Facts) -> Self | None:
        if facts.shadow is None:
            return None
        served = "" if facts.is_out_of_scope or not facts.ranking else facts.ranking[0][0]
        return cls(served, facts.shadow) if served != facts.shadow else None

    def words(self, names: Mapping[str, str]) -> str:
        served, shadow = (_quoted(slug, names) if slug else "out of scope" for slug in (self.served, self.shadow))
        return f"Taken for {served}, while the candidate in the shadow says {shadow}"


REASONS: tuple[type[Reason], ...] = (
    ThumbsDown, MissedClarification, Disagreement, NearTie, NearThreshold, Unsure, ChosenAfterwards, Stopped,
)  # fmt: skip
_BY_KIND = {reason.kind: reason for reason in REASONS}


def reasons_for(facts: Facts) -> list[Reason]:
    """Those that hold, the weightiest first."""
    found = [reason for reason in (each.of(facts) for each in REASONS) if reason is not None]
    return sorted(found, key=lambda reason: -reason.points)


def store(reasons: Sequence[Reason]) -> dict[str, Any]:
    """As JSON, by kind."""
    return {reason.kind: asdict(reason) for reason in reasons}  # type: ignore[call-overload]  # each is a dataclass


def revive(stored: Mapping[str, Any]) -> list[Reason]:
    """What `store` made. A kind that there is no longer is left out."""
    reasons = [_BY_KIND[kind](**kept) for kind, kept in stored.items() if kind in _BY_KIND]
    return sorted(reasons, key=lambda reason: -reason.points)


def _margin(facts: Facts) -> float:
    """Between the two best intents; nothing competes where there are not two."""
    if len(facts.ranking) < 2:
        return 1.0
    return facts.ranking[0][1] - facts.ranking[1][1]


def _quoted(slug: str, names: Mapping[str, str]) -> str:
    return f"“{names.get(slug, slug)}”"
