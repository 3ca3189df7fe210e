"""What of the database becomes a dataset, and what does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from chatbot.conversations.models import Conversation, Message, Review, Turn
from chatbot.exceptions import DatasetError, RunStopped
from chatbot.intents.models import Example
from chatbot.knowledge.models import Article
from chatbot.training import freezing
from chatbot.training.curation.left_out import LeftOut
from chatbot.training.curation.options import CurationOptions
from chatbot.training.dataset_files import DatasetFolder, open_dataset, write_rows
from chatbot.training.freezing import freeze_dataset, preview_dataset
from chatbot.training.models import Dataset
from tests.conversations.records import Told, intent
from tests.training.reviewed_shop import SOURCE, inactive, last_reply, make_examples, reviewed

pytestmark = pytest.mark.django_db

NO_SPLIT = CurationOptions(held_out_share=0)
Verdict = Review.Verdict


@pytest.fixture(autouse=True)
def datasets(tmp_path: Path, settings: LazySettings) -> Path:
    settings.VAR_DIR, settings.DATASETS_DIR = tmp_path, tmp_path / "datasets"
    return tmp_path / "datasets"


def frozen(options: CurationOptions = NO_SPLIT) -> DatasetFolder:
    return open_dataset(freeze_dataset(options=options))


def left_out(folder: DatasetFolder, file: str) -> dict[str, int]:
    found: dict[str, int] = folder.manifest["left_out"].get(file, {})
    return found


# --- What comes in --------------------------------------------------------------------------------


def test_a_reviewed_turn_becomes_an_intent_a_reply_and_part_of_a_transcript() -> None:
    told = reviewed("hello", "Hi! What can I do for you?", of="greeting", turn={"sources": []})
    reviewed("stop my order pls", told=told)
    folder = frozen()
    greeting, cancelling = folder.intents("train")
    assert (greeting.text, greeting.intent) == ("hello", "greeting")
    assert (cancelling.text, cancelling.intent) == ("stop my order pls", "cancel_order")
    assert cancelling.origin.conversation == str(told.conversation.pk)
    assert cancelling.origin.turn == str(told.conversation.turns.latest("number").pk)
    _, reply = folder.replies("train")
    assert reply.reply == "Under Account, Orders."
    assert [passage.text for passage in reply.passages] == [SOURCE["passage"]]
    assert [(said.role, said.text) for said in reply.history] == [
        ("user", "hello"),
        ("assistant", "Hi! What can I do for you?"),
    ]
    assert reply.shop == "Hazel & Harbour"
    [transcript] = folder.transcripts()
    assert [said.text for said in transcript.messages][-2:] == ["stop my order pls", "Under Account, Orders."]


def test_the_catalogue_comes_with_its_ids_and_what_is_out_of_scope() -> None:
    make_examples()
    Example.objects.create(intent=inactive("old"), text="an old thing")
    rows = list(frozen().intents("train"))
    active = Example.objects.exclude(text="an old thing")
    assert {row.origin.example for row in rows} == set(active.values_list("pk", flat=True))
    assert any(row.intent == "" for row in rows)


def test_a_corrected_intent_counts_and_not_the_predicted_one() -> None:
    reviewed("where is my money", of="cancel_order", intent=intent("refund"), verdict="")
    reviewed("are you a robot", of="cancel_order", intent=None, out_of_scope=True, verdict="")
    assert [(row.text, row.intent) for row in frozen().intents("train")] == [
        ("where is my money", "refund"),
        ("are you a robot", ""),
    ]


def test_an_edited_reply_wins_everywhere_and_a_rejected_one_is_nowhere() -> None:
    told = reviewed("cancel it", "WRONG words", verdict=Verdict.EDITED, edited_reply="Right words")
    reviewed("and now", "BAD words", told=told, verdict=Verdict.REJECTED)
    reviewed("and then", "Good words", told=told)
    folder = frozen()
    assert [row.reply for row in folder.replies("train")] == ["Right words", "Good words"]
    assert left_out(folder, "replies") == {LeftOut.REPLY_REJECTED: 1}
    for file in folder.directory.iterdir():
        assert "WRONG" not in file.read_text()
        assert "BAD" not in file.read_text()


@pytest.mark.parametrize(
    ("turn", "review", "why"),
    [
        ({"action": Turn.Action.ANSWER}, {}, LeftOut.NOT_GENERATED),
        ({"action": Turn.Action.HANDOFF}, {}, LeftOut.NOT_GENERATED),
        ({"action": Turn.Action.CLARIFY}, {}, LeftOut.NOT_GENERATED),
        ({}, {"verdict": "rejected"}, LeftOut.REPLY_REJECTED),
        ({}, {"verdict": ""}, LeftOut.REPLY_OPEN),
        ({}, {"out_of_scope": True, "intent": None, "verdict": "edited", "edited_reply": "No."}, LeftOut.NOT_GENERATED),
    ],
)
def test_replies_that_the_model_does_not_write_are_not_learned(
    turn: dict[str, Any], review: dict[str, Any], why: LeftOut
) -> None:
    reviewed("a question", turn=turn, **review)
    make_examples()
    folder = frozen()
    assert list(folder.replies("train")) == []
    assert left_out(folder, "replies") == {why: 1}


def test_a_question_back_that_was_edited_into_an_answer_is_learned() -> None:
    reviewed("a question", turn={"action": Turn.Action.CLARIFY}, verdict="edited", edited_reply="An answer.")
    assert [row.reply for row in frozen().replies("train")] == ["An answer."]


def test_a_reply_that_the_customer_stopped_is_not_learned() -> None:
    told = reviewed("a question", "Half an ans")
    Message.objects.filter(pk=last_reply(told).pk).update(stopped=True)
    folder = frozen()
    assert list(folder.replies("train")) == []
    assert left_out(folder, "replies") == {LeftOut.REPLY_STOPPED: 1}


def test_of_two_tries_at_an_answer_the_one_reviewed_last_counts() -> None:
    told = reviewed("a question", "First answer")
    question = told.conversation.messages.get(role=Message.Role.CUSTOMER)
    again = told.turn(question, action=Turn.Action.GENERATE, sources=[SOURCE], intent=intent("cancel_order"))
    told.says(Message.Role.BOT, "Second answer", turn=again)
    Review.objects.create(turn=again, verdict=Verdict.ACCEPTED, intent=intent("refund"))
    folder = frozen()
    assert [row.intent for row in folder.intents("train")] == ["refund"]
    assert [row.reply for row in folder.replies("train")] == ["Second answer"]


# --- What stays out -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "why"),
    [({"training_consent": False}, LeftOut.NO_CONSENT), ({"excluded_from_training": True}, LeftOut.EXCLUDED)],
)
def test_nobody_is_trained_on_against_their_will(fields: dict[str, bool], why: LeftOut) -> None:
    make_examples()
    told = reviewed("SECRET question", "SECRET answer")
    Conversation.objects.filter(pk=told.conversation.pk).update(**fields)
    folder = frozen()
    assert left_out(folder, "conversations") == {why: 1}
    assert all("SECRET" not in file.read_text() for file in folder.directory.iterdir())


def test_what_nobody_reviewed_is_in_the_transcripts_alone() -> None:
    reviewed("a question", "An answer", unreviewed=True)
    folder = frozen()
    assert list(folder.intents("train")) == []
    assert list(folder.replies("train")) == []
    assert len(list(folder.transcripts())) == 1
    assert left_out(folder, "intents") == {LeftOut.NOT_REVIEWED: 1}


def test_an_inactive_intent_is_not_learned() -> None:
    reviewed("a question", of="old", intent=inactive("old"))
    make_examples()
    assert left_out(frozen(), "intents")[LeftOut.INTENT_INACTIVE] == 1


def test_personal_data_is_out_before_anything_is_written_but_not_what_the_shop_publishes() -> None:
    Article.objects.create(slug="contact", title="Contact", body="Call +353 20 910 0142 or write to help@shop.example.")
    reviewed(
        "I am Jane Doe, jane@home.example, order number HH-4821907, call +353 87 123 4567",
        "Jane, please call +353 20 910 0142 or write to help@shop.example.",
    )
    folder = frozen()
    [intent_row] = folder.intents("train")
    assert intent_row.text == "I am [name], [email], order number [order number], call [phone]"
    [reply] = folder.replies("train")
    assert reply.reply == "[name], please call +353 20 910 0142 or write to help@shop.example."
    assert folder.manifest["redacted"]["name"] == 2
    everything = "".join(file.read_text() for file in folder.directory.iterdir())
    assert not any(secret in everything for secret in ("Jane", "jane@", "4821907", "123 4567"))


def test_nothing_to_freeze_is_one_sentence(datasets: Path) -> None:
    with pytest.raises(DatasetError, match="nothing to freeze"):
        freeze_dataset()
    assert [path for path in datasets.iterdir() if path.name.startswith("dataset")] == []
    assert not Dataset.objects.exists()


# --- The same again, and not ----------------------------------------------------------------------


def test_the_same_state_gives_the_same_digest_and_another_state_another() -> None:
    make_examples()
    for day in range(8):
        reviewed(f"my question number {day} is about things of the day", days_ago=day)
    first, second = freeze_dataset(), freeze_dataset()
    assert (first.name, second.name) == ("dataset-0001", "dataset-0002")
    assert first.digest == second.digest
    assert first.manifest["lineage"] == second.manifest["lineage"]
    Review.objects.filter(turn__number=1).first().delete()  # type: ignore[union-attr]
    assert freeze_dataset().digest != first.digest


def test_a_preview_says_what_freezing_would_and_writes_nothing(datasets: Path) -> None:
    make_examples()
    reviewed("a question")
    preview = preview_dataset(options=NO_SPLIT)
    assert not Dataset.objects.exists()
    assert not datasets.exists() or not list(datasets.glob("dataset-*"))
    manifest = frozen().manifest
    assert preview == {key: manifest[key] for key in preview}


def test_a_conversation_withdrawn_meanwhile_is_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    make_examples()
    told = reviewed("SECRET question")
    tries: list[Any] = []

    def withdraw(*arguments: Any) -> None:
        if not tries:
            Conversation.objects.filter(pk=told.conversation.pk).update(training_consent=False)
        tries.append(arguments)
        write_rows(*arguments)

    monkeypatch.setattr(freezing, "write_rows", withdraw)
    folder = frozen()
    assert folder.name == "dataset-0001"
    assert all("SECRET" not in file.read_text() for file in folder.directory.iterdir())
    assert len(tries) == 10


def test_a_freeze_that_is_stopped_leaves_nothing(datasets: Path) -> None:
    make_examples()

    def stop(message: str, share: float | None) -> None:
        if message.startswith("Writing"):
            raise RunStopped("stopped")

    with pytest.raises(RunStopped):
        freeze_dataset(progress=stop)
    assert list(datasets.glob("*dataset-*")) == []
    assert frozen().name == "dataset-0001"


def test_what_a_killed_freeze_left_is_cleared_away(datasets: Path) -> None:
    make_examples()
    (datasets / ".dataset-0001.killed").mkdir(parents=True)
    (datasets / ".dataset-0001.killed" / "intents.train.jsonl").write_text("words")
    frozen()
    assert list(datasets.glob(".dataset-*")) == []


# --- The command ----------------------------------------------------------------------------------


def test_the_command_freezes_and_prints_what_scripts_read(capsys: pytest.CaptureFixture[str]) -> None:
    make_examples()
    reviewed("a question")
    call_command("freeze_dataset", json=True, note=" for a test ")
    printed = json.loads(capsys.readouterr().out)
    dataset = Dataset.objects.get(name=printed["dataset"])
    assert (dataset.digest, dataset.note) == (printed["digest"], "for a test")
    assert printed["counts"]["intents"]["train"] == open_dataset(dataset).count("intents.train.jsonl")


def test_the_command_says_it_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    make_examples()
    reviewed("a question", verdict="rejected")
    call_command("freeze_dataset", preview=True, verbosity=0)
    out = capsys.readouterr().out
    assert "1 conversations looked at" in out
    assert LeftOut.REPLY_REJECTED in out
    assert not Dataset.objects.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"held_out_share": 0.7}, "between 0 and 50%"),
        ({"per_visitor": 0}, "At least one"),
        ({"seed": -1}, "whole number"),
    ],
)
def test_senseless_options_are_refused_in_a_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command("freeze_dataset", **options)


def test_a_told_conversation_without_a_turn_is_a_transcript() -> None:
    told = Told()
    told.says(Message.Role.CUSTOMER, "is anybody there")
    told.says(Message.Role.AGENT, "Yes, I am.")
    told.says(Message.Role.SYSTEM, "Closed.")
    [transcript] = frozen().transcripts()
    assert [said.role for said in transcript.messages] == ["user", "assistant"]
