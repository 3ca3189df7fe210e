"""Erasing a person: a marker planted in everything of theirs is nowhere afterwards, and what is others' stays."""

from __future__ import annotations

import os
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from auditlog.models import LogEntry as AuditEntry
from django.conf import LazySettings
from django.contrib.admin.models import CHANGE
from django.contrib.admin.models import LogEntry as AdminEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from chatbot.conversations import forgetting, services, traces
from chatbot.conversations.connections import connect
from chatbot.conversations.exports import record_export
from chatbot.conversations.models import Conversation, Message, Note, Suggestion, Turn, Visitor
from chatbot.conversations.reviews import Judgement, review_turn
from chatbot.conversations.streams import Delta, append_command
from chatbot.exceptions import DatasetError, EvaluationError, TracesRemain
from chatbot.intents.models import Example
from chatbot.releases.models import Kind
from chatbot.sites.models import Site
from chatbot.training import dataset_erasure, erasure, evaluations
from chatbot.training.curation.options import CurationOptions
from chatbot.training.dataset_files import open_dataset
from chatbot.training.freezing import freeze_dataset
from chatbot.training.models import Dataset, Erasure, Evaluation, ReplyPair, TrainingRun
from chatbot.training.selectors import releases_trained_on
from tests.conftest import WORLD
from tests.conversations.records import Told, intent, release
from tests.training.reviewed_shop import make_examples, reviewed
from tests.training.shop_examples import EXAMPLES

MARKER = "zyxwmarker"
NO_SPLIT = CurationOptions(held_out_share=0)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def var(tmp_path: Path, settings: LazySettings) -> Path:
    settings.VAR_DIR, settings.DATASETS_DIR = tmp_path, tmp_path / "datasets"
    return tmp_path


@pytest.fixture
def anna() -> User:
    return User.objects.create_user("anna", is_staff=True)


def marked(told: Told | None = None) -> Told:
    """A customer with the marker in everything that a person can write or a program derive."""
    told = reviewed(f"stop my order {MARKER}", f"Under Account. {MARKER}", told=told)
    told.conversation.refresh_from_db()
    Visitor.objects.filter(pk=told.conversation.visitor_id).update(name=MARKER, email=f"{MARKER}@home.example")
    Conversation.objects.filter(pk=told.conversation.pk).update(contact_email=f"{MARKER}@home.example")
    Message.objects.filter(conversation=told.conversation).update(rating="down", rating_reason=MARKER)
    Note.objects.create(conversation=told.conversation, after_seq=1, text=f"note {MARKER}")
    question = told.conversation.messages.get(seq=1)
    Suggestion.objects.create(message=question, text=MARKER, requested_at=timezone.now())
    return told


def erase(told: Told) -> Erasure:
    visitor = Visitor.objects.get(pk=told.conversation.visitor_id)
    return erasure.carry_out(erasure.request_erasure(visitor=visitor, requested_by=None))


def rows_with(text: str) -> list[str]:
    """Every row of every table that holds the text."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            found += [f"{table}: {row}" for row in cursor.fetchall() if text in str(row)]
    return found


def files_with(text: str, *folders: Path) -> list[str]:
    """Every file below the folders whose bytes or name hold the text."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if text in path.name or text.encode() in path.read_bytes()]


def keys_with(text: str) -> list[bytes]:
    """Every key of the broker whose name or contents hold the text."""
    with connect() as client:
        return [key for key in client.scan_iter() if text.encode() in key + (client.dump(key) or b"")]


def stream_of(turn: Turn, text: str) -> None:
    with connect() as client, client.pipeline() as pipeline:
        append_command(pipeline, turn.pk, turn.attempt, Delta(0, text), expires=True)
        pipeline.execute()


# --- Nowhere ----------------------------------------------------------------------------------------


def test_a_marker_planted_everywhere_is_found_nowhere(var: Path, anna: User) -> None:
    make_examples()
    kept = reviewed("where is my parcel, the other customer asks")
    told = marked()
    conversation = told.conversation
    turn = conversation.turns.get()
    # In the logs: by Django's admin, by the audit log and by an export.
    content_type = ContentType.objects.get_for_model(Conversation)
    AdminEntry.objects.log_actions(anna.pk, [conversation], CHANGE, MARKER, single_object=True)
    AuditEntry.objects.create(
        content_type=content_type,
        object_pk=str(conversation.pk),
        object_repr=MARKER,
        action=1,
        changes={"title": ["", MARKER]},
    )
    record_export(actor=anna, conversation_ids=[conversation.pk, kept.conversation.pk], file_format="CSV")
    judgement = Judgement(intent=intent("refund"), verdict="edited", edited_reply=MARKER, note=MARKER)
    review_turn(turn_id=turn.pk, reviewer=anna, judgement=judgement, seen_version=1)
    told.says(Message.Role.CUSTOMER, f"and my  money {MARKER}")
    Example.objects.create(intent=intent("refund"), text=f"and my money {MARKER}", origin=Example.Origin.REVIEW)
    # In datasets: two frozen ones, and what killed freezes left.
    first = freeze_dataset(options=NO_SPLIT)
    reviewed("and a second dataset")
    freeze_dataset(options=NO_SPLIT)
    learned = release("classifier-0009")
    type(learned).objects.filter(pk=learned.pk).update(dataset_digest=first.digest)
    for name in ("dataset-0077", ".dataset-0078.killed", "copied-by-hand"):
        (var / "datasets" / name).mkdir()
        source = var / "datasets" / first.name / "transcripts.train.jsonl"
        (var / "datasets" / name / "rows.jsonl").write_bytes(source.read_bytes())
    evaluation = Evaluation.objects.create(candidate=learned, source="x", rows_digest="0")
    pair = {"evaluation": evaluation, "question": MARKER, "candidate_reply": MARKER, "baseline_reply": "b", "row": "r"}
    ReplyPair.objects.create(**pair, conversation=str(conversation.pk))
    # In the broker, and in its file.
    stream_of(turn, f"Under Account. {MARKER}")

    places = [WORLD, var]
    assert files_with(MARKER, *places)
    assert keys_with(MARKER)
    receipt = erase(told)

    assert rows_with(MARKER) == []
    assert files_with(MARKER, *places) == []
    assert keys_with(MARKER) == []
    for gone in (conversation.pk, conversation.visitor_id):
        assert rows_with(str(gone)) + rows_with(gone.hex) == []
        assert files_with(str(gone), *places) == []
    assert (receipt.datasets, receipt.releases) == (["dataset-0001", "dataset-0002"], ["classifier-0009"])
    assert receipt.counts["conversations"] == 1
    assert receipt.counts["dataset rows"] == 8
    # What is others' is as it was.
    assert Conversation.objects.filter(pk=kept.conversation.pk).exists()
    export = AuditEntry.objects.get(action=AuditEntry.Action.ACCESS)
    assert export.additional_data["conversations"] == [str(kept.conversation.pk)]
    for dataset in Dataset.objects.all():
        texts = [row.text for row in open_dataset(dataset).intents("train")]
        assert "where is my parcel, the other customer asks" in texts
        assert len(texts) >= len(EXAMPLES)


def test_a_dataset_is_marked_and_still_opens_and_releases_are_found_by_its_former_digest() -> None:
    told = reviewed("stop my order")
    reviewed("where is my parcel", of="track")
    dataset = freeze_dataset(options=NO_SPLIT)
    learned = release("generator-0003", Kind.GENERATOR)
    type(learned).objects.filter(pk=learned.pk).update(dataset_digest=dataset.digest)
    before = dataset.digest
    erase(told)
    dataset.refresh_from_db()
    assert dataset.digest != before
    assert dataset.former_digests == [before]
    assert dataset.erased_rows == 3
    assert dataset.erased_at is not None
    folder = open_dataset(dataset)
    assert [row.intent for row in folder.intents("train")] == ["track"]
    assert folder.manifest == dataset.manifest
    assert folder.manifest["counts"]["intents"] == {"train": 1, "held_out": 0}
    assert [entry["intent"] for entry in folder.manifest["per_intent"]] == ["track"]
    assert folder.manifest["erasures"][0]["rows"] == 3
    assert [found.name for found in releases_trained_on(dataset)] == ["generator-0003"]
    assert erasure.digests_before_erasures() == {before}


def test_a_catalogue_example_that_says_the_same_stays() -> None:
    told = reviewed("cancel my order")
    Example.objects.create(intent=intent("cancel_order"), text="cancel my order")
    erase(told)
    assert Example.objects.filter(text="cancel my order").exists()


# --- Interrupted ------------------------------------------------------------------------------------


class Killed(BaseException):
    """In place of SIGKILL: nothing catches it."""


@pytest.mark.parametrize("moment", range(12))
def test_killed_at_any_step_it_is_finished_by_the_next_call(
    monkeypatch: pytest.MonkeyPatch, var: Path, moment: int
) -> None:
    """Each step that writes is made to be the last one of a first attempt."""
    told = marked()
    reviewed("where is my parcel", of="track")
    dataset = freeze_dataset(options=NO_SPLIT)
    visitor = Visitor.objects.get(pk=told.conversation.visitor_id)
    wanted = erasure.request_erasure(visitor=visitor, requested_by=None)
    steps = [0]

    def dying(name: str, owner: Any) -> None:
        real = getattr(owner, name)

        def step(*arguments: Any, **named: Any) -> Any:
            steps[0] += 1
            if steps[0] > moment:
                raise Killed
            return real(*arguments, **named)

        monkeypatch.setattr(owner, name, step)

    dying("_note", dataset_erasure)
    dying("replace", os)
    dying("forget_pairs", erasure)
    dying("forget_visitor", forgetting)
    dying("scrub_broker", traces)
    dying("scrub_database", traces)
    if moment < 11:
        with pytest.raises(Killed):
            erasure.carry_out(wanted)
    else:
        erasure.carry_out(wanted)
    monkeypatch.undo()
    erasure.carry_out(Erasure.objects.get(pk=wanted.pk))
    receipt = Erasure.objects.get(pk=wanted.pk)
    assert not receipt.is_open
    assert receipt.visitor is None
    assert receipt.counts["conversations"] == 1
    assert receipt.counts["dataset rows"] == 3
    assert rows_with(MARKER) + files_with(MARKER, WORLD, var) == []
    dataset.refresh_from_db()
    assert [row.intent for row in open_dataset(dataset).intents("train")] == ["track"]
    assert (dataset.erased_rows, len(dataset.former_digests)) == (3, 1)


def test_while_it_is_half_done_a_dataset_is_refused_and_not_served_with_other_rows(
    monkeypatch: pytest.MonkeyPatch, var: Path
) -> None:
    told = reviewed("stop my order")
    reviewed("where is my parcel", of="track")
    dataset = freeze_dataset(options=NO_SPLIT)

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        with pytest.raises(Killed):
            erase(told)
    dataset.refresh_from_db()
    with pytest.raises(DatasetError, match="digest differs"):
        open_dataset(dataset)
    # A process that is really killed cannot tidy up.
    (var / "datasets" / ".dataset-0001.erasing").mkdir()
    erasure.carry_out_open()
    assert [row.intent for row in open_dataset(dataset).intents("train")] == ["track"]


def test_a_damaged_dataset_loses_the_rows_and_stays_refused(var: Path) -> None:
    told = marked()
    reviewed("where is my parcel", of="track")
    dataset = freeze_dataset(options=NO_SPLIT)
    with (var / dataset.path / "intents.train.jsonl").open("a") as file:
        file.write('{"id":"smuggled","text":"in","intent":"track"}\n')
    erase(told)
    assert files_with(MARKER, var) == []
    dataset.refresh_from_db()
    assert (dataset.erased_rows, dataset.former_digests) == (3, [])
    with pytest.raises(DatasetError, match="damaged"):
        open_dataset(dataset)


# --- What runs meanwhile ------------------------------------------------------------------------------


def test_a_queued_turn_ends_at_once_and_a_running_one_when_its_worker_has_stopped_or_lost_it(
    settings: LazySettings,
) -> None:
    settings.TURN_LEASE_S, settings.TURN_HEARTBEAT_S = 0.4, 0.1
    told = Told()
    running = told.turn(told.says("customer", "one"), status="running", lease_expires_at=timezone.now() + timedelta(60))
    queued = told.turn(told.says("customer", "two"), status="queued", attempt=0)
    forgetting.end_turns(told.conversation.visitor_id)
    for turn in (running, queued):
        turn.refresh_from_db()
        assert turn.status == "cancelled"
    assert running.cancel_requested


def test_a_message_that_comes_meanwhile_goes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    told = marked()

    def write(**_: Any) -> None:
        services.send_message(
            visitor_id=told.conversation.visitor_id,
            conversation_id=told.conversation.pk,
            client_id="late",
            text=MARKER,
        )

    monkeypatch.setattr(erasure, "erase_rows", write)
    erase(told)
    assert rows_with(MARKER) == []


def test_what_trains_or_judges_on_the_rows_is_stopped_and_nothing_else() -> None:
    told = reviewed("stop my order")
    dataset = freeze_dataset(options=NO_SPLIT)

    def running(kind: str, name: str | int) -> TrainingRun:
        return TrainingRun.objects.create(kind=kind, status="running", parameters={"dataset": name})

    training = running("generator", dataset.name)
    judging = running("evaluation", dataset.pk)
    other = running("classifier", "dataset-0099")
    erase(told)
    for run, is_stopped in ((training, True), (judging, True), (other, False)):
        run.refresh_from_db()
        assert run.cancel_requested is is_stopped


def test_an_evaluation_on_rows_that_were_erased_meanwhile_is_not_kept() -> None:
    told = reviewed("stop my order")
    reviewed("where is my parcel", of="track")
    dataset = freeze_dataset(options=NO_SPLIT)
    erase(told)
    with pytest.raises(EvaluationError, match="Rows were erased from dataset-0001"), transaction.atomic():
        evaluations._check_unchanged(dataset)
    dataset.refresh_from_db()
    with transaction.atomic():
        evaluations._check_unchanged(dataset)


# --- Where something does not let go ------------------------------------------------------------------


def test_without_a_broker_the_receipt_stays_open_and_is_finished_later(settings: LazySettings) -> None:
    told = marked()
    url = settings.REDIS_URL
    settings.REDIS_URL = "unix:///nonexistent/valkey.sock"
    with pytest.raises(TracesRemain, match="made up for by itself"):
        erase(told)
    assert rows_with(MARKER) == []
    open_one = Erasure.objects.get()
    assert open_one.is_open
    assert "The broker does not answer" in open_one.problem
    settings.REDIS_URL = url
    assert erasure.carry_out_open() == 1
    done = Erasure.objects.get()
    assert (done.is_open, done.problem) == (False, "")


def test_the_sweeper_carries_out_what_was_asked_for_in_the_admin(var: Path) -> None:
    told = marked()
    erasure.request_erasure(visitor=told.conversation.visitor, requested_by=None)
    call_command("sweep", once=True)
    assert not Erasure.objects.get().is_open
    assert rows_with(MARKER) == []


def test_a_broker_that_may_not_rewrite_its_file_does_not_keep_the_receipt_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> None:
        raise redis.ResponseError("unknown command 'BGREWRITEAOF'")

    monkeypatch.setattr(redis.Redis, "bgrewriteaof", refuse)
    assert not erase(marked()).is_open


# --- The command --------------------------------------------------------------------------------------


def test_a_dry_run_counts_and_deletes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    told = marked()
    freeze_dataset(options=NO_SPLIT)
    call_command("erase_visitor", str(told.conversation.visitor_id), dry_run=True)
    out = capsys.readouterr().out
    assert "2  messages" in out
    assert "3  rows of dataset-0001" in out
    assert out.endswith("Nothing was deleted.\n")
    assert Visitor.objects.exists()
    assert not Erasure.objects.exists()


def test_it_asks_first_and_only_the_word_itself_is_a_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    told = marked()
    monkeypatch.setattr("builtins.input", lambda _: "y")
    with pytest.raises(CommandError, match="Nothing was deleted"):
        call_command("erase_visitor", str(told.conversation.visitor_id))
    assert Visitor.objects.exists()
    monkeypatch.setattr("builtins.input", lambda _: "erase")
    call_command("erase_visitor", str(told.conversation.visitor_id))
    assert not Visitor.objects.exists()


def test_an_identity_is_found_and_where_two_sites_have_it_one_is_to_be_named() -> None:
    shops = [Site.objects.create(key=key, name=key) for key in ("north", "south")]
    for shop in shops:
        Visitor.objects.create(site=shop, external_id="customer-7")
    with pytest.raises(CommandError, match=r"several sites \(north, south\): name one"):
        call_command("erase_visitor", external_identity="customer-7", yes=True)
    call_command("erase_visitor", external_identity="customer-7", site="north", yes=True)
    assert Visitor.objects.get().site == shops[1]
    with pytest.raises(CommandError, match="no visitor with the external identity 'customer-7' at the site 'north'"):
        call_command("erase_visitor", external_identity="customer-7", site="north", yes=True)


def test_nobody_and_nonsense_are_one_sentence_and_who_was_erased_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = str(uuid.uuid4())
    with pytest.raises(CommandError, match=f"^There is no visitor {unknown}.$"):
        call_command("erase_visitor", unknown, yes=True)
    with pytest.raises(CommandError, match="'nobody' is no visitor's id"):
        call_command("erase_visitor", "nobody", yes=True)
    told = marked()
    call_command("erase_visitor", str(told.conversation.visitor_id), yes=True)
    capsys.readouterr()
    call_command("erase_visitor", str(told.conversation.visitor_id), yes=True)
    assert "This visitor was erased on" in capsys.readouterr().out


def test_an_interrupted_erasure_is_finished_by_whichever_comes_next(
    capsys: pytest.CaptureFixture[str], settings: LazySettings
) -> None:
    told = marked()
    url = settings.REDIS_URL
    settings.REDIS_URL = "unix:///nonexistent/valkey.sock"
    with pytest.raises(CommandError, match="The broker does not answer"):
        call_command("erase_visitor", str(told.conversation.visitor_id), yes=True)
    settings.REDIS_URL = url
    call_command("erase_visitor", str(told.conversation.visitor_id), yes=True)
    assert "has not ended; it goes on" in capsys.readouterr().out
    assert not Erasure.objects.get().is_open
