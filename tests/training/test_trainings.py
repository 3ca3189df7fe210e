"""Trainings that the dashboard asked for: frozen for, trained, and handed on to be judged, in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatbot.conversations.models import Conversation
from chatbot.releases import preparation
from chatbot.releases.models import Kind
from chatbot.training import generators, runs, services
from chatbot.training.execution import execute
from chatbot.training.models import Dataset, TrainingRun
from chatbot.training.runs import request_run
from chatbot.training.selectors import dataset_of
from tests.releases.shelf import ENCODER
from tests.training.nudges import Broker
from tests.training.reviewed_shop import make_examples, reviewed

# A run's heartbeat is a thread with a connection of its own.
pytestmark = pytest.mark.django_db(transaction=True)
REPLIES = 10


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker()
    monkeypatch.setattr(runs, "current_app", broker)
    return broker


@pytest.fixture
def shop(shelf: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue, reviewed conversations of customers who agreed, and models that train at once."""
    make_examples()
    for number in range(REPLIES):
        reviewed(
            f"How do I cancel order {number} of mine?", "Open My orders and press Cancel.", days_ago=REPLIES - number
        )
    Conversation.objects.update(training_consent=True)
    monkeypatch.setattr(services, "load_encoder", lambda: ENCODER)
    for module in (preparation, generators):
        monkeypatch.setattr(module, "generator_directory", lambda: tiny_model)


def done(kind: str, **parameters: Any) -> TrainingRun:
    run = request_run(kind=kind, parameters={"preset": "fast", "seed": 0, **parameters}, requested_by=None)
    execute(run_id=run.pk)
    run.refresh_from_db()
    assert run.error == ""
    assert run.status == TrainingRun.Status.DONE
    return run


@pytest.mark.usefixtures("shop")
def test_a_classifier_is_frozen_for_trained_and_handed_on_to_be_judged(broker: Broker) -> None:
    run = done(TrainingRun.Kind.CLASSIFIER, freeze=True, evaluate=True)
    dataset = Dataset.objects.get()
    assert (dataset_of(run), run.dataset_digest) == (dataset, dataset.digest)
    assert run.release is not None
    assert run.release.dataset_digest == dataset.digest
    assert run.result["peak_memory_mib"] > 0
    evaluation = TrainingRun.objects.get(kind=TrainingRun.Kind.EVALUATION)
    assert evaluation.parameters["candidate"] == run.release.pk
    assert evaluation.parameters["dataset"] == dataset.pk
    assert broker.told == [run.pk, evaluation.pk]
    assert "Freezing" in run.log


@pytest.mark.usefixtures("shop")
def test_a_generator_is_trained_by_the_numbers_of_its_form_from_the_base_that_it_names() -> None:
    run = done(TrainingRun.Kind.GENERATOR, preset="quick", freeze=True, max_steps=6, step_tokens=256)
    first = run.release
    assert first is not None
    assert first.kind == Kind.GENERATOR
    recipe = first.manifest["configuration"]["recipe"]
    assert (recipe["max_steps"], recipe["step_tokens"], recipe["epochs"]) == (6, 256, 1)
    assert (recipe["batch_tokens"], recipe["pack_tokens"]) == (256, 256)
    assert "held-out loss" in run.log
    assert run.result["tokens"] > 0
    assert not TrainingRun.objects.filter(kind=TrainingRun.Kind.EVALUATION).exists()
    named = {"preset": "quick", "dataset": Dataset.objects.get().name, "base": first.name}
    second = done(TrainingRun.Kind.GENERATOR, **named, max_steps=6, step_tokens=256).release
    assert second is not None
    assert second.base == first.name


@pytest.mark.usefixtures("shop")
def test_without_held_out_rows_or_beside_another_evaluation_it_says_why_it_is_not_judged() -> None:
    run = done(TrainingRun.Kind.CLASSIFIER, evaluate=True)
    assert "Not judged: no dataset has held-out rows for it." in run.log
    busy = request_run(kind=TrainingRun.Kind.EVALUATION, parameters={}, requested_by=None)
    run = done(TrainingRun.Kind.CLASSIFIER, freeze=True, evaluate=True)
    assert "Not judged yet" in run.log
    assert TrainingRun.objects.get(kind=TrainingRun.Kind.EVALUATION) == busy
