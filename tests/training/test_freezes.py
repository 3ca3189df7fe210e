"""Freezing as work of the training worker: one dataset for each run that asked for one, whatever becomes of workers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone

from chatbot.exceptions import Conflict
from chatbot.training import freezing, runs
from chatbot.training.curation.options import CurationOptions
from chatbot.training.dataset_files import open_dataset
from chatbot.training.execution import execute
from chatbot.training.freezes import request_freeze, request_preview
from chatbot.training.models import Dataset, TrainingRun
from chatbot.training.runs import cancel_run, claim_run, sweep_runs
from tests.training.nudges import Broker
from tests.training.reviewed_shop import make_examples, reviewed

# Heartbeats are written by a thread with a connection of its own, which sees only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)

OPTIONS = CurationOptions(held_out_share=0.5, per_visitor=3, seed=4)
Status = TrainingRun.Status


@pytest.fixture(autouse=True)
def datasets(tmp_path: Path, settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(runs, "current_app", Broker())
    settings.VAR_DIR, settings.DATASETS_DIR = tmp_path, tmp_path / "datasets"
    return tmp_path / "datasets"


def test_a_requested_freeze_is_what_was_asked_for_by_whom() -> None:
    make_examples()
    reviewed("stop my order pls")
    person = User.objects.create_user("robin")
    run = request_freeze(options=OPTIONS, note=" first ", requested_by=person)
    execute(run_id=run.pk)
    run.refresh_from_db()
    dataset = Dataset.objects.get()
    assert (run.status, run.error) == (Status.DONE, "")
    assert run.result == {"dataset": dataset.name}
    assert (dataset.run, dataset.created_by, dataset.note) == (run, person, "first")
    assert run.dataset_digest == dataset.digest == open_dataset(dataset).digest
    assert dataset.manifest["lineage"]["options"] == OPTIONS.stored()


def test_a_preview_counts_what_the_freeze_then_holds_and_writes_nothing(datasets: Path) -> None:
    make_examples()
    reviewed("stop my order pls, I am at jo@example.com", days_ago=2)
    reviewed("call it off please", days_ago=1)
    preview = request_preview(options=OPTIONS, requested_by=None)
    execute(run_id=preview.pk)
    preview.refresh_from_db()
    assert preview.status == Status.DONE
    assert not Dataset.objects.exists()
    assert not datasets.exists()
    freeze = request_freeze(options=CurationOptions.read(preview.parameters), requested_by=None)
    execute(run_id=freeze.pk)
    manifest = Dataset.objects.get().manifest
    assert preview.result == {name: manifest[name] for name in preview.result}
    assert preview.result["redacted"] == {"email": 1}
    assert preview.result["counts"]["intents"]["held_out"] == 1


def test_an_attempt_that_was_lost_after_freezing_leaves_one_dataset() -> None:
    make_examples()
    run = request_freeze(options=OPTIONS, requested_by=None)
    claimed = claim_run(run_id=run.pk)
    lost = freezing.freeze_dataset(options=OPTIONS, run=claimed)
    TrainingRun.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    sweep_runs()
    execute(run_id=run.pk)
    run.refresh_from_db()
    assert (run.status, run.attempt) == (Status.DONE, 2)
    assert Dataset.objects.get() == lost


def test_nothing_to_freeze_is_said_and_a_cancelled_freeze_keeps_nothing() -> None:
    run = request_freeze(options=OPTIONS, requested_by=None)
    execute(run_id=run.pk)
    run.refresh_from_db()
    assert (run.status, run.error) == (Status.FAILED, freezing.NOTHING)
    make_examples()
    run = request_freeze(options=OPTIONS, requested_by=None)
    cancel_run(run_id=run.pk)
    execute(run_id=run.pk)
    assert not Dataset.objects.exists()


def test_one_freeze_and_one_preview_are_made_at_a_time() -> None:
    request_freeze(options=OPTIONS, requested_by=None)
    request_preview(options=OPTIONS, requested_by=None)
    with pytest.raises(Conflict):
        request_freeze(options=OPTIONS, requested_by=None)
    with pytest.raises(Conflict):
        request_preview(options=OPTIONS, requested_by=None)
