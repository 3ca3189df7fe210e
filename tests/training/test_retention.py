"""Retention: what goes by its age and what never does, and that erasing still reaches what was frozen before."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from chatbot.conversations import traces
from chatbot.conversations.connections import connect
from chatbot.conversations.models import Conversation, Departure, Visitor
from chatbot.training import erasure, retention
from chatbot.training.curation.options import CurationOptions
from chatbot.training.dataset_files import open_dataset
from chatbot.training.freezing import freeze_dataset
from tests.conversations.records import Told
from tests.training.reviewed_shop import reviewed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def rules(tmp_path: Path, settings: LazySettings) -> None:
    settings.VAR_DIR, settings.DATASETS_DIR = tmp_path, tmp_path / "datasets"
    settings.RETENTION_CONVERSATIONS_DAYS, settings.RETENTION_VISITORS_DAYS = 30, 60
    settings.RETENTION_STREAMS_DAYS = 0


def aged(days: float, told: Told | None = None, **fields: Any) -> Conversation:
    """A conversation in which nothing was written for so many days."""
    told = told or Told()
    if not told.conversation.last_seq:
        told.answered("where is my parcel", "In the post.")
    then = timezone.now() - timedelta(days=days)
    Conversation.objects.filter(pk=told.conversation.pk).update(updated_at=then, **fields)
    Visitor.objects.filter(pk=told.conversation.visitor_id).update(last_seen_at=then)
    return told.conversation


def left() -> set[object]:
    return set(Conversation.objects.values_list("pk", flat=True))


def test_what_is_old_goes_and_nothing_that_somebody_waits_for() -> None:
    for status in ("closed", "bot"):
        aged(31, status=status)
    kept = {
        aged(29, status="closed").pk,
        aged(31, status="waiting").pk,
        aged(31, status="human").pk,
        aged(31, status="closed", is_demo=True).pk,
    }
    kept.add(aged(31, is_imported=True).pk)
    owed = Told()
    owed.turn(owed.says("customer", "still waiting"), status="queued", attempt=0)
    kept.add(aged(31, owed).pk)
    assert retention.preview_retention().conversations == 2
    assert retention.apply_retention().conversations == 2
    assert left() == kept
    assert retention.apply_retention().conversations == 0


def test_many_go_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for _ in range(5):
        aged(40)
    assert retention.apply_retention().conversations == 5


def test_zero_keeps_everything(settings: LazySettings) -> None:
    settings.RETENTION_CONVERSATIONS_DAYS = settings.RETENTION_VISITORS_DAYS = 0
    aged(4000)
    Visitor.objects.filter(pk=Visitor.objects.create().pk).update(last_seen_at=timezone.now() - timedelta(days=4000))
    assert retention.apply_retention() == retention.Retained(0, 0, 0)


def test_visitors_go_once_they_have_no_conversation_and_were_not_seen_for_long() -> None:
    gone, recent, talking = Visitor.objects.create(), Visitor.objects.create(), aged(20).visitor
    Visitor.objects.filter(pk=gone.pk).update(last_seen_at=timezone.now() - timedelta(days=61))
    Visitor.objects.filter(pk=talking.pk).update(last_seen_at=timezone.now() - timedelta(days=61))
    assert retention.apply_retention().visitors == 1
    assert set(Visitor.objects.values_list("pk", flat=True)) == {recent.pk, talking.pk}


def test_frozen_rows_stay_and_their_visitor_can_still_be_erased(
    django_db_blocker: Any, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = reviewed("stop my order")
    reviewed("where is my parcel", of="track")
    dataset = freeze_dataset(options=CurationOptions(held_out_share=0))
    visitor = told.conversation.visitor
    Visitor.objects.filter(pk=visitor.pk).update(name="Ada", email="ada@home.example", external_id="customer-7")
    aged(90, told)
    assert retention.preview_retention().conversations == 1
    done = retention.apply_retention()
    # The visitor became due with the conversation; the rows of a dataset are theirs.
    assert (done.conversations, done.visitors, done.reduced) == (1, 0, 1)
    visitor.refresh_from_db()
    assert (visitor.name, visitor.email, visitor.external_id) == ("", "", "customer-7")
    assert len(list(open_dataset(dataset).intents("train"))) == 2
    assert retention.apply_retention() == retention.Retained(0, 0, 0)
    # What is underneath cannot be rebuilt inside this test's transaction (tests/training/test_erasure.py does).
    monkeypatch.setattr(traces, "scrub_database", lambda: None)
    receipt = erasure.carry_out(erasure.request_erasure(visitor=visitor, requested_by=None))
    assert receipt.counts["dataset rows"] == 3
    dataset.refresh_from_db()
    assert [row.intent for row in open_dataset(dataset).intents("train")] == ["track"]
    assert not Departure.objects.exists()


def test_a_visitor_whose_conversations_are_in_no_dataset_goes_with_the_last_trace() -> None:
    aged(90)
    done = retention.apply_retention()
    assert (done.conversations, done.visitors, done.reduced) == (1, 1, 0)
    assert not Departure.objects.exists()


def test_a_conversation_deleted_in_the_admin_can_be_found_in_datasets_too(admin_client: Client) -> None:
    conversation = aged(1)
    admin_client.post(f"/admin/conversations/conversation/{conversation.pk}/delete/", {"post": "yes"})
    second = aged(1)
    chosen = {"action": "delete_selected", "_selected_action": str(second.pk), "post": "yes"}
    admin_client.post("/admin/conversations/conversation/", chosen)
    assert not Conversation.objects.exists()
    assert set(Departure.objects.values_list("conversation", "visitor")) == {
        (conversation.pk, conversation.visitor_id),
        (second.pk, second.visitor_id),
    }


def test_the_brokers_file_is_written_anew_when_it_is_old_and_not_every_hour(settings: LazySettings) -> None:
    settings.RETENTION_STREAMS_DAYS = 1
    with connect() as client:
        client.delete(traces.REWRITTEN_AT)
    assert retention.apply_retention().streams_cleared
    assert not retention.apply_retention().streams_cleared
    with connect() as client:
        client.set(traces.REWRITTEN_AT, timezone.now().timestamp() - 90_000)
    assert retention.apply_retention().streams_cleared


def test_a_dry_run_says_what_is_due_and_deletes_nothing(
    capsys: pytest.CaptureFixture[str], settings: LazySettings
) -> None:
    settings.RETENTION_VISITORS_DAYS = 0
    aged(31)
    call_command("apply_retention", dry_run=True)
    out = capsys.readouterr().out
    assert "1 conversation would be deleted (older than 30 days)" in out
    assert "0 visitors would be deleted (kept for good, as the settings have it)" in out
    assert Conversation.objects.count() == 1
    call_command("apply_retention")
    assert "1 conversation deleted" in capsys.readouterr().out
    assert not Conversation.objects.exists()
