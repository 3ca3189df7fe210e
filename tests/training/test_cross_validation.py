"""The report on a catalogue finds what was planted in it, and says nothing of what is in order."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from chatbot.exceptions import ClassifierError
from chatbot.inference.encoder import Encoder
from chatbot.intents.models import Example, Intent
from chatbot.releases import encoders
from chatbot.releases.models import Release
from chatbot.training.confusion import confusion_table, intent_scores, merge_suggestions, split_suggestions
from chatbot.training.cross_validation import CrossValidation, cross_validate
from chatbot.training.label_quality import likely_mislabelled, shared_texts
from chatbot.training.report_lines import report_lines
from chatbot.training.trainers import full
from chatbot.training.trainers.held_out import HeldOut
from chatbot.training.trainers.rows import TrainingRows, collect_rows
from tests.inference.tiny_encoder import make_tiny_encoder
from tests.training.shop_examples import EXAMPLES, OUT_OF_SCOPE
from tests.training.word_encoder import WordEncoder

ENCODER = cast(Encoder, WordEncoder())
INTENTS = ("alpha", "beta", "gamma", "delta")


def rows_of(labels: list[int]) -> TrainingRows:
    return TrainingRows(INTENTS, [f"text {number}" for number in range(len(labels))], np.array(labels), [])


def judge(examples: Any = EXAMPLES, **options: Any) -> CrossValidation:
    return cross_validate("fast", examples, OUT_OF_SCOPE, ENCODER, **{"folds": 4, **options})


def test_every_row_is_judged_once_and_by_others() -> None:
    judged = judge()
    assert judged.held_out.rows.tolist() == list(range(len(EXAMPLES)))
    report = judged.report()
    assert report["folds"] == 4
    assert report["examples"] == len(EXAMPLES)
    assert report["unmeasured_examples"] == 0
    assert report["accuracy"] > 0.9
    assert {score["intent"] for score in report["intents"]} == {intent for _, intent in EXAMPLES}
    assert report["shared_texts"] == []
    json.dumps(report)


def test_a_planted_wrong_label_is_the_first_suspect() -> None:
    planted = ("please cancel order 12 now", "refund")
    report = judge([*EXAMPLES, planted]).report()
    suspect = report["mislabelled"][0]
    assert (suspect["text"], suspect["intent"], suspect["looks_like"]) == (*planted, "cancel_order")


def test_confident_learning_by_hand() -> None:
    """The bar of an intent is the mean probability of its own rows: 0.8 for alpha, 0.6 for beta."""
    rows = rows_of([0, 0, 1, 1, 1])
    probabilities = np.array(
        [[0.9, 0.1, 0, 0], [0.7, 0.3, 0, 0], [0.1, 0.9, 0, 0], [0.12, 0.88, 0, 0], [0.98, 0.02, 0, 0]]
    )
    held = HeldOut(np.arange(5), rows.labels, np.zeros(5, np.int64), probabilities, {}, np.zeros(0, np.int64), {})
    [found] = likely_mislabelled(rows, held, probabilities)
    assert (found["row"], found["intent"], found["looks_like"]) == (4, "beta", "alpha")
    assert found["margin"] == pytest.approx(0.02 - 0.98)


def test_pairs_worth_merging_are_confused_both_ways() -> None:
    labels = np.repeat([0, 1, 2], 10)
    predicted = labels.copy()
    predicted[[0, 1, 10]] = [1, 1, 0]  # alpha and beta trade rows
    predicted[20:24] = 3  # gamma loses to delta, which gives nothing back
    [pair] = merge_suggestions(rows_of(labels.tolist()), labels, predicted)
    assert pair["intents"] == ["alpha", "beta"]
    assert pair["confused"] == 3
    assert pair["rate"] == pytest.approx(3 / 20)
    assert "2 of 10" in pair["reason"]
    assert confusion_table(labels, predicted, 4)[2].tolist() == [0, 0, 6, 4]


def test_an_intent_of_two_matters_and_one_lost_to_many_are_worth_splitting() -> None:
    labels = np.repeat([0, 1, 2, 3], 12)
    predicted = labels.copy()
    predicted[:6] = 1
    predicted[12:16] = [0, 0, 2, 3]
    predicted[24:30] = 3
    generator = np.random.default_rng(0)
    features = generator.normal(0, 0.01, (48, 64)).astype(np.float32)
    features[:6, 0] += 1  # alpha: two heaps
    features[6:12, 1] += 1
    features[12:] += generator.normal(0, 1, (36, 64))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    found = {each["intent"]: each for each in split_suggestions(rows_of(labels.tolist()), labels, predicted, features)}
    assert "two groups" in found["alpha"]["reason"]
    assert found["beta"]["lost_to"] == ["alpha", "gamma", "delta"]
    assert set(found) == {"alpha", "beta"}  # gamma is lost to one other intent: that is a pair, not a split


def test_scores_agree_with_their_definitions_and_say_what_was_not_judged() -> None:
    labels, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    scores = {score["intent"]: score for score in intent_scores(rows_of([0, 0, 0, 1, 2]), labels, predicted)}
    assert scores["alpha"]["recall"] == pytest.approx(2 / 3, abs=1e-4)
    assert scores["alpha"]["precision"] == 1.0
    assert scores["beta"]["precision"] == 0.5
    assert scores["gamma"] == {
        "intent": "gamma",
        "examples": 1,
        "judged": 0,
        "precision": None,
        "recall": None,
        "f1": None,
    }


def test_texts_under_two_intents_are_found_the_same_and_the_nearly_same() -> None:
    rows = collect_rows([*EXAMPLES, ("cancel my order", "refund"), ("Track my parcel", "refund")], [])
    found = shared_texts(rows, ENCODER.encode(rows.texts))
    pairs = {tuple(pair["texts"]): pair for pair in found}
    assert pairs["cancel my order", "cancel my order"]["same"]
    assert set(pairs["cancel my order", "cancel my order"]["intents"]) == {"cancel_order", "refund"}
    assert all(pair["intents"][0] != pair["intents"][1] for pair in found)
    assert any({text.lower() for text in texts} == {"track my parcel"} for texts in pairs)


@pytest.mark.parametrize("folds", [1, 21])
def test_folds_out_of_range_are_refused(folds: int) -> None:
    with pytest.raises(ClassifierError, match="2 to 20 folds"):
        judge(folds=folds)


def test_one_example_an_intent_cannot_be_judged() -> None:
    with pytest.raises(ClassifierError, match="no intent has two examples"):
        judge([("hello", "greet"), ("bye", "leave")])


def test_the_full_preset_tunes_once_a_fold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full, "FEW_SHOT", replace(full.FEW_SHOT, epochs=1))
    encoder = Encoder(make_tiny_encoder(tmp_path / "tiny"))
    messages: list[str] = []
    judged = cross_validate(
        "full", EXAMPLES, OUT_OF_SCOPE, encoder, folds=2, progress=lambda message, _share: messages.append(message)
    )
    assert judged.held_out.rows.tolist() == list(range(len(EXAMPLES)))
    assert sorted(judged.held_out.part.tolist()) == sorted([0, 1] * (len(EXAMPLES) // 2))
    assert len(judged.held_out.strange_part) == len(OUT_OF_SCOPE)
    assert any(message.startswith("Fold 2 of 2") for message in messages)
    assert judged.report()["preset"] == "full"


def test_the_lines_show_texts_that_cannot_steer_the_terminal() -> None:
    hostile = "track \x1b[31mmy parcel\u202e"
    report = judge([*EXAMPLES, (hostile, "refund"), (hostile, "track_parcel")]).report()
    lines = "\n".join(report_lines(report))
    assert "\x1b" not in lines
    assert "\u202e" not in lines
    assert "⟨U+001B⟩" in lines
    assert "The same text under two intents, or nearly: 1" in lines


@pytest.mark.django_db
def test_the_command_reports_and_registers_nothing(
    shelf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "load_encoder", lambda: ENCODER)
    with pytest.raises(CommandError, match="nothing to train on"):
        call_command("train_classifier", cross_validate=5)
    intents = {slug: Intent.objects.create(slug=slug, name=slug) for slug in {slug for _, slug in EXAMPLES}}
    Example.objects.bulk_create(Example(intent=intents[slug], text=text) for text, slug in EXAMPLES)
    call_command("train_classifier", cross_validate=3, json=True)
    assert json.loads(capsys.readouterr().out)["folds"] == 3
    call_command("train_classifier", cross_validate=3)
    printed = capsys.readouterr().out
    assert "3-fold cross-validation" in printed
    assert "No text stands under two intents." in printed
    assert not Release.objects.exists()


def test_options_that_do_not_go_together_are_named() -> None:
    with pytest.raises(CommandError, match="--promote does not go with --cross-validate"):
        call_command("train_classifier", cross_validate=5, promote=True)
