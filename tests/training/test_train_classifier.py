"""From the catalogue to a promoted release, and from files to numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from chatbot.exceptions import ClassifierError
from chatbot.inference.classifier import IntentClassifier
from chatbot.inference.normalisation import text_key
from chatbot.inference.references import References
from chatbot.intents.models import Example, Intent
from chatbot.releases.models import Kind, Release
from chatbot.releases.selectors import current_promotion, current_release, release_directory
from chatbot.training import services
from chatbot.training.curation.options import CurationOptions
from chatbot.training.datasets import examples_digest
from chatbot.training.freezing import freeze_dataset
from chatbot.training.models import Dataset
from tests.releases.shelf import ENCODER
from tests.training.reviewed_shop import reviewed
from tests.training.shop_examples import EXAMPLES, OUT_OF_SCOPE

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _words(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "load_encoder", lambda: ENCODER)


@pytest.fixture
def catalogue() -> None:
    intents = {slug: Intent.objects.create(slug=slug, name=slug) for slug in {slug for _, slug in EXAMPLES}}
    Example.objects.bulk_create(Example(intent=intents[slug], text=text) for text, slug in EXAMPLES)
    Example.objects.bulk_create(Example(text=text) for text in OUT_OF_SCOPE)


@pytest.mark.usefixtures("catalogue")
def test_the_first_classifier_is_promoted_and_later_ones_wait() -> None:
    first = services.train_catalogue_classifier()
    second = services.train_catalogue_classifier(seed=1)
    assert current_release(Kind.CLASSIFIER) == first
    third = services.train_catalogue_classifier(promote=True)
    assert current_release(Kind.CLASSIFIER) == third
    assert Release.objects.count() == 3
    assert second.manifest["seed"] == 1
    assert first.dataset_digest == examples_digest(EXAMPLES, OUT_OF_SCOPE)
    assert first.metrics["method"] == "5-fold cross-validation"
    loaded = IntentClassifier.load(release_directory(third))
    assert loaded.predict(ENCODER.encode(["cancel the purchase"]))[0].best.intent == "cancel_order"


def test_an_empty_catalogue_is_one_clear_sentence() -> None:
    with pytest.raises(ClassifierError, match="catalogue has no examples"):
        services.train_catalogue_classifier()
    with pytest.raises(CommandError, match="catalogue has no examples"):
        call_command("train_classifier")


@pytest.mark.usefixtures("catalogue")
def test_the_command_trains_from_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("train_classifier", json=True)
    result = json.loads(capsys.readouterr().out)
    assert result["release"] == result["current"] == "classifier-0001"
    assert result["metrics"]["examples"] == len(EXAMPLES)
    promotion = current_promotion(Kind.CLASSIFIER)
    assert promotion is not None
    assert promotion.reason


def write_csv(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("text,intent\n" + "".join(f"{text},{intent}\n" for text, intent in rows))
    return path


def test_the_command_measures_on_files_and_registers_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options: dict[str, Any] = {
        "train": write_csv(tmp_path / "train.csv", EXAMPLES[::2]),
        "test": write_csv(tmp_path / "test.csv", EXAMPLES[1::2]),
        "oos_train": write_csv(tmp_path / "a.csv", [(text, "oos") for text in OUT_OF_SCOPE[:3]]),
        "oos_test": write_csv(tmp_path / "b.csv", [(text, "oos") for text in OUT_OF_SCOPE[3:]]),
    }
    call_command("train_classifier", json=True, seed=5, **options)
    result = json.loads(capsys.readouterr().out)
    assert result["seed"] == result["configuration"]["seed"] == 5
    assert result["test"]["measured_examples"] == len(EXAMPLES[1::2])
    assert result["accuracy"] == result["test"]["accuracy"] > 0.9
    assert result["test"]["measured_out_of_scope"] == 2
    assert 0 < result["classify_ms_p50"] <= result["classify_ms_p95"]
    assert result["split"].endswith("test test.csv (36), out-of-scope test b.csv (2)")
    assert "logistic regression" in result["recipe"]
    assert result["train_seconds"] > 0
    assert not Release.objects.exists()
    call_command("train_classifier", **options)
    printed = capsys.readouterr().out
    assert "Accuracy" in printed
    assert "fewer wrong answers" in printed


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"reject_at_most": 0.0}, "percentage above 0"),
        ({"preset": "magic"}, "no preset 'magic'"),
        ({"test": Path("t.csv")}, "--test needs --train"),
        ({"oos_train": Path("t.csv")}, "--oos-train needs --train"),
        ({"train": Path("/nowhere.csv")}, "/nowhere.csv: No such file"),
        ({"train": Path("t.csv"), "promote": True}, "--promote needs the catalogue"),
        ({"train": Path("t.csv"), "oos_test": Path("o.csv")}, "--oos-test needs --test"),
    ],
)
def test_bad_options_are_one_clear_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("train_classifier", **options)


def test_a_file_with_one_intent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="at least two intents"):
        call_command("train_classifier", train=write_csv(tmp_path / "one.csv", [("hello", "greet"), ("hi", "greet")]))


def test_rows_that_are_left_out_or_conflict_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*EXAMPLES, ("  ", "refund"), ("cancel my order", "refund")]
    train = write_csv(tmp_path / "train.csv", rows)
    train.write_bytes(b"\xef\xbb\xbf" + train.read_bytes().replace(b",", b";"))
    call_command("train_classifier", train=train, json=True)
    printed = capsys.readouterr()
    assert f"left out line {len(EXAMPLES) + 2}: no text" in printed.err
    assert "“cancel my order” stands under “cancel_order” (line 2) and “refund”" in printed.err
    assert json.loads(printed.out)["held_out"]["examples"] == len(EXAMPLES) + 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"message,label\nhello,greet\n", "text"),
        (b"text,intent\n", "no rows with text"),
        ("text,intent\ncaf\xe9,greet\nbye,leave\n".encode("latin-1"), "UTF-8|utf-8"),
        (b"text,intent\nhello,\n", "line 2"),
    ],
)
def test_a_bad_file_is_one_clear_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=sentence) as refused:
        call_command("train_classifier", train=path)
    assert str(path) in str(refused.value)


def test_chinese_and_emoji_are_texts_like_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"退款 {number}", "退款") for number in range(6)] + [
        (f"🎉 party {number}", "fun 🎉") for number in range(6)
    ]
    call_command("train_classifier", train=write_csv(tmp_path / "t.csv", rows), json=True)
    assert json.loads(capsys.readouterr().out)["held_out"]["intents"] == 2


def test_a_hundred_thousand_rows_are_trained_on_and_every_one_is_accounted_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    matters = ("order", "parcel", "refund", "invoice", "voucher")
    rows = [(f"about my {matters[number % 5]} number {number}", matters[number % 5]) for number in range(99_000)]
    rows += [("  ", "order")] * 400 + [("my order again", "order")] * 600
    call_command("train_classifier", train=write_csv(tmp_path / "large.csv", rows), json=True)
    printed = capsys.readouterr()
    held_out = json.loads(printed.out)["held_out"]
    assert "left out lines 99002" in printed.err
    assert held_out["examples"] == 99_001
    assert held_out["dropped_duplicates"] == 599
    assert held_out["measured_examples"] == 99_001
    assert held_out["accuracy"] > 0.95


# --- From a frozen dataset ------------------------------------------------------------------------


@pytest.fixture
def dataset(catalogue: None) -> Dataset:
    """The catalogue, and a review that is not in it."""
    reviewed("kindly annul the purchase", of="cancel_order")
    return freeze_dataset(options=CurationOptions(held_out_share=0))


def test_a_dataset_becomes_a_release_that_names_it(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    Example.objects.all().delete()
    call_command("train_classifier", dataset=dataset.name, json=True)
    result = json.loads(capsys.readouterr().out)
    release = Release.objects.get(name=result["release"])
    assert result["dataset"] == dataset.name
    assert release.dataset_digest == result["dataset_digest"] == dataset.digest
    assert release.manifest["configuration"]["dataset"] == dataset.name
    references = References.load(release_directory(release))
    assert references is not None
    assert text_key("kindly annul the purchase") in {key.tobytes() for key in references.keys}


def test_a_dataset_that_is_not_there_or_damaged_is_one_sentence(dataset: Dataset) -> None:
    with pytest.raises(CommandError, match=r"no dataset 'other'; there are dataset-0001\."):
        call_command("train_classifier", dataset="other")
    (Path(settings.VAR_DIR) / dataset.path / "intents.train.jsonl").write_text("{}\n")
    with pytest.raises(CommandError, match="damaged"):
        call_command("train_classifier", dataset=dataset.name)
    assert not Release.objects.filter(kind=Kind.CLASSIFIER).exists()


def test_a_dataset_does_not_go_with_files() -> None:
    with pytest.raises(CommandError, match="--dataset does not go with --train"):
        call_command("train_classifier", dataset="dataset-0001", train=Path("train.csv"))
