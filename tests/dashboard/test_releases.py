"""The Releases pages: who may do what, what a promotion shows before it happens, and what workers say of themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from chatbot.conversations import presence
from chatbot.conversations.models import ShadowPrediction, ShadowTrial
from chatbot.operations.staff import sync_groups
from chatbot.releases.models import Kind, Promotion, Release
from chatbot.releases.selectors import current_release, release_directory
from chatbot.releases.services import promote_release
from chatbot.training import evaluations, runs
from chatbot.training.execution import execute
from chatbot.training.models import Dataset, Evaluation, TrainingRun
from tests.conversations.records import Told
from tests.releases.conftest import shelf
from tests.releases.shelf import ENCODER, store_classifier
from tests.training.evaluation.candidates import good, poor, unseen_rows, write_rows
from tests.training.nudges import Broker

__all__ = ["shelf"]

# An evaluation's heartbeat is a thread with a connection of its own.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("shelf")]

INDEX = "/dashboard/releases/"
SignIn = Callable[[str], Client]


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker()
    monkeypatch.setattr(runs, "current_app", broker)
    monkeypatch.setattr(evaluations, "load_encoder", lambda: ENCODER)
    return broker


@pytest.fixture
def sign_in() -> SignIn:
    """Signs a new member of the group in."""

    def sign_in(group: str) -> Client:
        sync_groups()
        user = User.objects.create_user(f"{group}-{User.objects.count()}", password="x", is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def operator(sign_in: SignIn) -> Client:
    return sign_in("operator")


@pytest.fixture
def current() -> Release:
    release = store_classifier()
    promote_release(release=release, reason="first")
    return release


def page(client: Client, path: str = INDEX) -> str:
    response = client.get(path)
    assert response.status_code == 200, response.status_code
    content: str = response.content.decode()
    assert "style=" not in content
    assert "<script>" not in content
    return re.sub(r"\s+", " ", content)


def evaluated(candidate: Release, baseline: Release, tmp_path: Path) -> Evaluation:
    """As the command would."""
    rows = write_rows(tmp_path / "rows.csv", unseen_rows())
    held_out = evaluations.read_rows(Kind.CLASSIFIER, rows, lambda _: None)
    return evaluations.evaluate_release(candidate=candidate, baseline=baseline, held_out=held_out)


# --- Who ------------------------------------------------------------------------------------------


def test_strangers_are_sent_to_the_login_and_support_only_reads(sign_in: SignIn, current: Release) -> None:
    candidate = store_classifier()
    assert Client().get(INDEX).status_code == 302
    support = sign_in("support")
    shown = page(support)
    assert candidate.name in shown
    assert "Promote" not in shown
    assert "Roll back" not in shown
    promote = f"{INDEX}{candidate.pk}/promote/"
    for answer in (
        support.get(promote),
        support.post(promote, {"reason": "x", "override": "y"}),
        support.post(f"{INDEX}{candidate.pk}/evaluate/", {"dataset": "1"}),
        support.post(f"{INDEX}classifier/rollback/", {"reason": "x"}),
    ):
        assert answer.status_code == 403
    assert current_release(Kind.CLASSIFIER) == current
    assert not TrainingRun.objects.exists()


# --- Promoting ------------------------------------------------------------------------------------


def test_a_candidate_that_passed_is_promoted_with_one_click_after_seeing_what_changes(
    operator: Client, tmp_path: Path
) -> None:
    weak, strong = poor(), good()
    promote_release(release=weak, reason="first")
    evaluation = evaluated(strong, weak, tmp_path)
    assert "Passed" in page(operator)
    path = f"{INDEX}{strong.pk}/promote/"
    shown = page(operator, path)
    assert f"Workers will serve <strong>{strong}</strong> instead of <strong>{weak}</strong>" in shown
    assert "It passed its gate" in shown
    assert "Accuracy" in shown
    assert f"/dashboard/evaluations/{evaluation.pk}/" in shown
    assert 'name="override"' not in shown
    (suggested,) = re.findall(r'<textarea name="reason".*?>(.*?)</textarea>', shown)
    done = operator.post(path, {"reason": suggested.strip()}, follow=True).content.decode()
    assert f"{strong} is current." in done
    promotion = Promotion.objects.latest("id")
    assert (promotion.release, promotion.previous, promotion.override) == (strong, weak, "")
    assert promotion.promoted_by is not None
    assert LogEntry.objects.get_for_object(promotion).get().actor == promotion.promoted_by
    assert operator.get(path).status_code == 302


def test_what_is_held_back_needs_a_written_reason(operator: Client, tmp_path: Path) -> None:
    weak, strong = poor(), good()
    promote_release(release=strong, reason="first")
    evaluated(weak, strong, tmp_path)
    assert "Held back" in page(operator)
    path = f"{INDEX}{weak.pk}/promote/"
    shown = page(operator, path)
    assert "Its gate stands in the way" in shown
    assert "Worse by more than chance explains" in shown
    refused = operator.post(path, {"reason": "I like it", "override": "  "}).content.decode()
    assert "This field is required" in refused
    assert current_release(Kind.CLASSIFIER) == strong
    operator.post(path, {"reason": "I like it", "override": "Refunds are gone."})
    promotion = Promotion.objects.latest("id")
    assert (promotion.release, promotion.override) == (weak, "Refunds are gone.")
    assert "Its gate was overridden: <bdi>Refunds are gone.</bdi>" in page(operator)


def test_without_an_evaluation_it_says_so(operator: Client, current: Release) -> None:
    candidate = store_classifier()
    assert f"Not judged beside {current}" in page(operator)
    shown = page(operator, f"{INDEX}{candidate.pk}/promote/")
    assert f"It was not evaluated beside {current}." in shown
    assert "What was measured when they were trained" in shown


def test_damaged_files_are_told_and_nothing_is_lost(operator: Client, current: Release) -> None:
    candidate = store_classifier()
    weights = release_directory(candidate) / "classifier.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    form = {"reason": "a long <b>reason</b>", "override": "another"}
    shown = operator.post(f"{INDEX}{candidate.pk}/promote/", form).content.decode()
    assert "the content is damaged (sha256 differs)" in shown
    assert "a long &lt;b&gt;reason&lt;/b&gt;" in shown
    assert current_release(Kind.CLASSIFIER) == current


def test_what_learned_from_rows_that_were_erased_since_is_marked(operator: Client, current: Release) -> None:
    candidate = store_classifier()
    mark = "erased since"
    assert mark not in page(operator)
    Release.objects.filter(pk__in=[current.pk, candidate.pk]).update(dataset_digest="before")
    Dataset.objects.create(
        name="dataset-0001", path="x", digest="after", former_digests=["before"], erased_at=timezone.now()
    )
    assert page(operator).count(mark) == 2
    assert mark in page(operator, f"{INDEX}{candidate.pk}/promote/")


def test_rolling_back_asks_and_then_does(operator: Client, current: Release) -> None:
    second = store_classifier()
    promote_release(release=second, reason="second")
    assert f"Roll back to {current} …" in page(operator)
    path = f"{INDEX}classifier/rollback/"
    assert f"instead of <strong>{second}</strong>" in page(operator, path)
    assert "This field is required" in operator.post(path, {"reason": ""}).content.decode()
    assert f"{current} is current again" in operator.post(path, {"reason": "worse"}, follow=True).content.decode()
    assert current_release(Kind.CLASSIFIER) == current
    assert operator.get(path).status_code == 404
    assert operator.get(f"{INDEX}nonsense/rollback/").status_code == 404


def test_a_rollback_sent_twice_goes_back_once(operator: Client, current: Release) -> None:
    middle, newest = store_classifier(), store_classifier()
    for release in (middle, newest):
        promote_release(release=release, reason="newer")
    path, asked = f"{INDEX}classifier/rollback/", {"reason": "worse", "to": str(middle.pk)}
    assert f'name="to" value="{middle.pk}"' in page(operator, path)
    operator.post(path, asked)
    assert "nothing was done" in operator.post(path, asked, follow=True).content.decode()
    assert current_release(Kind.CLASSIFIER) == middle


# --- Workers --------------------------------------------------------------------------------------


@pytest.fixture
def announced() -> Iterator[Callable[..., None]]:
    """Announces workers, and takes them back."""
    ids: list[str] = []

    def announce(**about: Any) -> None:
        ids.append(f"test-{len(ids)}")
        usual = {"queue": "replies", "host": "shop", "started_at": str(len(ids)), "generator": "generator-0001"}
        presence.announce(ids[-1], usual | about)

    yield announce
    for worker_id in ids:
        presence.withdraw(worker_id)


def test_each_worker_says_what_it_serves_and_why_it_refuses(
    operator: Client, current: Release, announced: Callable[..., None]
) -> None:
    second = store_classifier()
    promote_release(release=second, reason="second")
    announced(classifier=second.name, kept={"classifier": current.name}, refused={})
    announced(classifier=current.name, refused={"classifier": f"{second}: <i>weights</i> are damaged"}, kept={})
    announced(classifier=current.name, refused={}, kept={})
    shown = page(operator)
    assert f"<bdi>shop/1</bdi> serves <strong>{second}</strong>" in shown
    assert f"can go back to {current} at once" in shown
    assert "shop/2 does not serve what was promoted" in shown
    assert "&lt;i&gt;weights&lt;/i&gt; are damaged" in shown
    assert "refuses the current one" in shown
    assert "follows in a moment" in shown
    assert "1 worker still has it loaded" in page(operator, f"{INDEX}classifier/rollback/")


def test_without_a_broker_the_page_is_there(operator: Client, current: Release, settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    assert "The broker does not answer" in page(operator)
    assert "No replies worker" not in page(operator)


def test_empty_states_say_what_to_do(operator: Client) -> None:
    shown = page(operator)
    assert "Train one on" in shown
    assert "prepare_models" in shown
    assert "no frozen dataset" in shown


# --- Evaluating -----------------------------------------------------------------------------------


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Dataset:
    """A frozen one, whose held-out rows are those of a file."""
    rows = evaluations.read_rows(Kind.CLASSIFIER, write_rows(tmp_path / "d.csv", unseen_rows()), lambda _: None)
    monkeypatch.setattr(evaluations, "dataset_rows", lambda _kind, _dataset: rows)
    return Dataset.objects.create(name="dataset-0001", path="datasets/dataset-0001", digest="0" * 64)


def test_an_evaluation_is_asked_for_followed_and_read(operator: Client, dataset: Dataset, broker: Broker) -> None:
    weak, strong = poor(), good()
    promote_release(release=weak, reason="first")
    assert "dataset-0001" in page(operator)
    asked = operator.post(f"{INDEX}{strong.pk}/evaluate/", {"dataset": dataset.pk})
    run = TrainingRun.objects.get()
    assert asked["Location"] == f"/dashboard/evaluations/runs/{run.pk}/"
    assert broker.told == [run.pk]
    assert f"Evaluation of {strong}" in page(operator, asked["Location"])
    assert operator.get(f"{asked['Location']}progress/").json()["is_open"]
    again = operator.post(f"{INDEX}{strong.pk}/evaluate/", {"dataset": dataset.pk}, follow=True).content.decode()
    assert "only one runs at a time" in again
    execute(run_id=run.pk)
    evaluation = Evaluation.objects.get()
    assert (evaluation.candidate, evaluation.baseline, evaluation.dataset) == (strong, weak, dataset)
    assert evaluation.created_by is not None
    arrived = operator.get(asked["Location"])
    assert arrived["Location"] == f"/dashboard/evaluations/{evaluation.pk}/"
    shown = page(operator, arrived["Location"])
    for told in ("It passed its gate", "Accuracy", "Reliability diagram", "Who is taken for whom", "By length"):
        assert told in shown, told
    assert f"Promote {strong} …" in shown
    assert shown.count("<svg") > 5


def test_a_run_that_fails_says_why(operator: Client, dataset: Dataset) -> None:
    release = good()
    operator.post(f"{INDEX}{release.pk}/evaluate/", {"dataset": dataset.pk})
    run = TrainingRun.objects.get()
    (release_directory(release) / "classifier.safetensors").unlink()
    execute(run_id=run.pk)
    shown = page(operator, f"/dashboard/evaluations/runs/{run.pk}/")
    assert "The evaluation failed" in shown
    assert "classifier.safetensors: the file is missing" in shown


def test_a_run_can_be_cancelled(operator: Client, dataset: Dataset) -> None:
    operator.post(f"{INDEX}{good().pk}/evaluate/", {"dataset": dataset.pk})
    path = f"/dashboard/evaluations/runs/{TrainingRun.objects.get().pk}/"
    assert "was cancelled" in operator.post(f"{path}cancel/", follow=True).content.decode()


@pytest.mark.parametrize("wanted", ["", "99", "x", "1; drop"])
def test_a_dataset_must_be_chosen(operator: Client, wanted: str) -> None:
    answer = operator.post(f"{INDEX}{good().pk}/evaluate/", {"dataset": wanted}, follow=True)
    assert "Choose the dataset" in answer.content.decode()
    assert not TrainingRun.objects.exists()


def test_the_report_is_a_file_too(operator: Client, tmp_path: Path) -> None:
    weak, strong = poor(), good()
    promote_release(release=weak, reason="first")
    evaluation = evaluated(strong, weak, tmp_path)
    answer = operator.get(f"/dashboard/evaluations/{evaluation.pk}/evaluation.json")
    assert answer["Content-Disposition"] == f'attachment; filename="evaluation-{evaluation.pk}.json"'
    told = json.loads(answer.content)
    assert (told["candidate"], told["passed"], told["kind"]) == (strong.name, True, "classifier")


def test_an_evaluation_that_was_overtaken_says_so(operator: Client, tmp_path: Path) -> None:
    weak, strong = poor(), good()
    promote_release(release=weak, reason="first")
    first = evaluated(strong, weak, tmp_path)
    evaluated(strong, weak, tmp_path)
    shown = page(operator, f"/dashboard/evaluations/{first.pk}/")
    assert "no longer decides" in shown
    assert f"Promote {strong} …" not in shown


def test_hostile_names_are_shown_as_they_are(operator: Client, tmp_path: Path) -> None:
    rows = [*unseen_rows(), *((f"text {number}", "<script>alert(1)</script>") for number in range(25))]
    path = write_rows(tmp_path / "<img src=x>.csv", rows)
    held_out = evaluations.read_rows(Kind.CLASSIFIER, path, lambda _: None)
    evaluation = evaluations.evaluate_release(candidate=good(), baseline=None, held_out=held_out)
    shown = page(operator, f"/dashboard/evaluations/{evaluation.pk}/")
    assert "<img src=x>" not in shown
    assert "alert(1)</script>" not in shown


# --- In the shadow --------------------------------------------------------------------------------


def test_a_candidate_is_tried_in_the_shadow_and_stopped(operator: Client, sign_in: SignIn, current: Release) -> None:
    candidate = store_classifier()
    path = f"{INDEX}{candidate.pk}/shadow/"
    assert sign_in("support").post(path).status_code == 403
    assert "Try in the shadow" in page(operator)
    assert "reads along from now on" in operator.post(path, follow=True).content.decode()
    trial = ShadowTrial.objects.get()
    turn = Told().answered("cancel it", "An answer.", best="refund").turn
    assert turn is not None
    for release, intent, agrees in ((candidate, "cancel_order", False), (current, "refund", True)):
        ShadowPrediction.objects.create(
            turn=turn, release=release, intent=intent, confidence=0.9, out_of_scope=False, agrees=agrees
        )
    shown = page(operator)
    assert "<strong>0.0%</strong> of 1 turn (95% interval" in shown
    assert "<bdi>refund</bdi> → <bdi>cancel_order</bdi>" in shown
    ShadowTrial.objects.filter(pk=trial.pk).update(problem="<b>damaged</b>")
    assert "&lt;b&gt;damaged&lt;/b&gt;" in page(operator)
    assert "The trial is over" in operator.post(f"{INDEX}shadow/stop/", follow=True).content.decode()
    assert "In the shadow" not in page(operator)
    assert "is current" in operator.post(f"{INDEX}{current.pk}/shadow/", follow=True).content.decode()
