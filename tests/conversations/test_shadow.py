"""Shadow mode: a candidate reads what customers wrote once they were answered; where it differs a person is asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.db import IntegrityError
from django.utils import timezone
from kombu.exceptions import OperationalError

from chatbot.conversations import shadow
from chatbot.conversations.models import Message, ReviewItem, ShadowPrediction, ShadowTrial, Turn
from chatbot.conversations.review_reasons import Disagreement, Facts, revive
from chatbot.conversations.shadow import agreement_of, classify_due, nudge_shadow, open_trial, start_trial, stop_trial
from chatbot.conversations.tasks import classify_in_shadow
from chatbot.conversations.triage import triage_due
from chatbot.exceptions import InvalidArtifact, ReleaseError
from chatbot.releases.models import Kind, Release
from chatbot.releases.selectors import release_directory
from chatbot.releases.services import promote_release
from tests.conversations.records import Told, release
from tests.releases.conftest import shelf
from tests.releases.shelf import store_classifier

__all__ = ["shelf"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shelf")]


@pytest.fixture(autouse=True)
def nothing_loaded() -> Iterator[None]:
    """Releases of different tests share their ids."""
    shadow._loaded.cache_clear()
    yield
    shadow._loaded.cache_clear()


@pytest.fixture
def trial() -> ShadowTrial:
    promote_release(release=store_classifier(), reason="first")
    return start_trial(release=store_classifier(), started_by=None)


def answered(text: str, best: str, *, ended: timedelta = timedelta(), **fields: Any) -> Turn:
    """A turn that has just ended, which the current classifier took for `best`."""
    told = Told(**{name: fields.pop(name) for name in ("is_demo",) if name in fields})
    reply = told.answered(text, "An answer.", best=best, finished_at=timezone.now() + ended, **fields)
    assert reply.turn is not None
    return reply.turn


class Broker:
    """Stands in for Celery's `current_app`."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.is_down = False

    def send_task(self, name: str, expires: float) -> None:
        if self.is_down:
            raise OperationalError("connection refused")
        assert expires > 0
        self.told.append(name)


# --- A trial --------------------------------------------------------------------------------------


def test_one_candidate_reads_along_at_a_time(trial: ShadowTrial) -> None:
    other = start_trial(release=store_classifier(), started_by=None)
    assert open_trial() == other
    trial.refresh_from_db()
    assert trial.stopped_at is not None
    assert LogEntry.objects.get_for_object(other).exists()
    assert stop_trial()
    assert not stop_trial()
    assert open_trial() is None


def test_the_database_keeps_to_one(trial: ShadowTrial) -> None:
    with pytest.raises(IntegrityError):
        ShadowTrial.objects.create(release=trial.release, started_at=timezone.now())


def test_what_cannot_be_tried_is_refused() -> None:
    current = store_classifier()
    promote_release(release=current, reason="first")
    with pytest.raises(ReleaseError, match="is current"):
        start_trial(release=current, started_by=None)
    with pytest.raises(ReleaseError, match="no classifier"):
        start_trial(release=release("generator-0001", Kind.GENERATOR), started_by=None)
    damaged = store_classifier()
    (release_directory(damaged) / "classifier.json").unlink()
    with pytest.raises(InvalidArtifact):
        start_trial(release=damaged, started_by=None)
    assert open_trial() is None


# --- Reading along --------------------------------------------------------------------------------


def test_the_candidate_reads_each_turn_once(trial: ShadowTrial) -> None:
    same, other = answered("cancel my order", "cancel_order"), answered("cancel my order", "refund")
    classify_in_shadow()
    said = {prediction.turn_id: prediction for prediction in ShadowPrediction.objects.all()}
    assert set(said) == {same.pk, other.pk}
    assert (said[same.pk].intent, said[same.pk].agrees) == ("cancel_order", True)
    assert (said[other.pk].intent, said[other.pk].agrees) == ("cancel_order", False)
    assert said[same.pk].release == trial.release
    assert classify_due() == 0
    agreement = agreement_of(trial.release)
    assert (agreement.turns, agreement.agreeing) == (2, 1)
    assert agreement.pairs == [("refund", "cancel_order", 1)]


def test_out_of_scope_is_a_decision_like_any_other(trial: ShadowTrial) -> None:
    both = answered("zxqv wrtp jklm", "refund", out_of_scope=True)
    one = answered("zxqv wrtp jklm", "refund")
    classify_due()
    assert ShadowPrediction.objects.get(turn=both).agrees == ShadowPrediction.objects.get(turn=both).out_of_scope
    assert ShadowPrediction.objects.get(turn=one).out_of_scope
    assert not ShadowPrediction.objects.get(turn=one).agrees


def test_only_real_turns_since_the_trial_began_that_it_did_not_answer_itself(trial: ShadowTrial) -> None:
    answered("cancel my order", "refund", ended=timedelta(hours=-1))
    answered("cancel my order", "refund", is_demo=True)
    answered("cancel my order", "refund", classifier=trial.release)
    answered("cancel my order", "refund", classifier=None)
    answered("cancel my order", "refund", status=Turn.Status.RUNNING)
    assert classify_due() == 0


def test_without_a_trial_nothing_is_read() -> None:
    answered("cancel my order", "refund")
    assert classify_due() == 0


def test_a_candidate_that_cannot_be_loaded_says_so_until_it_can(trial: ShadowTrial) -> None:
    answered("cancel my order", "refund")
    path = release_directory(trial.release) / "classifier.json"
    content = path.read_bytes()
    path.write_bytes(content + b" ")
    assert classify_due() == 0
    trial.refresh_from_db()
    assert "classifier.json" in trial.problem
    path.write_bytes(content)
    assert classify_due() == 1
    trial.refresh_from_db()
    assert trial.problem == ""


def test_a_disagreement_asks_a_reviewer(trial: ShadowTrial) -> None:
    turn = answered("cancel my order", "refund")
    triage_due()
    assert not ReviewItem.objects.exists()
    classify_due()
    triage_due()
    item = ReviewItem.objects.get(turn=turn)
    (reason,) = revive(item.reasons)
    assert reason == Disagreement("refund", "cancel_order")
    words = reason.words({"refund": "Refund", "cancel_order": "Cancel an order"})
    assert words == "Taken for “Refund”, while the candidate in the shadow says “Cancel an order”"


def test_a_candidate_that_agrees_asks_nobody(trial: ShadowTrial) -> None:
    answered("cancel my order", "cancel_order")
    classify_due()
    triage_due()
    assert not ReviewItem.objects.exists()


def test_the_reason_says_out_of_scope_in_words() -> None:
    reason = Disagreement.of(Facts(ranking=[("refund", 0.9)], shadow=""))
    assert reason is not None
    assert reason.words({}).endswith("the candidate in the shadow says out of scope")
    assert Disagreement.of(Facts(ranking=[("refund", 0.9)], is_out_of_scope=True, shadow="")) is None
    assert Disagreement.of(Facts(ranking=[("refund", 0.9)])) is None


# --- The sweeper ----------------------------------------------------------------------------------


def test_the_sweeper_nudges_where_something_is_due(trial: ShadowTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker()
    monkeypatch.setattr(shadow, "current_app", broker)
    assert not nudge_shadow()
    answered("cancel my order", "refund")
    assert nudge_shadow()
    assert broker.told == ["chatbot.conversations.tasks.classify_in_shadow"]
    broker.is_down = True
    assert not nudge_shadow()
    classify_due()
    assert not nudge_shadow()


def test_erasing_a_conversation_takes_what_the_candidate_said(trial: ShadowTrial) -> None:
    turn = answered("cancel my order", "refund")
    classify_due()
    turn.conversation.delete()
    assert not ShadowPrediction.objects.exists()
    assert Release.objects.filter(pk=trial.release_id).exists()
    assert not Message.objects.exists()
