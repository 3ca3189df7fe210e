"""What tuning sees of a text: its own words thinned, sometimes beside another example of the same intent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chatbot.inference.encoder import load_sentence_transformer
from chatbot.training.trainers.augmentation import TokenisedTexts, Views
from tests.inference.tiny_encoder import make_tiny_encoder

TEXTS = ["where is my order", "track my parcel", "refund", "money back now please", ""]
LABELS = np.array([0, 0, 1, 1, 1])


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> TokenisedTexts:
    model = load_sentence_transformer(make_tiny_encoder(tmp_path_factory.mktemp("encoders") / "tiny"))
    return TokenisedTexts.of(model, TEXTS)


def views(texts: TokenisedTexts, *, word_dropout: float = 0.0, splicing: float = 0.0, seed: int = 0) -> Views:
    return Views(texts, LABELS, np.random.default_rng(seed), word_dropout=word_dropout, splicing=splicing)


def body(texts: TokenisedTexts, row: list[int]) -> list[int]:
    """What stands between the marks, which every view must have."""
    end = len(row) - len(texts.after)
    assert row[: len(texts.before)] == texts.before
    assert row[end:] == texts.after
    return row[len(texts.before) : end]


def test_without_change_a_view_is_what_the_tokenizer_gives(texts: TokenisedTexts, tmp_path: Path) -> None:
    tokenizer = load_sentence_transformer(make_tiny_encoder(tmp_path / "tiny")).tokenizer
    assert [views(texts).draw(row) for row in range(len(TEXTS))] == tokenizer(TEXTS)["input_ids"]
    assert texts.before
    assert texts.after


def test_words_are_left_out_by_their_share_and_stay_in_order(texts: TokenisedTexts) -> None:
    drawing = views(texts, word_dropout=0.25)
    drawn = [body(texts, drawing.draw(3)) for _ in range(400)]
    whole = texts.bodies[3]
    assert np.mean([len(words) for words in drawn]) == pytest.approx(0.75 * len(whole), rel=0.06)
    for words in drawn:
        remaining = iter(whole)
        assert all(word in remaining for word in words)


def test_a_spliced_view_is_two_texts_of_one_intent_in_either_order(texts: TokenisedTexts) -> None:
    drawing = views(texts, splicing=0.5)
    own = texts.bodies[0]
    drawn = [body(texts, drawing.draw(0)) for _ in range(400)]
    pairs = [words for words in drawn if words != own]
    of_the_intent = [[*first, *second] for first in texts.bodies[:2] for second in texts.bodies[:2]]
    assert len(pairs) / len(drawn) == pytest.approx(0.5, abs=0.08)
    assert all(words in of_the_intent for words in pairs)
    assert {tuple(words) for words in pairs} >= {(*own, *texts.bodies[1]), (*texts.bodies[1], *own)}


def test_two_long_texts_are_cut_to_what_the_model_reads(texts: TokenisedTexts) -> None:
    row = texts.row(list(range(10, 10 + 2 * texts.longest)))
    assert len(row) == texts.longest
    assert row[-len(texts.after) :] == texts.after


def test_a_pass_sees_every_row_once_in_batches(texts: TokenisedTexts) -> None:
    batches = list(views(texts).batches(2))
    assert sorted(int(row) for batch in batches for row in batch) == list(range(len(TEXTS)))
    assert max(map(len, batches)) == 2


def test_the_same_seed_draws_the_same_views(texts: TokenisedTexts) -> None:
    def drawn(seed: int) -> list[list[int]]:
        drawing = views(texts, word_dropout=0.3, splicing=0.5, seed=seed)
        return [drawing.draw(row) for row in (0, 1, 2, 3) * 5]

    assert drawn(1) == drawn(1) != drawn(2)
