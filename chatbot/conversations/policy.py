"""What the bot does about a message. Pure: the same prediction, rules and history always give the same action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chatbot.inference.predictions import Prediction

if TYPE_CHECKING:
    from chatbot.intents.selectors import IntentRule

# Below this the best guess is wrong about as often as right (confidences are calibrated), and asking costs the customer
# less than a wrong answer does.
CONFIDENCE_FLOOR = 0.45
# The bot asks once; a second miss in a row offers a person.
MISSES_BEFORE_OFFER = 1
# Who still asks after that, without taking the offer, is not asked back for ever.
MISSES_BEFORE_HANDOFF = 2
MEANT_CHOICES = 2
PERSON = "person"
# How the reason of such a turn begins, by which it is known later.
ONLY_ENGLISH = "a language that the models don't have"


@dataclass(frozen=True, slots=True)
class History:
    """What policy remembers of the conversation.

    `misses`: how many of the bot's latest replies in a row were misses. `offered`: what the latest reply offered as
    quick replies, text → intent slug, or `PERSON` for the offer of a person. `told_only_english`: the customer
    has heard in this conversation that the bot does not speak their language.
    """

    misses: int = 0
    told_only_english: bool = False
    offered: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """Send the approved answer word for word."""

    intent: str
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Generate:
    """Let the model write, grounded in the passages that are found for the message."""

    intent: str
    guidance: str
    reason: str


@dataclass(frozen=True, slots=True)
class Clarify:
    """Ask which of these intents was meant. A miss."""

    intents: tuple[str, ...]
    out_of_scope: bool
    reason: str


@dataclass(frozen=True, slots=True)
class OfferPerson:
    """Say that it was not understood again, and offer a person. A miss."""

    reason: str


@dataclass(frozen=True, slots=True)
class HandOff:
    """Hand the conversation over to a person."""

    intent: str
    reason: str


@dataclass(frozen=True, slots=True)
class CannotRead:
    """Say that files can't be read, and offer a person. No miss: there was nothing to understand."""

    reason: str


@dataclass(frozen=True, slots=True)
class OnlyEnglish:
    """Say that the models have no words in the customer's language, and offer a person. No miss."""

    reason: str


Action = Answer | Generate | Clarify | OfferPerson | HandOff | CannotRead | OnlyEnglish


def decide(
    prediction: Prediction | None, rules: Mapping[str, IntentRule], history: History, text: str = "", foreign: str = ""
) -> Action:
    """What to do about a message.

    Args:
        prediction: what the classifier says of it; None where it is files alone, of which nothing can be read.
        rules: the active intents by slug. Intents that are no longer active are passed over.
        history: what came before.
        text: the message, compared with the quick replies that the bot itself offered.
        foreign: its language, where that is certain and none that the models have.
    """
    if prediction is None:
        return CannotRead("files without a text, which the bot cannot read")
    chosen = history.offered.get(text.strip())
    if chosen == PERSON:
        return HandOff("", "the customer took the offer of a person")
    if chosen is not None and chosen in rules:
        return _follow(rules[chosen], "the customer chose it from what was offered")
    if foreign and not history.told_only_english:
        return OnlyEnglish(f"{ONLY_ENGLISH}: {foreign}")
    known = [ranked for ranked in prediction.ranking if ranked.intent in rules]
    if not known:
        return _miss((), True, history, "no active intent fits")
    best = known[0]
    meant = tuple(ranked.intent for ranked in known[:MEANT_CHOICES])
    if prediction.out_of_scope:
        reason = f"out of scope: {prediction.out_of_scope_score:.2f} is over {prediction.threshold:.2f}"
        return _miss(meant, True, history, reason)
    if best.confidence < CONFIDENCE_FLOOR:
        return _miss(meant, False, history, f"unsure: {best.confidence:.0%} is under {CONFIDENCE_FLOOR:.0%}")
    return _follow(rules[best.intent], f"understood with {best.confidence:.0%}")


def _miss(meant: tuple[str, ...], out_of_scope: bool, history: History, reason: str) -> Action:
    if history.misses >= MISSES_BEFORE_HANDOFF:
        return HandOff("", f"{reason}; a person was offered before")
    if history.misses >= MISSES_BEFORE_OFFER:
        return OfferPerson(f"{reason}; not understood before either")
    return Clarify(meant, out_of_scope, reason)


def _follow(rule: IntentRule, reason: str) -> Action:
    if rule.mode == "approved":
        return Answer(rule.slug, rule.approved_answer, reason)
    if rule.mode == "handoff":
        return HandOff(rule.slug, reason)
    return Generate(rule.slug, rule.guidance, reason)
