"""The catalogue: one text under one intent, imports that can be repeated, rules for policy, and the admin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client

from chatbot.exceptions import ImportFailed
from chatbot.intents.labelled_files import LabelledText
from chatbot.intents.models import Example, Intent
from chatbot.intents.selectors import IntentRule, catalogue_rules, out_of_scope_examples, training_examples
from chatbot.intents.services import Conflict, Move, Repeat, import_examples

pytestmark = pytest.mark.django_db


@pytest.fixture
def refund() -> Intent:
    intent = Intent.objects.create(slug="refund", name="Get a refund")
    Example.objects.create(intent=intent, text="I want my money back")
    return intent


def rows(*pairs: tuple[str, str]) -> list[LabelledText]:
    return [LabelledText(text, intent, number) for number, (text, intent) in enumerate(pairs, start=2)]


def catalogue_state() -> set[tuple[str, str | None, str]]:
    return set(Example.objects.values_list("text", "intent__slug", "origin"))


def test_rules_are_of_active_intents(refund: Intent) -> None:
    Intent.objects.create(slug="old", name="Old", is_active=False)
    assert catalogue_rules() == {"refund": IntentRule("refund", "Get a refund", "generate", pk=refund.pk)}


def test_training_reads_active_intents_and_out_of_scope_apart(refund: Intent) -> None:
    old = Intent.objects.create(slug="old", name="Old", is_active=False)
    Example.objects.create(intent=old, text="forgotten")
    Example.objects.create(text="sing a song")
    assert training_examples() == [("I want my money back", "refund")]
    assert out_of_scope_examples() == ["sing a song"]


@pytest.mark.parametrize("text", ["I want my money back", "i want my  money BACK "])
def test_one_text_stands_under_one_intent(refund: Intent, text: str) -> None:
    other = Intent.objects.create(slug="other", name="Other")
    with pytest.raises(ValidationError, match="under the intent “Get a refund” already"):
        Example(intent=other, text=text).full_clean()
    with pytest.raises(ValidationError, match="under the intent “Get a refund” already"):
        Example(text=text).full_clean()
    Example.objects.create(text="sing a song")
    with pytest.raises(ValidationError, match="under the out-of-scope examples already"):
        Example(intent=refund, text="Sing a song").full_clean()
    refund.examples.get().full_clean()


def test_approved_answers_are_required_in_their_mode(refund: Intent) -> None:
    refund.mode = Intent.Mode.APPROVED
    with pytest.raises(ValidationError, match="needs its answer"):
        refund.full_clean()


def test_import_adds_what_is_new_and_is_repeatable(refund: Intent) -> None:
    given = rows(
        ("Where is my parcel", "track_parcel"),
        ("where is  my parcel", "track_parcel"),
        ("i want my money back", "refund"),
        ("money back please", "Refund"),
        ("who are you", "faq/ask_name"),
        ("how tall is everest", "oos"),
    )
    outcome = import_examples(rows=given)
    assert outcome.new_intents == ["track_parcel", "faq-ask_name"]
    assert outcome.added == [given[0], given[3], given[4], given[5]]
    assert outcome.repeated == [Repeat(given[1], 2)]
    assert outcome.known == [given[2]]
    assert outcome.renamed == {"faq/ask_name": "faq-ask_name"}
    assert (outcome.conflicts, outcome.moved) == ([], [])
    parcel = Intent.objects.get(slug="track_parcel")
    assert (parcel.name, parcel.question, parcel.examples.count()) == ("Track parcel", "Where is my parcel", 1)
    assert parcel.examples.get().origin == Example.Origin.IMPORT
    assert out_of_scope_examples() == ["how tall is everest"]
    before = catalogue_state()
    again = import_examples(rows=given)
    assert (again.new_intents, again.added, again.moved, again.conflicts) == ([], [], [], [])
    assert len(again.known) + len(again.repeated) == 6
    assert catalogue_state() == before


def test_import_never_moves_a_text_silently(refund: Intent) -> None:
    Example.objects.create(text="sing a song")
    given = rows(
        ("I want my money back", "complaint"), ("hi", "greet"), ("HI", "bye"), ("sing a song", "refund"), ("hi", "oos")
    )
    outcome = import_examples(rows=given)
    assert outcome.conflicts == [
        Conflict(given[0], "complaint", "refund"),
        Conflict(given[2], "bye", "greet", 3),
        Conflict(given[3], "refund", "out of scope"),
        Conflict(given[4], "out of scope", "greet", 3),
    ]
    assert set(Intent.objects.values_list("slug", flat=True)) == {"refund", "greet"}
    assert catalogue_state() == {
        ("I want my money back", "refund", "catalogue"),
        ("hi", "greet", "import"),
        ("sing a song", None, "catalogue"),
    }


def test_import_moves_what_it_is_told_to_move(refund: Intent) -> None:
    other = Intent.objects.create(slug="other", name="Other")
    Example.objects.create(intent=other, text="i want my money BACK")
    Example.objects.create(text="sing a song")
    given = rows(
        ("I want my money back", "complaint"),
        ("sing a song", "refund"),
        ("hi", "greet"),
        ("hi", "bye"),
        ("Sing a song", "bye"),
    )
    planned = import_examples(rows=given, move=True, dry_run=True)
    assert Example.objects.filter(intent=refund).count() == 1
    outcome = import_examples(rows=given, move=True)
    assert outcome == planned
    assert outcome.moved == [
        Move(given[0], "complaint", "refund, other"),
        Move(given[1], "refund", "out of scope"),
    ]
    assert [(each.row, each.at_line) for each in outcome.conflicts] == [(given[3], 4), (given[4], 3)]
    after = catalogue_state()
    assert after == {
        ("I want my money back", "complaint", "import"),
        ("sing a song", "refund", "import"),
        ("hi", "greet", "import"),
    }
    again = import_examples(rows=given, move=True)
    assert (again.moved, again.added) == ([], [])
    assert catalogue_state() == after


def test_texts_that_differ_only_in_how_accents_are_coded_are_one(refund: Intent) -> None:
    outcome = import_examples(rows=rows(("caf\u00e9", "greet"), ("cafe\u0301", "greet")))
    assert (len(outcome.added), len(outcome.repeated)) == (1, 1)


def test_inactive_intents_are_reported_and_activated_only_when_asked(refund: Intent) -> None:
    Intent.objects.filter(pk=refund.pk).update(is_active=False)
    given = rows(("pay me back", "refund"), ("hi", "greet"))
    outcome = import_examples(rows=given)
    assert (outcome.inactive, outcome.activated) == (["refund"], [])
    assert not Intent.objects.filter(is_active=True, slug="refund").exists()
    outcome = import_examples(rows=given, activate=True)
    assert (outcome.inactive, outcome.activated) == ([], ["refund"])
    assert Intent.objects.filter(is_active=True, slug="refund").exists()
    assert import_examples(rows=given, activate=True).activated == []


def test_an_intent_whose_slug_has_capitals_is_found_again() -> None:
    Intent.objects.create(slug="Refund", name="Refund")
    outcome = import_examples(rows=rows(("pay me back", "refund"), ("my money", "REFUND")))
    assert outcome.new_intents == []
    assert set(Example.objects.values_list("intent__slug", flat=True)) == {"Refund"}


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([("hello", "!!!")], "f.csv, line 3: the label “!!!” has no letters"),
        ([("退款", "退款")], "line 3: the label “退款” has no letters a–z"),
        ([("x" * 4001, "greet"), ("fine", "greet"), ("y" * 4001, "bye")], "lines 3 and 5: the text is longer"),
        ([("hello", "x" * 81)], "line 3: the label .* is longer than 80"),
        (
            [("a", "退款 1"), ("b", "取消 1")],
            "line 4: the labels “退款 1” and “取消 1” would both become the intent “1”",
        ),
    ],
)
def test_rows_that_cannot_be_imported_change_nothing(pairs: list[tuple[str, str]], sentence: str) -> None:
    with pytest.raises(ImportFailed, match=sentence):
        import_examples(rows=rows(("hello", "greet"), *pairs), source="f.csv")
    assert not Intent.objects.exists()


def test_an_import_beside_another_one_is_refused_and_changes_nothing(
    refund: Intent, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Example.objects.bulk_create

    def too_late(examples: Any, **options: Any) -> Any:
        Example.objects.create(intent=refund, text="pay me back")
        return create(examples, **options)

    monkeypatch.setattr(type(Example.objects), "bulk_create", staticmethod(too_late))
    with pytest.raises(ImportFailed, match="in the same moment; nothing was imported"):
        import_examples(rows=rows(("hi", "greet"), ("pay me back", "refund")))
    assert set(Intent.objects.values_list("slug", flat=True)) == {"refund"}


def test_a_large_import_asks_the_database_no_more_often_than_batches_need(
    refund: Intent, django_assert_max_num_queries: Any
) -> None:
    given = [LabelledText(f"text number {number}", f"intent{number % 5}", number + 2) for number in range(100_000)]
    with django_assert_max_num_queries(len(given) // 200 + 50):
        assert len(import_examples(rows=given).added) == len(given)
    moved = [LabelledText(row.text, "elsewhere", row.line) for row in given[:20_000]]
    with django_assert_max_num_queries(len(moved) // 200 + 50):
        assert len(import_examples(rows=moved, move=True).moved) == len(moved)
    with django_assert_max_num_queries(10):
        assert len(import_examples(rows=given[20_000:]).known) == 80_000


def write(path: Path, content: str) -> str:
    path.write_text(content, encoding="utf-8")
    return str(path)


def test_the_import_command_reports_every_row(
    tmp_path: Path, refund: Intent, capsys: pytest.CaptureFixture[str]
) -> None:
    Intent.objects.create(slug="old", name="Old", is_active=False)
    path = write(
        tmp_path / "examples.csv",
        "text,intent,note\nhello,greet,\nhello,Greet,\nhello,bye,\n,greet,\nI want my money back,complaint,\n"
        "i want my money back,refund,\nred \x1b[31malert,old,\nwho are you,faq/name,\n",
    )
    before = catalogue_state()
    call_command("import_intents", path, dry_run=True)
    assert catalogue_state() == before
    dry = capsys.readouterr().out.splitlines()
    call_command("import_intents", path)
    report = capsys.readouterr().out.splitlines()
    assert report == [
        f"{path}: 7 rows with text, of 7 labels.",
        "Added: 2 intents, 3 examples (lines 2 and 8–9)",
        "  new intents: greet and faq-name",
        "Changed: 0 intents, 0 examples",
        "Skipped: 3",
        "  in the catalogue already: 1 (line 7)",
        "  repeats of earlier rows: 1 (line 3)",
        "  no text: 1 (“greet” on line 5)",
        "Conflicting, left out: 2",
        "  line 4: “hello” is bye, but stands under greet on line 2",
        "  line 6: “I want my money back” is complaint, but stands under refund in the catalogue",
        "  Move those that stand in the catalogue with --move, or change them in the admin.",
        "Not active, and so not trained: old. Make them active with --activate, or in the admin.",
        "Labels with another name in the catalogue: “faq/name” → faq-name",
        "Columns not read: “note”",
    ]
    assert dry == [report[0], "This is a dry run: nothing was written. An import would do this:", *report[1:]]
    call_command("import_intents", path, move=True, activate=True)
    assert {
        "Changed: 1 intent, 1 example",
        "  line 6: “I want my money back” moved from refund to complaint",
        "  the intent old is active again",
        "  line 7: “i want my money back” is refund, but stands under complaint on line 6",
    } <= set(capsys.readouterr().out.splitlines())


def test_the_import_command_speaks_json(tmp_path: Path, refund: Intent, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(
        tmp_path / "nlu.yml",
        "nlu:\n- intent: greet\n  examples: |\n    - hi\n    - HI\n    - I want my money back\n- lookup: city\n"
        "  examples: |\n    - Paris\n",
    )
    call_command("import_intents", path, json=True)
    report = json.loads(capsys.readouterr().out)
    assert report["counts"] == {"new_intents": 1, "added": 1, "changed": 0, "skipped": 2, "conflicts": 1}
    assert report["added"] == [{"line": 4, "text": "hi", "intent": "greet"}]
    assert report["repeated"] == [{"line": 5, "text": "HI", "intent": "greet", "first_line": 4}]
    assert report["skipped"] == [{"line": 7, "reason": "lookup table", "name": "city", "phrases": 1}]
    assert report["conflicts"] == [
        {"line": 6, "text": "I want my money back", "intent": "greet", "stands_under": "refund", "at_line": None}
    ]


def test_the_import_command_ends_with_one_sentence_on_bad_files(tmp_path: Path) -> None:
    for content, sentence in [
        ("text,intent\nhi,!!!\n", "bad.csv, line 2: the label"),
        ("", "bad.csv: the file is empty"),
    ]:
        with pytest.raises(CommandError, match=sentence) as caught:
            call_command("import_intents", write(tmp_path / "bad.csv", content))
        assert caught.value.returncode == 1
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_intents", str(tmp_path / "nowhere.csv"))
    assert not Intent.objects.exists()


def test_admin_lists_counts_and_refuses_a_text_of_another_intent(admin_client: Client, refund: Intent) -> None:
    page = admin_client.get("/admin/intents/intent/?q=money")
    assert b"Get a refund" in page.content
    other = Intent.objects.create(slug="other", name="Other")
    form: dict[str, Any] = {
        "name": "Other",
        "slug": "other",
        "mode": "generate",
        "is_active": "on",
        "examples-TOTAL_FORMS": "1",
        "examples-INITIAL_FORMS": "0",
        "examples-0-text": "I want my money back",
    }
    refused = admin_client.post(f"/admin/intents/intent/{other.pk}/change/", form)
    assert refused.status_code == 200
    assert "stands under the intent “Get a refund” already" in refused.content.decode()
    accepted = admin_client.post(
        f"/admin/intents/intent/{other.pk}/change/", {**form, "examples-0-text": " something <b>else</b> "}
    )
    assert accepted.status_code == 302
    assert other.examples.get().text == "something <b>else</b>"
    listed = admin_client.get("/admin/intents/example/?scope=in&q=else").content.decode()
    assert "&lt;b&gt;else&lt;/b&gt;" in listed
    assert "<b>else</b>" not in listed
    history = admin_client.get(f"/admin/intents/intent/{other.pk}/history/")
    assert history.status_code == 200
