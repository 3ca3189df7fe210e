"""The full recipe with a tiny real encoder: it learns what a frozen one can't, and is saved, loaded and served."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chatbot.exceptions import ClassifierError, ModelFilesError
from chatbot.inference.encoder import Encoder, encoder_digest
from chatbot.inference.text_classifier import TUNED_ENCODER, load_text_classifier
from chatbot.training.curves import Point
from chatbot.training.evaluation.classification import evaluate_classifier
from chatbot.training.trainers.fast import train_fast
from chatbot.training.trainers.fine_tuning import Recipe, TunedEncoder, fine_tune
from chatbot.training.trainers.full import FEW_SHOT, MANY, Material, _held_out_rows, train_full, tune
from chatbot.training.trainers.heads import LinearHead, gather_vote
from chatbot.training.trainers.rows import collect_rows
from chatbot.training.trainers.trained import TrainedClassifier
from tests.inference.tiny_encoder import WIDTH, make_tiny_encoder

FILLERS = ("", "please", "now", "my", "the", "how can i", "i want", "back")
# The same words in another order: an average of words can hardly tell them apart, a tuned encoder can.
EXAMPLES = [
    (" ".join(f"{before} {first} {between} {second}".split()), "usual" if first == "order" else "odd")
    for first, second in (("order", "parcel"), ("parcel", "order"))
    for before, between in itertools.product(FILLERS, FILLERS)
]
OUT_OF_SCOPE = ["? ?", "money refund card", "goes to your card", "refund refund", "where where where"]
QUICK = Recipe(
    epochs=40,
    finishing_epochs=5,
    encoder_learning_rate=3e-3,
    head_learning_rate=1e-2,
    batch_size=8,
    dropout=0.0,
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads of a model this small only wait for each other, for minutes where the machine is busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder(make_tiny_encoder(tmp_path_factory.mktemp("encoders") / "tiny"))


@pytest.fixture(scope="module")
def trained(base: Encoder) -> TrainedClassifier:
    return train_full(EXAMPLES, OUT_OF_SCOPE, base, recipe=QUICK)


def test_tuning_learns_what_a_frozen_encoder_hides(trained: TrainedClassifier, base: Encoder) -> None:
    frozen = train_fast(EXAMPLES, OUT_OF_SCOPE, base)
    assert frozen.metrics["accuracy"] < 0.75
    assert trained.metrics["accuracy"] > 0.8
    assert trained.metrics["examples"] == len(EXAMPLES)
    assert trained.held_out is not None
    assert trained.metrics["measured_examples"] == len(trained.held_out.rows) < len(EXAMPLES) / 3
    assert trained.metrics["measured_examples"] + trained.metrics["unmeasured_examples"] == len(EXAMPLES)
    assert trained.metrics["oos_auroc"] is not None
    assert trained.configuration["epochs"] == QUICK.epochs


def test_what_is_saved_is_served_as_it_was_trained(trained: TrainedClassifier, base: Encoder, tmp_path: Path) -> None:
    trained.save(tmp_path / "release")
    served = load_text_classifier(tmp_path / "release", base, tmp_path / "exports")
    assert served.tuned is not None
    assert served.head.tuned_digest == encoder_digest(tmp_path / "release" / TUNED_ENCODER) != base.digest
    texts = trained.rows.texts[:10]
    # Where the processor serves in bfloat16, it rounds.
    assert np.sum(served.features(texts) * trained.features[:10], axis=1).min() > 0.999
    assert evaluate_classifier(served, EXAMPLES)["accuracy"] > 0.95
    [classification] = served.classify(["order my parcel"])
    assert classification.embedding is None
    assert not (tmp_path / "release" / TUNED_ENCODER / "openvino").exists()


def test_an_encoder_that_was_changed_since_is_refused(
    trained: TrainedClassifier, base: Encoder, tmp_path: Path
) -> None:
    trained.save(tmp_path / "release")
    tokenizer = tmp_path / "release" / TUNED_ENCODER / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    with pytest.raises(ClassifierError, match="other encoders"):
        load_text_classifier(tmp_path / "release", base, tmp_path / "exports")


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(base: Encoder) -> None:
    short = replace(QUICK, epochs=2, finishing_epochs=1, dropout=0.1, word_dropout=0.1, consistency=0.5)

    def train(seed: int, examples: Any = EXAMPLES) -> TrainedClassifier:
        return train_full(examples, OUT_OF_SCOPE, base, seed, recipe=short)

    first, again, other = train(0), train(0, EXAMPLES[::-1]), train(1)
    np.testing.assert_array_equal(first.classifier.weights, again.classifier.weights)
    np.testing.assert_array_equal(first.features, again.features)
    assert first.metrics == again.metrics
    assert not np.array_equal(first.classifier.weights, other.classifier.weights)


def test_the_recipe_follows_from_how_many_examples_there_are(base: Encoder) -> None:
    few = collect_rows([(f"{intent} {number}", intent) for intent in ("card", "refund") for number in range(9)], [])
    many = collect_rows(EXAMPLES, [])
    material = Material.gather(few, base, 0)
    assert material.recipe == FEW_SHOT
    assert material.names == ["card", "refund"]
    assert len(material.texts(np.arange(3))) == len(material.labels(np.arange(3))) == 5
    assert Material.gather(many, base, 0).recipe == MANY
    assert Material.gather(many, base, 0).names == []


def test_one_example_an_intent_is_trained_on_and_said_to_be_unmeasured(base: Encoder) -> None:
    trained = train_full([("my order", "order"), ("my parcel", "parcel")], [], base, recipe=replace(QUICK, epochs=3))
    assert trained.held_out is None
    assert "not measured" in trained.metrics["method"]
    assert trained.metrics["unmeasured_examples"] == 2


def test_progress_grows_to_its_end(base: Encoder) -> None:
    shares: list[float] = []
    train_full(
        EXAMPLES,
        [],
        base,
        progress=lambda _message, share: shares.append(share or 0.0),
        recipe=replace(QUICK, epochs=2, finishing_epochs=1),
    )
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert any(0 < share < 1 for share in shares)


def test_the_curve_counts_its_steps_over_both_phases(base: Encoder) -> None:
    points: list[Point] = []
    train_full(EXAMPLES, [], base, record=points.append, recipe=replace(QUICK, epochs=2, finishing_epochs=1))
    steps = [point.step for point in points]
    assert steps == sorted(set(steps))
    per_pass = math.ceil(len(EXAMPLES) / QUICK.batch_size)
    kept = len(EXAMPLES) - len(_held_out_rows(collect_rows(EXAMPLES, []), 0))
    assert steps[-1] == 2 * math.ceil(kept / QUICK.batch_size) + per_pass
    assert all(point.loss is not None and point.loss > 0 for point in points)
    # The rate has fallen to nothing at the end of each phase.
    assert points[-1].learning_rate == pytest.approx(0, abs=1e-6)


def test_tuning_leaves_what_it_starts_from_as_it_is(base: Encoder) -> None:
    head = LinearHead(np.zeros((2, WIDTH), np.float32), np.zeros(2, np.float32))
    labels = np.array([0, 1])

    def tune(start: Path | TunedEncoder, epochs: int) -> TunedEncoder:
        return fine_tune(
            start=start, head=head, texts=["order", "parcel"], labels=labels, recipe=QUICK, epochs=epochs, seed=0
        )[0]

    before = base.digest
    first = tune(base.path, 1)
    embedded = first.encode(["order"])
    second = tune(first, 2)
    assert encoder_digest(base.path) == before
    assert not head.weights.any()
    np.testing.assert_array_equal(first.encode(["order"]), embedded)
    assert not np.array_equal(second.encode(["order"]), embedded)
    assert first.encode([]).shape == (0, WIDTH)


def test_a_tuned_encoder_drawn_towards_its_base_lies_between_the_two(base: Encoder) -> None:
    head = LinearHead(np.zeros((2, WIDTH), np.float32), np.zeros(2, np.float32))
    tuned, _ = fine_tune(
        start=base.path,
        head=head,
        texts=["order", "parcel"],
        labels=np.array([0, 1]),
        recipe=QUICK,
        epochs=3,
        seed=0,
    )
    texts = ["order my parcel", "refund"]
    far, near = tuned.encode(texts), tuned.drawn_towards(base.path, 0.99).encode(texts)
    np.testing.assert_array_equal(tuned.drawn_towards(base.path, 0.0).encode(texts), far)
    np.testing.assert_allclose(tuned.drawn_towards(base.path, 1.0).encode(texts), base.encode(texts), atol=5e-3)
    assert np.sum(near * base.encode(texts), axis=1).min() > np.sum(far * base.encode(texts), axis=1).max()
    np.testing.assert_array_equal(tuned.encode(texts), far)


def test_the_head_is_drawn_as_far_as_the_encoder_and_its_examples_vote(base: Encoder) -> None:
    rows = collect_rows(EXAMPLES, [])
    everything = np.arange(len(rows.texts))
    material = Material.gather(rows, base, 0, replace(QUICK, epochs=1, base_share=0.25))
    tuned = tune(material, everything)
    assembled, frozen = tuned.assembled(material), material.frozen_head(everything)
    linear, vote = assembled.head.linear, assembled.head.vote
    np.testing.assert_allclose(linear.weights, 0.75 * tuned.head.weights + 0.25 * frozen.weights, atol=1e-6)
    np.testing.assert_allclose(linear.bias, 0.75 * tuned.head.bias + 0.25 * frozen.bias, atol=1e-6)
    features = assembled.encoder.encode(rows.texts)
    of_the_first = features[rows.labels == 0]
    assert vote.counts.tolist() == np.bincount(rows.labels).tolist()
    assert {row.tobytes() for row in vote.examples[: vote.counts[0]]} == {row.tobytes() for row in of_the_first}
    np.testing.assert_allclose(assembled.head.logits(features), linear.logits(features) + vote.logits(features))


def test_of_an_intent_with_many_examples_so_many_vote() -> None:
    features = np.eye(300, dtype=np.float32)
    labels = np.array([1] * 280 + [0] * 20)
    vote = gather_vote(features, labels, 0)
    assert vote.counts.tolist() == [20, 64]
    assert vote.examples[:20].sum(axis=0)[280:].tolist() == [1.0] * 20
    assert vote.examples[20:, :280].sum() == 64


def test_a_training_that_diverges_says_so(base: Encoder) -> None:
    broken = LinearHead(np.full((2, WIDTH), np.nan, np.float32), np.zeros(2, np.float32))
    with pytest.raises(ClassifierError, match="diverged"):
        fine_tune(
            start=base.path,
            head=broken,
            texts=["order", "parcel"],
            labels=np.array([0, 1]),
            recipe=QUICK,
            epochs=1,
            seed=0,
        )


def test_a_folder_that_is_no_encoder_is_named(tmp_path: Path) -> None:
    head = LinearHead(np.zeros((2, WIDTH), np.float32), np.zeros(2, np.float32))
    with pytest.raises(ModelFilesError, match="not a readable sentence-transformers model"):
        fine_tune(start=tmp_path, head=head, texts=["a"], labels=np.array([0]), recipe=QUICK, epochs=1, seed=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"finishing_epochs": 0},
        {"batch_size": 0},
        {"word_dropout": 1.0},
        {"dropout": -0.1},
        {"splicing": 1.5},
        {"base_share": -1.0},
    ],
)
def test_a_recipe_is_checked_when_it_is_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"recipe needs|between 0 and 1"):
        Recipe(**{"epochs": 1, **wrong})
