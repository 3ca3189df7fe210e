"""A check keeps which examples it means, and none of their words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chatbot.inference.normalisation import text_key
from chatbot.intents.models import Example, Intent
from chatbot.intents.selectors import out_of_scope_examples, training_examples
from chatbot.training.datasets import examples_digest
from chatbot.training.execution import execute
from chatbot.training.models import TrainingRun
from tests.training.shop_catalogue import HOSTILE, SHARED, checked, make_catalogue

# A run's heartbeat is a thread with a connection of its own.
pytestmark = pytest.mark.django_db(transaction=True)


def test_examples_are_kept_by_id_and_key_without_a_word_of_theirs(shelf: Path) -> None:
    make_catalogue()
    run = checked()
    kept = json.dumps(run.result, ensure_ascii=False)
    assert [text for text in Example.objects.values_list("text", flat=True) if text in kept] == []
    planted = Example.objects.get(text=HOSTILE)
    [suspect] = [row for row in run.result["mislabelled"] if row["example"]["id"] == planted.pk]
    assert suspect["example"] == {"id": planted.pk, "key": text_key(HOSTILE).hex(), "intent": "refund"}
    assert suspect["looks_like"] == "cancel_order"


def test_shared_texts_and_confusions_name_the_examples_they_mean(shelf: Path) -> None:
    make_catalogue()
    result = checked().result
    twins = {example.pk: example.intent for example in Example.objects.filter(text=SHARED)}
    [shared] = [pair for pair in result["shared_texts"] if pair["same"]]
    assert {example["id"] for example in shared["examples"]} == set(twins)
    confusions = {(pair["intent"], pair["given"]): pair for pair in result["confusions"]}
    taken = confusions["refund", "cancel_order"]
    assert len(taken["examples"]) == taken["count"]
    assert Example.objects.get(text=HOSTILE).pk in {example["id"] for example in taken["examples"]}


def test_the_digest_is_of_what_was_judged(shelf: Path) -> None:
    make_catalogue()
    run = checked()
    assert run.dataset_digest == examples_digest(training_examples(), out_of_scope_examples())


def test_inactive_intents_are_left_out(shelf: Path) -> None:
    make_catalogue()
    Intent.objects.filter(slug="track_parcel").update(is_active=False)
    assert {score["intent"] for score in checked().result["intents"]} == {"cancel_order", "refund"}


def test_an_empty_catalogue_is_a_sentence(shelf: Path) -> None:
    run = TrainingRun.objects.create(kind=TrainingRun.Kind.CROSS_VALIDATION, parameters={"preset": "fast", "folds": 4})
    execute(run_id=run.pk)
    run.refresh_from_db()
    assert run.status == TrainingRun.Status.FAILED
    assert "no examples yet" in run.error
