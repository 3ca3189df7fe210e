"""The catalogue: one text under one intent, imports that can be repeated, rules for policy, and the admin."""

from __future__ import annotations

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
from chatbot.intents.services import import_examples

pytestmark = pytest.mark.django_db


@pytest.fixture
def refund() -> Intent:
    intent = Intent.objects.create(slug="refund", name="Get a refund")
    Example.objects.create(intent=intent, text="I want my money back")
    return intent


def rows(*pairs: tuple[str, str]) -> list[LabelledText]:
    return [LabelledText(text, intent, number) for number, (text, intent) in enumerate(pairs, start=2)]


def test_rules_are_of_active_intents(refund: Intent) -> None:
    Intent.objects.create(slug="old", name="Old", is_active=False)
    assert catalogue_rules() == {"refund": IntentRule("refund", "Get a refund", "generate")}


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
        ("money back please", "refund"),
        ("who are you", "faq/ask_name"),
        ("how tall is everest", "oos"),
    )
    outcome = import_examples(rows=given)
    assert outcome.new_intents == ["track_parcel", "faq-ask_name"]
    assert (outcome.new_examples, outcome.known_examples, outcome.conflicts) == (4, 2, [])
    parcel = Intent.objects.get(slug="track_parcel")
    assert (parcel.name, parcel.question, parcel.examples.count()) == ("Track parcel", "Where is my parcel", 1)
    assert parcel.examples.get().origin == Example.Origin.IMPORT
    assert out_of_scope_examples() == ["how tall is everest"]
    again = import_examples(rows=given)
    assert (again.new_intents, again.new_examples, again.known_examples) == ([], 0, 6)


def test_import_never_moves_a_text_silently(refund: Intent) -> None:
    outcome = import_examples(rows=rows(("I want my money back", "complaint"), ("hi", "greet"), ("HI", "bye")))
    assert outcome.conflicts == [
        "line 2: “I want my money back” is complaint, but stands under refund",
        "line 4: “HI” is bye, but stands under greet",
    ]
    assert set(Intent.objects.values_list("slug", flat=True)) == {"refund", "greet"}
    assert refund.examples.count() == 1


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [(("hello", "!!!"), "line 3: the label '!!!'"), (("x" * 4001, "greet"), "line 3: the text is longer")],
)
def test_a_row_that_cannot_be_imported_changes_nothing(pair: tuple[str, str], sentence: str) -> None:
    with pytest.raises(ImportFailed, match=sentence):
        import_examples(rows=rows(("hello", "greet"), pair))
    assert not Intent.objects.exists()


def test_the_import_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "examples.csv"
    path.write_text("text,intent\nhello,greet\nhello,bye\n")
    call_command("import_intents", str(path), dry_run=True)
    assert not Intent.objects.exists()
    call_command("import_intents", str(path))
    assert Example.objects.get().text == "hello"
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "Would add 1 intents and 1 examples; 0 were known already.",
        "Added 1 intents and 1 examples; 0 were known already.",
    ]
    assert "Left out: line 3: “hello” is bye, but stands under greet" in shown.err
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_intents", str(tmp_path / "nowhere.csv"))


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
