"""The fast recipe: correct on what it can learn, one clear sentence on what it can't, and honest about the rest."""

from __future__ import annotations

import random
from typing import Any, cast

import numpy as np
import pytest

from chatbot.exceptions import ClassifierError
from chatbot.inference.encoder import Encoder
from chatbot.inference.text_classifier import TextClassifier
from chatbot.training.evaluation.classification import evaluate_classifier
from chatbot.training.trainers.fast import train_fast
from chatbot.training.trainers.trained import TrainedClassifier
from tests.training.shop_examples import EXAMPLES, OUT_OF_SCOPE
from tests.training.word_encoder import WordEncoder

ENCODER = cast(Encoder, WordEncoder())


def train(examples: Any = EXAMPLES, out_of_scope: Any = OUT_OF_SCOPE, **options: Any) -> TrainedClassifier:
    return train_fast(examples, out_of_scope, ENCODER, **options)


def best(trained: TrainedClassifier, text: str) -> str:
    return trained.classifier.predict(ENCODER.encode([text]))[0].best.intent


def test_learns_the_catalogue_and_says_how_well() -> None:
    trained = train()
    assert best(trained, "please cancel the purchase now") == "cancel_order"
    assert best(trained, "track my package") == "track_parcel"
    assert trained.metrics["method"] == "5-fold cross-validation"
    assert trained.metrics["measured_examples"] == trained.metrics["examples"] == len(EXAMPLES)
    assert trained.metrics["accuracy"] > 0.9
    assert trained.metrics["macro_f1"] > 0.9
    assert 0 <= trained.metrics["ece"] < 0.2
    assert trained.metrics["oos_auroc"] > 0.8
    assert trained.classifier.encoder_digest == ENCODER.digest


def test_metrics_are_of_held_out_rows() -> None:
    """Labels drawn at random can be memorised but not predicted: an honest number stays near chance."""
    labels = random.Random(1)
    noise = [(f"word{index} thing{index * 7}", labels.choice(["a", "b"])) for index in range(120)]
    trained = train(noise, [])
    memorised = evaluate_classifier(TextClassifier(trained.classifier, ENCODER), noise)
    assert memorised["accuracy"] > 0.8
    assert trained.metrics["accuracy"] < 0.7


def test_same_seed_same_classifier_whatever_the_order() -> None:
    shuffled = random.Random(5).sample(EXAMPLES, len(EXAMPLES))
    first, second = train(seed=3), train(shuffled, list(reversed(OUT_OF_SCOPE)), seed=3)
    assert first.metrics == second.metrics
    np.testing.assert_array_equal(first.classifier.weights, second.classifier.weights)
    assert first.classifier.out_of_scope == second.classifier.out_of_scope


def test_without_out_of_scope_examples_few_known_texts_are_rejected() -> None:
    trained = train(out_of_scope=[])
    assert trained.metrics["oos_auroc"] is None
    assert trained.metrics["oos_recall"] is None
    assert trained.metrics["in_scope_rejected"] <= 0.1


def test_duplicates_and_empty_texts_are_counted_and_dropped() -> None:
    trained = train(
        [*EXAMPLES, *EXAMPLES[:4], ("  ", "refund"), ("", "nothing")], [*OUT_OF_SCOPE, OUT_OF_SCOPE[0], " "]
    )
    assert trained.metrics["dropped_duplicates"] == 5
    assert trained.metrics["dropped_empty"] == 3
    assert trained.metrics["examples"] == len(EXAMPLES)
    assert "nothing" not in trained.classifier.intents


def test_one_example_an_intent_is_trained_and_called_unmeasured() -> None:
    trained = train([("cancel my order", "cancel"), ("where is my parcel", "track"), ("refund", "refund")])
    assert best(trained, "cancel my order") == "cancel"
    assert "not measured" in trained.metrics["method"]
    assert "accuracy" not in trained.metrics


def test_single_examples_are_trained_and_counted_as_unmeasured() -> None:
    trained = train([*EXAMPLES, ("do you sell gift cards", "gift_card")])
    assert trained.metrics["unmeasured_examples"] == 1
    assert best(trained, "sell gift cards") == "gift_card"


def test_two_intents() -> None:
    pairs = [pair for pair in EXAMPLES if pair[1] != "refund"]
    trained = train(pairs)
    assert trained.classifier.weights.shape[0] == 2
    assert evaluate_classifier(TextClassifier(trained.classifier, ENCODER), pairs)["accuracy"] > 0.95


def test_few_right_answers_make_no_certainty() -> None:
    trained = train([("red", "a"), ("red red", "a"), ("blue", "b"), ("blue blue", "b")], [])
    assert trained.classifier.temperature > 0.3


def test_chinese_and_emoji() -> None:
    trained = train(
        [
            ("我要退款", "refund"),
            ("请退款给我", "refund"),
            ("包裹在哪里", "track"),
            ("我的包裹呢", "track"),
            ("😀", "joy"),
            ("😀😀", "joy"),
        ],
        [],
    )
    assert best(trained, "退款") == "refund"
    assert best(trained, "😀😀😀") == "joy"


@pytest.mark.parametrize(
    ("examples", "sentence"),
    [
        ([], "nothing to train on"),
        ([("", "a"), (" \n", "b")], "nothing to train on"),
        ([("one", "only"), ("two", "only")], "at least two intents; all 2 are of 'only'"),
    ],
)
def test_what_cannot_be_trained_is_one_clear_sentence(examples: Any, sentence: str) -> None:
    with pytest.raises(ClassifierError, match=sentence):
        train(examples)


def test_evaluation_counts_unknown_intents_as_wrong() -> None:
    trained = train()
    rows = [*EXAMPLES[:6], ("a wholly new thing", "unheard_of"), ("another", "unheard_of")]
    metrics = evaluate_classifier(TextClassifier(trained.classifier, ENCODER), rows, OUT_OF_SCOPE)
    assert metrics["unknown_intents"] == 2
    assert metrics["accuracy"] == pytest.approx(6 / 8, abs=0.01)
    assert metrics["oos_auroc"] is not None


def test_progress_grows_fold_by_fold_to_its_end() -> None:
    told: list[tuple[str, float | None]] = []
    train(progress=lambda message, share: told.append((message, share)), folds=3)
    shares = [share for _, share in told]
    assert shares == sorted(shares, key=lambda share: share or 0.0)
    assert shares[-1] == 1.0
    assert [message for message, _ in told if "fold" in message] == [
        f"Cross-validating: fold {number} of 3" for number in (1, 2, 3)
    ]
