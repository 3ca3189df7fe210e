"""Explanations of predictions: asked for by a page, made by a worker, kept with the turn."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

from celery import current_app
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from chatbot.conversations.models import PredictionExplanation, Turn
from chatbot.exceptions import FrontdeskError, NotFound
from chatbot.inference.normalisation import text_key
from chatbot.intents.models import Example
from chatbot.releases.models import Release

if TYPE_CHECKING:
    from chatbot.inference.references import References
    from chatbot.inference.text_classifier import TextClassifier

logger = logging.getLogger(__name__)

EXPLAIN_TASK = "chatbot.conversations.tasks.explain_prediction"
NO_BROKER = "No worker could be told: the broker does not answer. Ask again once it is back."
# After this nobody is making it any more: the task was lost with its worker or its broker.
LOST_AFTER = timedelta(seconds=60)
# Shades of a word's weight, the strongest last; what weighs less than a tenth of the strongest word is left plain.
SHADES = (0.1, 0.35, 0.65)
Status = PredictionExplanation.Status


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of the customer's message. `shade` is 0 (hardly matters) to 3; `weight` is None between words."""

    text: str
    weight: float | None = None
    shade: int = 0

    @property
    def direction(self) -> str:
        return "against" if self.weight is not None and self.weight < 0 else "towards"


@dataclass(frozen=True, slots=True)
class NearExample:
    """A training example near the message. `text` is empty where it has left the catalogue since."""

    text: str
    intent: str
    similarity: float


# --- Asking ---------------------------------------------------------------------------------------


def request_explanation(*, turn_id: UUID, conversation_id: UUID) -> PredictionExplanation:
    """Have the turn's prediction explained, again if it was before. Raises NotFound where there is no such turn."""
    with transaction.atomic():
        turn = Turn.objects.filter(pk=turn_id, conversation_id=conversation_id).first()
        if turn is None:
            raise NotFound("This turn does not exist.")
        explanation, _ = PredictionExplanation.objects.update_or_create(
            turn=turn,
            defaults={"status": Status.WAITING, "contents": {}, "error": "", "requested_at": timezone.now()},
        )
        transaction.on_commit(lambda: _send(explanation))
    return explanation


def _send(explanation: PredictionExplanation) -> None:
    try:
        current_app.send_task(EXPLAIN_TASK, args=[str(explanation.turn_id)])
    except (OperationalError, RedisError, OSError) as error:
        logger.warning("no worker was told to explain turn %s: %s", explanation.turn_id, error)
        _settle(explanation.turn_id, Status.FAILED, error=NO_BROKER)


# --- Making ---------------------------------------------------------------------------------------


def explain_turn(*, turn_id: UUID) -> None:
    """Make and store the explanation if it is waited for; what goes wrong is stored as its error. Needs models."""
    waiting = PredictionExplanation.objects.filter(turn_id=turn_id, status=Status.WAITING)
    found = waiting.select_related("turn__message", "turn__classifier").first()
    if found is None:
        return
    turn = found.turn
    if turn.classifier is None:
        _settle(turn_id, Status.FAILED, error="This message was not classified, so there is nothing to explain.")
        return
    try:
        classifier, references = _loaded(turn.classifier.pk)
        contents = _explained(classifier, references, turn.message.text)
    except FrontdeskError as error:
        logger.error("turn %s was not explained: %s", turn_id, error)
        _settle(turn_id, Status.FAILED, error=str(error))
    else:
        _settle(turn_id, Status.DONE, contents=contents)


def _settle(turn_id: UUID, status: str, *, contents: dict[str, Any] | None = None, error: str = "") -> None:
    PredictionExplanation.objects.filter(turn_id=turn_id, status=Status.WAITING).update(
        status=status, contents=contents or {}, error=error[:400], changed_at=timezone.now()
    )


@lru_cache(maxsize=2)
def _loaded(release_id: int) -> tuple[TextClassifier, References | None]:
    """The release's models; the current one and another, since reviewers mostly read what was said lately."""
    from chatbot.inference.references import References
    from chatbot.releases.classifiers import load_classifier
    from chatbot.releases.selectors import release_directory

    release = Release.objects.get(pk=release_id)
    return load_classifier(release), References.load(release_directory(release))


def _explained(classifier: TextClassifier, references: References | None, text: str) -> dict[str, Any]:
    from chatbot.inference.explanation import explain

    explanation = explain(classifier, text, references)
    neighbours = explanation.neighbours
    return {
        "intent": explanation.prediction.best.intent,
        "confidence": explanation.prediction.best.confidence,
        "score": explanation.prediction.out_of_scope_score,
        "threshold": explanation.prediction.threshold,
        "log_odds": round(explanation.log_odds, 4),
        "gap": round(explanation.gap, 4),
        "stretches": [asdict(stretch) for stretch in explanation.stretches],
        "neighbours": neighbours and [{**asdict(near), "key": near.key.hex()} for near in neighbours],
    }


# --- Showing --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShownExplanation:
    """A stored explanation as a page shows it. `examples` is None where the release kept none."""

    status: str
    error: str = ""
    contents: dict[str, Any] | None = None
    words: tuple[Word, ...] = ()
    examples: tuple[NearExample, ...] | None = None

    @property
    def weighed(self) -> list[Word]:
        """The words with a weight, the heaviest first."""
        return sorted((word for word in self.words if word.weight is not None), key=lambda word: -abs(word.weight or 0))


def show(explanation: PredictionExplanation, text: str) -> ShownExplanation:
    """The explanation of the message `text`, with the examples' words as the catalogue has them today."""
    if explanation.status == Status.WAITING and timezone.now() - explanation.requested_at > LOST_AFTER:
        return ShownExplanation(Status.FAILED, "Nobody is making it any more. Ask again.")
    if explanation.status != Status.DONE:
        return ShownExplanation(explanation.status, explanation.error)
    contents = explanation.contents
    return ShownExplanation(
        Status.DONE,
        contents=contents,
        words=tuple(_words(text, contents["stretches"])),
        examples=None if contents["neighbours"] is None else tuple(_examples(contents["neighbours"])),
    )


def _words(text: str, stretches: list[dict[str, Any]]) -> Iterable[Word]:
    heaviest = max((abs(stretch["weight"]) for stretch in stretches), default=0.0) or 1.0
    ends = [0, *(stretch["end"] for stretch in stretches)]
    for stretch, (before, _) in zip(stretches, pairwise(ends), strict=True):
        if before < stretch["start"]:
            yield Word(text[before : stretch["start"]])
        share = abs(stretch["weight"]) / heaviest
        yield Word(text[stretch["start"] : stretch["end"]], stretch["weight"], sum(share >= bar for bar in SHADES))
    if ends[-1] < len(text):
        yield Word(text[ends[-1] :])


def _examples(neighbours: list[dict[str, Any]]) -> Iterable[NearExample]:
    """A key says nothing of the text, so the catalogue's examples of these intents are looked through."""
    keys = {near["key"] for near in neighbours}
    slugs = {near["intent"] for near in neighbours}
    texts = Example.objects.filter(intent__slug__in=slugs).values_list("text", flat=True)
    known = {key: text for text in texts if (key := text_key(text).hex()) in keys}
    return [NearExample(known.get(near["key"], ""), near["intent"], near["similarity"]) for near in neighbours]
