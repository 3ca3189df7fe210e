"""Shadow mode: a candidate classifier reads what customers write, after they were answered and out of their way.

The turns themselves say what is due, so nothing is sent with a reply and no reply waits for it: the sweeper looks for
turns that ended since the trial began, and the maintenance worker classifies them. Doing it twice changes nothing.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from celery import current_app
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from chatbot.conversations.models import ShadowPrediction, ShadowTrial, Turn
from chatbot.conversations.triage import triage_again
from chatbot.exceptions import FrontdeskError, ReleaseError
from chatbot.releases.models import Kind, Release
from chatbot.releases.selectors import current_release
from chatbot.releases.services import check_servable

if TYPE_CHECKING:
    from chatbot.inference.predictions import Prediction
    from chatbot.inference.text_classifier import TextClassifier

logger = logging.getLogger(__name__)

# By name, since tasks stand above everything that nudges.
SHADOW_TASK = "chatbot.conversations.tasks.classify_in_shadow"
# A round's work: less than a second on two cores, so that whoever waits for an explanation hardly notices.
AT_ONCE = 100
# Nudges that no worker took lapse before they heap up.
LAPSES_S = 30.0
PAIRS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often a shadow classifier decided as the one that answered. `pairs` are (answered as, shadow, turns)."""

    turns: int
    agreeing: int
    pairs: list[tuple[str, str, int]]


# --- A trial --------------------------------------------------------------------------------------


def open_trial() -> ShadowTrial | None:
    """The trial that runs, if there is one."""
    return ShadowTrial.objects.filter(stopped_at=None).select_related("release", "started_by").first()


def start_trial(*, release: Release, started_by: User | None) -> ShadowTrial:
    """Have the candidate read along from now on, in place of any other. Raises ReleaseError, InvalidArtifact."""
    if release.kind != Kind.CLASSIFIER:
        raise ReleaseError(f"{release} is no classifier; only classifiers can run in the shadow.")
    current = current_release(Kind.CLASSIFIER)
    if current is not None and current.pk == release.pk:
        raise ReleaseError(f"{release} is current; there is nothing to compare it with.")
    check_servable(release)
    with transaction.atomic():
        stop_trial()
        return ShadowTrial.objects.create(release=release, started_by=started_by, started_at=timezone.now())


def stop_trial() -> bool:
    """Returns whether one was running. What it said is kept."""
    return bool(ShadowTrial.objects.filter(stopped_at=None).update(stopped_at=timezone.now()))


def agreement_of(release: Release) -> Agreement:
    """All that the release said in the shadow."""
    predictions = ShadowPrediction.objects.filter(release=release)
    pairs: Counter[tuple[str, str]] = Counter()
    differing = predictions.filter(agrees=False).select_related("turn").order_by("-id")[:1000]
    for prediction in differing:
        pairs[_decision_of(prediction.turn), "" if prediction.out_of_scope else prediction.intent] += 1
    return Agreement(
        predictions.count(),
        predictions.filter(agrees=True).count(),
        [(served, shadow, count) for (served, shadow), count in pairs.most_common(PAIRS_SHOWN)],
    )


# --- Reading along --------------------------------------------------------------------------------


def nudge_shadow() -> bool:
    """For the sweeper: tell the maintenance worker where a trial has turns to read. False where none was told."""
    trial = open_trial()
    if trial is None or not _due(trial).exists():
        return False
    try:
        current_app.send_task(SHADOW_TASK, expires=LAPSES_S)
    except (BrokerError, RedisError, OSError) as error:
        logger.warning("no worker was told of the shadow trial: the broker does not answer (%s)", error)
        return False
    return True


def classify_due(*, limit: int = AT_ONCE) -> int:
    """Classify turns that are due, the oldest first. Returns how many. Needs models: for the maintenance worker."""
    trial = open_trial()
    turns = list(_due(trial).select_related("message").order_by("finished_at")[:limit]) if trial else []
    if trial is None or not turns:
        return 0
    try:
        predictions = _loaded(trial.release_id).predict([turn.message.text for turn in turns])
    except FrontdeskError as error:
        logger.error("the shadow classifier reads nothing: %s", error)
        ShadowTrial.objects.filter(pk=trial.pk).update(problem=str(error)[:400])
        return 0
    _store(trial, turns, predictions)
    return len(turns)


@transaction.atomic
def _store(trial: ShadowTrial, turns: Sequence[Turn], predictions: Sequence[Prediction]) -> None:
    said = [
        ShadowPrediction(
            turn=turn,
            release_id=trial.release_id,
            intent=prediction.best.intent,
            confidence=round(prediction.best.confidence, 4),
            out_of_scope=prediction.out_of_scope,
            agrees=_decision_of(turn) == ("" if prediction.out_of_scope else prediction.best.intent),
        )
        for turn, prediction in zip(turns, predictions, strict=True)
    ]
    ShadowPrediction.objects.bulk_create(said, ignore_conflicts=True)
    if trial.problem:
        ShadowTrial.objects.filter(pk=trial.pk).update(problem="")
    triage_again(Turn.objects.filter(pk__in=[each.turn_id for each in said if not each.agrees]))


def _due(trial: ShadowTrial) -> QuerySet[Turn]:
    """Turns of real customers that another classifier read, that ended since the trial began and are not read yet."""
    read = ShadowPrediction.objects.filter(turn=OuterRef("pk"), release=trial.release_id)
    return (
        Turn.objects.filter(finished_at__gte=trial.started_at, status__in=Turn.TERMINAL, classifier__isnull=False)
        .exclude(classifier=trial.release_id)
        .filter(~Exists(read), conversation__is_demo=False)
    )


def _decision_of(turn: Turn) -> str:
    """The slug that the classifier which answered ranked first; empty where it found the message out of scope."""
    ranking: list[Any] = turn.prediction.get("ranking") or []
    return "" if turn.out_of_scope or not ranking else str(ranking[0][0])


@lru_cache(maxsize=1)
def _loaded(release_id: int) -> TextClassifier:
    from chatbot.releases.classifiers import load_classifier
    from chatbot.releases.trials import try_classifier

    release = Release.objects.get(pk=release_id)
    classifier = load_classifier(release)
    try_classifier(release.name, classifier)
    return classifier
