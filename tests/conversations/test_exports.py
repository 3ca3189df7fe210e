"""Exports parse back to what was said, and no cell of them can run."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import unicodedata
from datetime import date
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from hypothesis import example, given
from hypothesis import strategies as st

from chatbot.conversations import exports
from chatbot.conversations.admin.downloads import Download
from chatbot.conversations.models import Conversation, Turn
from tests.conversations.records import Told, release

LIST = "admin:conversations_conversation_changelist"


@pytest.fixture
def exporter(db: None) -> Client:
    user = User.objects.create_user("kim", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_conversation", "export_conversation"]))
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def told(db: None) -> Told:
    told = Told(external_id="customer-1", language="en")
    told.answered(
        '=HYPERLINK("http://evil.example"),\n"quoted"',
        "Open Account → Orders.\u2028Then cancel.",
        rating="up",
        best="cancel-an-order",
        confidence=0.94,
        action="generate",
        reason="understood with 94%",
        generator=release("generator-0001", "generator"),
        sources=[{"title": "Cancelling", "url": "/help/cancel/", "passage": "…", "score": 0.8}],
    )
    told.turn(told.says("customer", "and now?"), status=Turn.Status.FAILED, error_code="engine")
    return told


def export(client: Client, action: str, *conversations: Conversation, **query: str) -> Any:
    chosen = [str(conversation.pk) for conversation in conversations]
    return client.post(
        reverse(LIST, query=query), {"action": action, "_selected_action": chosen, "index": "0", "select_across": "0"}
    )


def test_csv_has_a_row_for_each_message(exporter: Client, told: Told) -> None:
    response = export(exporter, "export_as_csv", told.conversation)
    assert response.streaming
    assert f'filename="conversations-{date.today():%Y-%m-%d}.csv"' in response["Content-Disposition"]
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    content = response.getvalue()
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert [(row["seq"], row["role"]) for row in rows] == [("1", "customer"), ("2", "bot"), ("3", "customer")]
    question, reply, unanswered = rows
    assert question["text"] == '\'=HYPERLINK("http://evil.example"),\n"quoted"'
    assert reply["text"] == "Open Account → Orders.\u2028Then cancel."
    assert reply["conversation"] == str(told.conversation.pk)
    assert (reply["intent"], reply["confidence"], reply["action"]) == ("cancel-an-order", "0.94", "generate")
    assert (reply["reason"], reply["rating"]) == ("understood with 94%", "up")
    assert (reply["classifier"], reply["generator"]) == ("classifier-0001", "generator-0001")
    assert reply["sources"] == "Cancelling </help/cancel/>"
    assert unanswered["turn_status"] == "failed: engine"


def test_jsonl_has_a_line_for_each_conversation(exporter: Client, told: Told) -> None:
    other = Told()
    other.says("customer", "=1+1")
    response = export(exporter, "export_as_jsonl", told.conversation, other.conversation)
    lines = response.getvalue().decode().splitlines()  # splits on every Unicode line end, so none may stand bare
    documents = {document["conversation"]: document for document in map(json.loads, lines)}
    assert set(documents) == {str(told.conversation.pk), str(other.conversation.pk)}
    assert documents[str(other.conversation.pk)]["messages"][0]["text"] == "=1+1", "as it was written"
    question, reply, unanswered = documents[str(told.conversation.pk)]["messages"]
    assert reply["text"] == "Open Account → Orders.\u2028Then cancel."
    assert reply["turn"]["intent"] == "cancel-an-order"
    assert reply["turn"]["prediction"]["ranking"][0] == ["cancel-an-order", 0.94]
    assert reply["turn"]["sources"][0]["url"] == "/help/cancel/"
    assert question["turn"]["id"] == reply["turn"]["id"]
    assert (unanswered["turn"]["status"], unanswered["turn"]["error_code"]) == ("failed", "engine")


def test_exporting_needs_its_own_permission(told: Told) -> None:
    user = User.objects.create_user("lee", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_conversation", "change_conversation"]))
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    assert "export_as" not in client.get(reverse(LIST)).content.decode()
    response = export(client, "export_as_csv", told.conversation)
    assert not response.streaming
    assert not LogEntry.objects.filter(action=LogEntry.Action.ACCESS).exists()


def test_an_export_is_in_the_audit_log(exporter: Client, told: Told) -> None:
    export(exporter, "export_as_csv", told.conversation)
    entry = LogEntry.objects.get(action=LogEntry.Action.ACCESS)
    assert entry.actor.get_username() == "kim"
    assert entry.additional_data == {"format": "CSV", "conversations": [str(told.conversation.pk)]}
    assert entry.object_repr == "Export of 1 conversation as CSV"


def test_everything_that_a_filter_finds_is_exported_in_its_order(exporter: Client) -> None:
    for number in range(exports.CHUNK_CONVERSATIONS + 5):
        Told(language="de" if number % 2 else "en").says("customer", f"number {number}")
    response = exporter.post(
        reverse(LIST, query={"language": "de"}),
        {
            "action": "export_as_jsonl",
            "_selected_action": [str(Conversation.objects.filter(language="de").first().pk)],  # type: ignore[union-attr]
            "index": "0",
            "select_across": "1",
        },
    )
    exported = [json.loads(line)["conversation"] for line in response.getvalue().decode().splitlines()]
    wanted = Conversation.objects.filter(language="de").order_by("-updated_at")
    assert exported == [str(pk) for pk in wanted.values_list("pk", flat=True)]


def test_each_chunk_costs_the_same_few_queries(db: None, django_assert_num_queries: Any) -> None:
    for number in range(exports.CHUNK_CONVERSATIONS * 2):
        Told().answered(f"question {number}", "answer", best="x")
    ids = list(Conversation.objects.values_list("pk", flat=True))
    with django_assert_num_queries(10):  # conversations, messages, files, turns and notes, for each of two chunks
        pieces = list(exports.csv_chunks(ids))
    assert len(pieces) == 3, "the heading, and a piece for each chunk"


def test_a_conversation_erased_meanwhile_is_left_out(told: Told) -> None:
    gone = Told().conversation
    ids = [gone.pk, told.conversation.pk]
    gone.delete()
    assert len(list(exports.jsonl_chunks(ids))) == 1


def test_under_asgi_a_download_is_sent_piece_by_piece() -> None:
    made: list[str] = []

    def pieces() -> Any:
        for piece in ("one", "two", "three"):
            made.append(piece)
            yield piece

    async def first_piece() -> bytes:
        download = Download(pieces(), filename="x", content_type="text/plain")
        async for piece in download:
            return piece
        raise AssertionError("nothing was sent")

    assert asyncio.run(first_piece()) == b"one"
    assert made == ["one"], "the second piece is made once the first has gone"


BLANKS = st.text(st.sampled_from(" \t\r\n\u00a0\u3000\u200b\ufeff\u202e\x00\x1b"), max_size=4)
SIGNS = st.sampled_from("=+-@＝＋－＠﹢﹣﹦﹫⁺⁼₊")


@given(BLANKS, SIGNS, st.text(max_size=20))
@example("", "=", "cmd|' /C calc'!A0")
@example("\u3000", "＝", "1+1")
def test_no_formula_survives(blanks: str, sign: str, rest: str) -> None:
    assert exports.defused(blanks + sign + rest).startswith("'")


@given(st.text(max_size=40))
def test_defusing_only_ever_adds_one_quote_and_leaves_the_harmless_alone(text: str) -> None:
    safe = exports.defused(text)
    assert safe in (text, "'" + text)
    visible = "".join(
        character
        for character in text
        if not character.isspace() and unicodedata.category(character) not in ("Cc", "Cf")
    )
    if visible[:1].isalnum() and visible[0].isascii() and text[0] not in "\t\r\n":
        assert safe == text


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=5))
def test_a_line_parses_back_to_its_cells(cells: list[str]) -> None:
    line = exports._csv_line(cells)
    [parsed] = csv.reader(io.StringIO(line, newline=""))
    assert parsed == [exports.defused(cell) for cell in cells]
