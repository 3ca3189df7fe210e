"""The training pages: launched by those who may, followed while it runs, and what came of it said with what to do."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chatbot.asgi import application
from chatbot.conversations.models import Conversation
from chatbot.dashboard import consumers
from chatbot.dashboard.views import training as pages
from chatbot.releases.models import Kind, Release
from chatbot.releases.selectors import current_release
from chatbot.training import services
from chatbot.training.announcements import announce_run
from chatbot.training.execution import execute
from chatbot.training.models import CurvePoint, Dataset, Evaluation, TrainingRun
from tests.dashboard.conftest import SignIn
from tests.releases.conftest import shelf
from tests.releases.shelf import ENCODER
from tests.training.nudges import Broker
from tests.training.reviewed_shop import reviewed
from tests.training.shop_catalogue import make_catalogue

__all__ = ["shelf"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nudges")]

KIND = TrainingRun.Kind.CLASSIFIER
INDEX = "/dashboard/training/"
GENERATOR = f"{INDEX}?kind=generator"
ASKED = {"dataset": "catalogue", "preset": "fast", "seed": "7"}
# Generous: the machine may be busy. Nothing is asserted about how long things take.
PATIENCE_S = 20
Status = TrainingRun.Status


def made(status: str = Status.RUNNING, **fields: Any) -> TrainingRun:
    fields = {"parameters": {"preset": "full", "seed": 3}, "started_at": timezone.now(), "attempt": 1, **fields}
    return TrainingRun.objects.create(kind=fields.pop("kind", KIND), status=status, **fields)


def address(run: TrainingRun, page: str = "") -> str:
    return f"{INDEX}{run.pk}/{page}"


@pytest.fixture
def base_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prepared generator, as far as the pages look."""
    (tmp_path / "manifest.json").write_text("{}")
    monkeypatch.setattr(pages, "generator_directory", lambda: tmp_path)


def approve_a_reply() -> None:
    """Of a customer who agreed to training."""
    told = reviewed("How do I cancel?")
    Conversation.objects.filter(pk=told.conversation.pk).update(training_consent=True)


def words_of_estimate(client: Client, asked: dict[str, str]) -> str:
    words: str = client.post(f"{INDEX}estimate/?kind=generator", asked).json()["words"]
    return words


def read(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


# --- Who may do what ------------------------------------------------------------------------------


def test_strangers_are_sent_to_the_login_and_staff_without_permission_refused(client: Client, sign_in: SignIn) -> None:
    run, nobody = made(), sign_in(None)
    for url in (INDEX, address(run)):
        assert client.get(url)["Location"].startswith(reverse("admin:login"))
        assert nobody.get(url).status_code == 403
    assert client.post(address(run, "cancel/")).status_code == 302
    assert nobody.post(address(run, "cancel/")).status_code == 403
    assert not TrainingRun.objects.get().cancel_requested


def test_support_reads_and_neither_launches_nor_cancels(sign_in: SignIn) -> None:
    make_catalogue()
    run, client = made(), sign_in("support")
    assert "<button" not in read(client, address(run))
    assert client.post(address(run, "cancel/")).status_code == 403
    TrainingRun.objects.update(status=Status.DONE)
    page = read(client, INDEX)
    assert "<form" not in page
    assert "Operators launch them." in page
    assert client.post(INDEX, ASKED).status_code == 403
    assert TrainingRun.objects.count() == 1


# --- Launching ------------------------------------------------------------------------------------


def test_an_empty_catalogue_says_what_to_do(operator: Client) -> None:
    page = read(operator, INDEX)
    assert "There is nothing to train on yet" in page
    assert reverse("admin:intents_intent_changelist") in page


def test_a_launched_training_becomes_a_release_that_waits(
    operator: Client, nudges: Broker, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_catalogue()
    monkeypatch.setattr(services, "load_encoder", lambda: ENCODER)
    services.train_catalogue_classifier()
    current = current_release(Kind.CLASSIFIER)
    assert "Expect " in read(operator, INDEX)
    response = operator.post(INDEX, ASKED)
    run = TrainingRun.objects.get()
    assert response["Location"] == address(run)
    assert nudges.told == [run.pk]
    CurvePoint.objects.create(run=run, step=99, loss=1.0)  # of an attempt that was lost
    execute(run_id=run.pk)
    run.refresh_from_db()
    assert not run.points.exists()
    assert run.error == ""
    assert run.release is not None
    assert run.release.created_by is not None
    assert run.release.created_by.username == "operator-robin"
    assert run.release.manifest["seed"] == 7
    assert run.dataset_digest == run.release.dataset_digest
    assert current_release(Kind.CLASSIFIER) == current
    page = read(operator, address(run))
    assert f"{run.release} is trained" in page
    assert "It serves nobody until it is promoted." in page
    assert f"{run.release.metrics['accuracy']:.3f}" in page
    assert "Training" in run.log or "Embedding" in run.log
    assert f"<td>{run.release}</td>" in read(operator, INDEX)


def test_only_one_classifier_is_trained_at_a_time(operator: Client) -> None:
    make_catalogue()
    run = made()
    page = operator.post(INDEX, ASKED, follow=True).content.decode()
    assert "only one is at a time" in page
    assert address(run) in page
    assert TrainingRun.objects.count() == 1


@pytest.mark.parametrize(("field", "value"), [("preset", "best"), ("seed", "-1"), ("seed", "x")])
def test_what_cannot_be_launched_is_said(operator: Client, field: str, value: str) -> None:
    make_catalogue()
    page = operator.post(INDEX, {**ASKED, field: value}).content.decode()
    assert 'class="errorlist"' in page
    assert ("<details open>" in page) == (field == "seed")
    assert not TrainingRun.objects.exists()


def test_the_estimate_is_how_long_the_last_one_took(operator: Client) -> None:
    make_catalogue()
    began = timezone.now() - timedelta(hours=1)
    made(Status.DONE, started_at=began, finished_at=began + timedelta(minutes=3))
    assert read(operator, INDEX).count("The last one took about 3 minutes;") == 1


def test_a_generator_is_asked_for_by_its_numbers_and_those_left_empty_are_the_presets(operator: Client) -> None:
    approve_a_reply()
    asked = {"dataset": "freeze", "preset": "quick", "seed": "3", "max_steps": "30", "learning_rate": "0.001"}
    response = operator.post(GENERATOR, {**asked, "epochs": "", "adapt": "on"})
    run = TrainingRun.objects.get()
    assert response["Location"] == address(run)
    assert run.kind == TrainingRun.Kind.GENERATOR
    numbers = {"preset": "quick", "seed": 3, "max_steps": 30, "learning_rate": 0.001}
    assert run.parameters == {**numbers, "freeze": True, "adapt": True}
    assert "A generator waits to be trained" in read(operator, GENERATOR)
    assert "waits to be trained" not in read(operator, INDEX)


def test_a_generator_without_a_base_or_approved_replies_says_what_to_do(
    operator: Client, request: pytest.FixtureRequest
) -> None:
    assert "prepare_models" in read(operator, GENERATOR)
    request.getfixturevalue("base_model")
    page = read(operator, GENERATOR)
    assert "nobody has approved one yet" in page
    assert reverse("admin:conversations_reviewitem_changelist") in page.partition("<main")[2]
    assert operator.get(f"{INDEX}?kind=robot").status_code == 404


@pytest.mark.usefixtures("base_model")
@pytest.mark.parametrize(
    ("field", "value"), [("epochs", "0"), ("learning_rate", "5"), ("dataset", "dataset-9999"), ("base", "robot-1")]
)
def test_numbers_that_make_no_sense_launch_nothing(operator: Client, field: str, value: str) -> None:
    approve_a_reply()
    asked = {"dataset": "freeze", "preset": "quick", "seed": "0", field: value}
    assert 'class="errorlist"' in operator.post(GENERATOR, asked).content.decode()
    assert words_of_estimate(operator, asked) == ""
    assert not TrainingRun.objects.exists()


@pytest.mark.usefixtures("base_model")
def test_the_estimate_follows_the_form_and_the_last_training_here(operator: Client) -> None:
    approve_a_reply()
    asked = {"dataset": "freeze", "preset": "quick", "seed": "0"}
    first = words_of_estimate(operator, asked)
    assert first.startswith("About 61 seconds")
    assert "2.1 GB of memory, on two cores" in first
    began = timezone.now() - timedelta(hours=1)
    # 200 s for 2,000 tokens at 20 a second, and as much around them; one reply, fifty times, is 9,500 tokens more.
    made(
        Status.DONE,
        kind=TrainingRun.Kind.GENERATOR,
        started_at=began,
        finished_at=began + timedelta(seconds=200),
        result={"tokens": 2000, "tokens_per_s": 20.0, "peak_memory_mib": 3072},
    )
    once, often = words_of_estimate(operator, asked), words_of_estimate(operator, {**asked, "epochs": "50"})
    assert "3.0 GB of memory, judged by the last one here" in once
    assert once.startswith("About 2 minutes")
    assert often.startswith("About 10 minutes")
    # Without scripts the same form says it, and launches nothing.
    page = operator.post(GENERATOR, {**asked, "epochs": "50", "do": "estimate"}).content.decode()
    assert "About 10 minutes" in page
    assert TrainingRun.objects.count() == 1


def test_whoever_may_not_launch_is_told_no_estimate(sign_in: SignIn) -> None:
    assert sign_in("support").post(f"{INDEX}estimate/", {}).status_code == 403


@pytest.mark.usefixtures("base_model")
def test_the_form_begins_with_the_dataset_whose_page_led_to_it(operator: Client) -> None:
    files = {f"{name}.train.jsonl": {"rows": 3, "size": 9} for name in ("intents", "replies", "transcripts")}
    files |= {"replies.held-out.jsonl": {"rows": 0, "size": 0}}
    Dataset.objects.create(name="dataset-0007", path="datasets/dataset-0007", digest="d", manifest={"files": files})
    make_catalogue()
    for address in (f"{INDEX}?dataset=dataset-0007", f"{GENERATOR}&dataset=dataset-0007"):
        assert '<option value="dataset-0007" selected>' in read(operator, address)


# --- Reading --------------------------------------------------------------------------------------


def test_a_curve_is_a_table_too(operator: Client) -> None:
    run = made(message="Tuning: epoch 1 of 5", share=0.2, log="10:00:00 Tuning\n10:00:01 <b>odd</b>")
    CurvePoint.objects.create(run=run, step=0, held_out_loss=1.5)
    CurvePoint.objects.create(run=run, step=4, loss=1.25, learning_rate=1e-4)
    CurvePoint.objects.create(run=run, step=8, loss=0.5, held_out_loss=0.75, learning_rate=5e-5)
    response = operator.get(address(run))
    page = response.content.decode()
    assert re.findall(r'<th scope="row" class="number">(\d+)</th>', page) == ["0", "4", "8"]
    assert '<data value="0.75">0.750</data>' in page
    assert "10:00:01 &lt;b&gt;odd&lt;/b&gt;" in page
    assert " style=" not in page
    assert "script-src 'self'" in response["Content-Security-Policy"]


def test_stages_are_shown_while_a_run_is_under_way(operator: Client) -> None:
    run = made(kind=TrainingRun.Kind.GENERATOR, message="Training: step 3 of 9", parameters={"freeze": True})
    page = read(operator, address(run))
    assert '<li class="done">Freezing</li>' in page
    assert '<li class="current" aria-current="step">Training</li>' in page
    assert '<li class="waiting">Checking</li>' in page
    TrainingRun.objects.update(status=Status.QUEUED)
    assert 'id="stages" aria-label="Stages" hidden' in read(operator, address(run))


def test_a_trained_generator_leads_on_to_its_evaluation(operator: Client) -> None:
    release = Release.objects.create(
        kind=Kind.GENERATOR,
        name="generator-0009",
        path="x",
        manifest_digest="d" * 64,
        metrics={"loss_before": 1.9, "loss_after": 1.25},
    )
    numbers = {"preset": "quick", "seed": 1, "step_tokens": 512}
    run = made(Status.DONE, kind=TrainingRun.Kind.GENERATOR, release=release, parameters=numbers)
    page = read(operator, address(run))
    assert "<strong>1.900</strong> to <strong>1.250</strong>" in page
    assert "tokens a step 512" in page
    assert "Have it judged first" in page
    judging = made(Status.QUEUED, kind=TrainingRun.Kind.EVALUATION, parameters={"candidate": release.pk})
    assert reverse("dashboard:evaluation-run", args=[judging.pk]) in read(operator, address(run))
    TrainingRun.objects.filter(pk=judging.pk).update(status=Status.DONE)
    evaluation = Evaluation.objects.create(candidate=release, source="rows", rows_digest="d", passed=True)
    page = read(operator, address(run))
    assert reverse("dashboard:evaluation", args=[evaluation.pk]) in page
    assert "passed its gate" in page


@pytest.mark.parametrize(
    ("status", "said"),
    [(Status.FAILED, "the current release goes on serving"), (Status.CANCELLED, "No release came of it.")],
)
def test_an_end_without_a_release_says_what_to_do(operator: Client, status: str, said: str) -> None:
    page = read(operator, address(made(status, error="Too <few>.", finished_at=timezone.now())))
    assert said in page
    assert f'href="{INDEX}"' in page.partition("<main")[2]
    assert "<few>" not in page


def test_a_run_of_another_kind_is_not_found(operator: Client) -> None:
    run = made(kind=TrainingRun.Kind.CROSS_VALIDATION)
    assert operator.get(address(run)).status_code == 404
    assert operator.post(address(run, "cancel/")).status_code == 404


def test_cancelling_says_that_it_is_stopping(operator: Client) -> None:
    run = made(message="Tuning", lease_expires_at=timezone.now() + timedelta(minutes=1))
    page = operator.post(address(run, "cancel/"), follow=True).content.decode()
    assert "Stopping" in page
    assert "<button" not in page


def test_a_release_that_is_gone_does_not_break_its_page(operator: Client) -> None:
    release = Release.objects.create(kind=Kind.CLASSIFIER, name="classifier-0009", path="x", manifest_digest="d" * 64)
    run = made(Status.DONE, release=release, finished_at=timezone.now())
    assert "classifier-0009 is trained" in read(operator, address(run))
    release.delete()
    assert "A release that is gone is trained" in read(operator, address(run))


# --- Following ------------------------------------------------------------------------------------


def socket_of(client: Client, run: TrainingRun, origin: str = "http://shop.example") -> WebsocketCommunicator:
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    headers = [(b"host", b"shop.example"), (b"origin", origin.encode()), (b"cookie", cookies.encode())]
    return WebsocketCommunicator(application, f"/ws/training/{run.pk}/", headers)


async def seen(socket: WebsocketCommunicator) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(await socket.receive_from(timeout=PATIENCE_S))
    return frame


@pytest.mark.asyncio
async def test_a_page_is_told_what_changed_and_of_the_curve_only_what_it_lacks(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the page sees then comes from the announcements alone.
    monkeypatch.setattr(consumers, "LOOK_AGAIN_S", 3600.0)
    run = await sync_to_async(made)(message="Tuning: epoch 1", share=0.1, log="10:00:00 Tuning")
    await CurvePoint.objects.acreate(run=run, step=1, loss=2.0)
    socket = socket_of(operator, run)
    connected, _ = await socket.connect(timeout=PATIENCE_S)
    assert connected
    first = await seen(socket)
    assert (first["message"], first["share"], first["log"]) == ("Tuning: epoch 1", 0.1, ["10:00:00 Tuning"])
    assert [point["step"] for point in first["points"]] == [1]

    await CurvePoint.objects.acreate(run=run, step=2, loss=1.0)
    await sync_to_async(announce_run)(run.pk)
    second = await seen(socket)
    assert [(point["step"], point["loss"]) for point in second["points"]] == [(2, 1.0)]

    # Another worker has begun anew: what the page has of the curve is of no use any more.
    await TrainingRun.objects.filter(pk=run.pk).aupdate(attempt=2)
    await sync_to_async(announce_run)(run.pk)
    assert [point["step"] for point in (await seen(socket))["points"]] == [1, 2]

    await TrainingRun.objects.filter(pk=run.pk).aupdate(status=Status.DONE)
    await sync_to_async(announce_run)(run.pk)
    assert not (await seen(socket))["is_open"]
    await socket.disconnect()


@pytest.mark.asyncio
async def test_a_page_that_hears_nothing_looks_by_itself(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "LOOK_AGAIN_S", 0.05)
    run = await sync_to_async(made)(Status.QUEUED, started_at=None, attempt=0)
    socket = socket_of(operator, run)
    await socket.connect(timeout=PATIENCE_S)
    assert (await seen(socket))["is_open"]
    await TrainingRun.objects.filter(pk=run.pk).aupdate(status=Status.CANCELLED)
    while (await seen(socket))["is_open"]:
        continue
    await socket.disconnect()


@pytest.mark.asyncio
@pytest.mark.parametrize("who", ["stranger", "staff without permission"])
async def test_others_are_told_nothing(client: Client, sign_in: SignIn, who: str) -> None:
    run = await sync_to_async(made)(message="secret")
    if who != "stranger":
        client = await sync_to_async(sign_in)(None)
    socket = socket_of(client, run)
    await socket.connect(timeout=PATIENCE_S)
    assert await socket.receive_output(timeout=PATIENCE_S) == {"type": "websocket.close", "code": consumers.REFUSED}


@pytest.mark.asyncio
async def test_a_page_of_another_origin_is_refused(operator: Client) -> None:
    assert settings.SESSION_COOKIE_NAME in operator.cookies
    run = await sync_to_async(made)()
    connected, code = await socket_of(operator, run, "http://evil.example").connect(timeout=PATIENCE_S)
    assert not connected
    assert code == 4403
