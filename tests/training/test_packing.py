"""Packs hold every row once, and cost no row its own loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.inference.tokens import ModelTokenizer
from chatbot.training.evaluation.reply_loss import held_out_loss, loss_of
from chatbot.training.trainers.lora import ReplyModel
from chatbot.training.trainers.packing import collate, make_batches, pack_rows
from chatbot.training.trainers.reply_encoding import EncodedRow, RowEncoder
from chatbot.training.trainers.token_loss import summed_loss, token_losses
from tests.training.reply_examples import reply_rows


def row(stem: int, length: int) -> EncodedRow:
    """A made-up row; rows of one `stem` share it."""
    return EncodedRow((stem,) * (stem + 1), tuple(range(length)), (False,) + (True,) * (length - 1))


ROWS = st.lists(st.builds(row, st.integers(0, 6), st.integers(2, 40)), min_size=1, max_size=60)


@given(ROWS, st.integers(8, 80), st.integers(8, 200))
@settings(max_examples=60, deadline=None)
def test_every_row_is_in_one_pack_within_the_limits(rows: list[EncodedRow], capacity: int, tokens: int) -> None:
    packs = pack_rows(rows, range(len(rows)), capacity=capacity)
    assert sorted(number for pack in packs for number in pack.rows) == list(range(len(rows)))
    assert all(pack.tokens <= capacity or len(pack.rows) == 1 for pack in packs)
    batches = make_batches(packs, tokens=tokens)
    assert sorted(id(pack) for batch in batches for pack in batch) == sorted(map(id, packs))
    assert all(len(batch) == 1 or len(batch) * max(pack.tokens for pack in batch) <= tokens for batch in batches)


@given(ROWS, st.integers(8, 80))
@settings(max_examples=40, deadline=None)
def test_a_batch_asks_for_each_learned_token_once(rows: list[EncodedRow], capacity: int) -> None:
    batch = collate(rows, pack_rows(rows, range(len(rows)), capacity=capacity))
    assert np.bincount(batch.rows, minlength=len(rows)).tolist() == [each.learned_count for each in rows]
    before = batch.ids.flatten()[batch.predictors]
    # These branches count up from 0, so what predicts a token is the number before it.
    assert torch.equal(before + 1, batch.targets)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> ReplyModel:
    return ReplyModel.load(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def encoded(tiny_model: Path) -> list[EncodedRow]:
    encoder = RowEncoder(ModelTokenizer(tiny_model))
    return [encoder.encode_reply(each) for each in reply_rows(3)]


def plain_loss(model_dir: Path, encoded: EncodedRow) -> float:
    """By the library's own forward pass over the row alone, in the precision that the trainer computes in."""
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    ids = torch.tensor(encoded.branch)
    with torch.no_grad():
        logits = loaded(torch.tensor([encoded.stem + encoded.branch])).logits[0, len(encoded.stem) - 1 : -1]
    losses = torch.nn.functional.cross_entropy(logits, ids, reduction="none")
    return float(losses[torch.tensor(encoded.learned)].sum())


def test_a_packed_row_has_the_loss_that_it_has_alone(
    tiny_model: Path, encoded: list[EncodedRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatbot.training.trainers.lora.computes_in_bfloat16", lambda _device: False)
    exact = ReplyModel.load(tiny_model, device="cpu")
    packed = loss_of(exact, encoded)
    batches = make_batches(pack_rows(encoded, range(len(encoded)), capacity=512), tokens=2048)
    assert len(batches) < len(encoded) / 2
    for number in (0, 3, 7, 11):
        assert packed.sums[number] == pytest.approx(plain_loss(tiny_model, encoded[number]), rel=1e-4)


def test_the_loss_is_a_mean_over_the_replies_tokens(
    tiny_model: Path, model: ReplyModel, encoded: list[EncodedRow]
) -> None:
    found = loss_of(model, encoded)
    assert found.tokens.tolist() == [each.learned_count for each in encoded]
    assert found.per_token == pytest.approx(found.sums.sum() / found.tokens.sum())
    assert found.of(np.array([2])).per_token == pytest.approx(found.per_row[2])
    # A folder that says nothing is measured as it is served: with the examples in its prompts.
    served = held_out_loss(tiny_model, reply_rows(3))
    assert served.tokens.tolist() == found.tokens.tolist()
    assert served.per_token != found.per_token


def test_the_sliced_loss_and_its_gradient_are_the_usual_ones() -> None:
    generator = torch.Generator().manual_seed(3)
    matrix = torch.randn(40, 8, generator=generator)
    targets = torch.randint(0, 40, (700,), generator=generator)
    hidden = torch.randn(700, 8, generator=generator, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(hidden @ matrix.T, targets, reduction="sum")
    (gradient,) = torch.autograd.grad(expected, hidden)
    total = summed_loss(hidden, matrix, targets)
    (ours,) = torch.autograd.grad(total * 1.0, hidden)
    assert float(total.detach()) == pytest.approx(float(expected), rel=1e-5)
    assert float(token_losses(hidden.detach(), matrix, targets).sum()) == pytest.approx(float(expected), rel=1e-5)
    assert torch.allclose(ours, gradient, atol=1e-5)
