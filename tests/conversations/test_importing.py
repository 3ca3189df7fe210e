"""Transcripts from elsewhere: none is stored twice, none dropped unsaid, and no figure of the chat counts them."""

from __future__ import annotations

import io
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chatbot.conversations import importing
from chatbot.conversations.importing import ImportOutcome, import_transcripts
from chatbot.conversations.models import Conversation, Message, Review, ReviewItem, Turn, Visitor
from chatbot.conversations.outcomes import Period, outcomes_of
from chatbot.conversations.performance import SPANS, performance_of
from chatbot.conversations.triage import triage_due
from chatbot.exceptions import ImportFailed
from tests.conversations.records import intent

pytestmark = pytest.mark.django_db

ASKED = {"role": "user", "content": "where is my parcel"}
ANSWERED = {"role": "assistant", "content": "On its **way**."}
CHAT = {"messages": [ASKED, ANSWERED]}


def written(path: Path, *lines: Any) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chats.jsonl"


def imported(path: Path, *lines: Any, **options: Any) -> ImportOutcome:
    return import_transcripts(path=written(path, *lines), **{"consent": True, **options})


def printed(path: Path, *options: str) -> str:
    stream = io.StringIO()
    call_command("import_transcripts", str(path), *options, stdout=stream, verbosity=0)
    return stream.getvalue()


# --- What is stored -------------------------------------------------------------------------------


def test_a_conversation_comes_whole_closed_and_with_a_turn_for_each_question(file: Path) -> None:
    greeted = {"role": "assistant", "content": "Hello!"}
    parts = {"role": "user", "content": [{"type": "text", "text": "two "}, {"type": "text", "text": "parts"}]}
    said = [{"role": "system", "content": "Be kind."}, greeted, ASKED, parts, ANSWERED, ANSWERED]
    outcome = imported(file, {"messages": said, "created_at": "2026-03-01T10:30:00+01:00", "id": 7})
    conversation = Conversation.objects.get()
    assert (conversation.status, conversation.is_imported, conversation.last_seq) == ("closed", True, 5)
    assert conversation.created_at == conversation.updated_at == datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    assert conversation.title == "where is my parcel"
    messages = list(conversation.messages.order_by("seq"))
    assert [each.role for each in messages] == ["bot", "customer", "customer", "bot", "bot"]
    assert {each.created_at for each in messages} == {conversation.created_at}
    first, second = conversation.turns.order_by("number")
    assert (first.message, second.message) == (messages[1], messages[2])
    assert [each.turn for each in messages] == [None, None, None, second, None]
    assert messages[2].text == "two parts"
    assert {turn.status for turn in (first, second)} == {Turn.Status.DONE}
    assert (outcome.added, outcome.messages, outcome.not_kept.system_messages) == ([1], 5, 1)


@pytest.mark.parametrize("consent", [True, False])
def test_consent_is_what_the_caller_says(file: Path, consent: bool) -> None:
    imported(file, CHAT, consent=consent)
    assert Conversation.objects.get().training_consent is consent


def test_labels_count_as_reviewed_and_leave_the_reply_open(file: Path) -> None:
    wanted = intent("track_parcel")
    labelled = {**ASKED, "intent": "Track_Parcel"}
    imported(file, {"messages": [labelled, ANSWERED, {**ASKED, "intent": None}, {**ASKED, "intent": "oos"}, ASKED]})
    reviews = Review.objects.order_by("turn__number")
    assert [(each.intent, each.out_of_scope, each.verdict) for each in reviews] == [
        (wanted, False, ""),
        (None, True, ""),
        (None, True, ""),
    ]
    assert {each.reviewed_by for each in reviews} == {None}


def test_one_customers_conversations_have_one_visitor(file: Path) -> None:
    lines = [{**CHAT, "id": number, "customer": customer} for number, customer in enumerate(("a", "a", "b", 5))]
    imported(file, *lines, {**CHAT, "id": "x"}, {**CHAT, "id": "y"})
    assert Visitor.objects.count() == 5
    imported(file, {**CHAT, "id": "later", "customer": "a"})
    assert Visitor.objects.count() == 5


# --- Doing it again -------------------------------------------------------------------------------


def test_a_line_is_known_by_its_id_or_by_what_it_says(file: Path) -> None:
    lines = [CHAT, {**CHAT, "id": "1"}, CHAT, {**CHAT, "id": 1}]
    outcome = imported(file, *lines)
    assert (outcome.added, outcome.repeated) == ([1, 2], [3, 4])
    again = imported(file, *lines)
    assert (again.added, again.known, again.repeated) == ([], [1, 2], [3, 4])
    assert Conversation.objects.count() == 2


def test_another_conversation_under_a_taken_id_changes_nothing_and_is_told(file: Path) -> None:
    other = {"messages": [{**ASKED, "content": "something else"}], "id": "1"}
    outcome = imported(file, {**CHAT, "id": "1"}, other)
    assert (outcome.added, outcome.changed) == ([1], [2])
    outcome = imported(file, other)
    assert (outcome.added, outcome.changed) == ([], [1])
    assert set(Message.objects.values_list("text", flat=True)) == {ASKED["content"], ANSWERED["content"]}


def test_an_import_that_was_stopped_goes_on_where_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 2)

    def stop(message: str, share: float) -> None:
        if message.startswith("Storing: 2"):
            raise KeyboardInterrupt

    lines = [{**CHAT, "id": number} for number in range(5)]
    with pytest.raises(KeyboardInterrupt):
        imported(file, *lines, report=stop)
    assert Conversation.objects.count() == 2
    outcome = imported(file, *lines)
    assert (outcome.known, outcome.added) == ([1, 2], [3, 4, 5])


def test_a_dry_run_says_what_an_import_would_do_and_writes_nothing(file: Path) -> None:
    dry = imported(file, CHAT, {**CHAT, "id": 1}, CHAT, dry_run=True)
    assert not Conversation.objects.exists()
    assert not Visitor.objects.exists()
    wet = imported(file, CHAT, {**CHAT, "id": 1}, CHAT)
    assert (dry.added, dry.repeated, dry.messages) == (wet.added, wet.repeated, wet.messages) == ([1, 2], [3], 4)


# --- What is wrong --------------------------------------------------------------------------------

BAD: list[tuple[Any, str]] = [
    ("{", "it is not JSON"),
    ("[" * 100_000, "JSON that nobody can read"),
    ([CHAT], "it is not a JSON object"),
    ({}, "there is no list of messages"),
    ({"messages": []}, "there is no list of messages"),
    ({"messages": [ASKED] * 1001}, "more than 1,000 messages"),
    ({"messages": ["hello"]}, "not an object with role and content"),
    ({"messages": [ANSWERED]}, "the user says nothing in it"),
    ({"messages": [ASKED, {"role": "tool", "content": "x"}]}, "another role"),
    ({"messages": [{"role": ["user"], "content": "x"}]}, "another role"),
    ({"messages": [ASKED, {"role": "assistant", "content": None, "tool_calls": []}]}, "is not text"),
    ({"messages": [{"role": "user", "content": " \n"}]}, "a message is empty"),
    ({"messages": [{"role": "user", "content": "x" * 100_001}]}, "longer than 100,000 characters"),
    ({"messages": [{"role": "user", "content": "a\0b"}]}, "NUL character"),
    (r'{"messages": [{"role": "user", "content": "\ud800"}]}', "lone surrogate"),
    ({"messages": [{**ASKED, "intent": "no_such_thing"}]}, "the catalogue has no intent 'no_such_thing'"),
    ({"messages": [{**ASKED, "intent": "?!"}]}, "no letters or digits"),
    ({"messages": [{**ASKED, "intent": 5}]}, "an intent is not a name"),
    ({"messages": [ASKED, {**ANSWERED, "intent": "x"}]}, "not the user's has an intent"),
    ({**CHAT, "created_at": "yesterday"}, "neither ISO 8601 nor seconds"),
    ({**CHAT, "created_at": "2026-02-30T10:00:00Z"}, "no moment that there is"),
    ({**CHAT, "created_at": 1e300}, "no moment that there is"),
    ({**CHAT, "created_at": True}, "neither ISO 8601 nor seconds"),
    ({**CHAT, "created_at": "2999-01-01T00:00:00Z"}, "in the future"),
    ({**CHAT, "created_at": "0001-01-01T00:00:00+14:00"}, "created_at lies before 1970"),
    ({**CHAT, "id": [1]}, "id is neither a text nor a whole number"),
    ({**CHAT, "id": ""}, "id is empty or longer than 200 characters"),
    ({**CHAT, "customer": "x" * 201}, "customer is empty or longer than 200 characters"),
]


@pytest.mark.parametrize(("line", "problem"), BAD)
def test_a_bad_line_is_named_and_nothing_is_imported(file: Path, line: Any, problem: str) -> None:
    written(file, CHAT, "", line)
    with pytest.raises(CommandError, match="line 3: ") as error:
        printed(file, "--consent", "yes")
    assert problem in str(error.value)
    assert "\n" not in str(error.value)
    assert not Conversation.objects.exists()
    assert "line 3" in printed(file, "--consent", "yes", "--skip-bad")
    assert Conversation.objects.count() == 1


def test_what_is_no_file_of_text_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="No such file"):
        import_transcripts(path=file, consent=True)
    with pytest.raises(ImportFailed, match="is not a file"):
        import_transcripts(path=tmp_path, consent=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImportFailed, match="is not a file"):
        import_transcripts(path=tmp_path / "pipe", consent=True)
    file.write_bytes(b'{"messages": "\xff"}\n')
    with pytest.raises(ImportFailed, match="line 1"):
        import_transcripts(path=file, consent=True)
    file.write_text("\n\n")
    with pytest.raises(CommandError, match="there is no conversation in it"):
        printed(file, "--consent", "yes")


def test_consent_has_to_be_said(file: Path) -> None:
    with pytest.raises(CommandError, match="--consent"):
        printed(written(file, CHAT))


def test_the_report_has_every_line_in_one_place_and_tells_what_is_not_kept(file: Path) -> None:
    tagged = {"messages": [{"role": "system", "content": "x"}, {**ASKED, "name": "jo"}], "tag": 1, "id": "\x1b[31m"}
    written(file, CHAT, CHAT, "{", tagged)
    told = json.loads(printed(file, "--consent", "yes", "--skip-bad", "--json"))
    assert (told["added"], told["repeated"], list(told["bad"].values())) == ([1, 4], [2], [[3]])
    assert (told["conversations"], told["messages"], told["undated"]) == (4, 3, 2)
    assert (told["unread_fields"], told["system_messages"]) == ({"tag": 1, "messages.name": 1}, 1)
    report = printed(file, "--consent", "yes", "--skip-bad")
    assert "imported before: 2 (lines 1 and 4)" in report
    assert "“tag” (1)" in report
    assert "\x1b" not in report


# --- Elsewhere ------------------------------------------------------------------------------------


def test_no_figure_of_the_chat_counts_them_and_no_queue_holds_them(file: Path) -> None:
    now = timezone.now() - timedelta(minutes=1)
    imported(file, {**CHAT, "created_at": now.timestamp()})
    today = timezone.localdate()
    whole = outcomes_of(Period(today - timedelta(days=1), today), with_demo=True).whole
    assert (whole.conversations, whole.turns) == (0, 0)
    assert performance_of(next(iter(SPANS.values())), timezone.now()).whole.turns == 0
    assert triage_due() == 0
    assert not ReviewItem.objects.exists()


def test_they_are_found_read_and_reviewed_in_the_admin(file: Path, admin_client: Client) -> None:
    imported(file, {"messages": [ASKED, {"role": "assistant", "content": "<script>alert(1)</script> **no**"}]})
    found = admin_client.get(reverse("admin:conversations_conversation_changelist"), {"is_imported__exact": 1})
    assert "where is my parcel" in found.content.decode()
    conversation = Conversation.objects.get()
    page = admin_client.get(reverse("admin:conversations_conversation_change", args=[conversation.pk]))
    transcript = page.content.decode()
    assert "<dd>Imported</dd>" in transcript
    assert "<script>alert" not in transcript
    review = reverse("admin:conversations_reviewitem_review", args=[conversation.turns.get().pk])
    assert review in transcript
    assert admin_client.get(review).status_code == 200
