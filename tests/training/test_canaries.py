"""Canaries: the same ones from a seed, none twice, and spread among the rows that they are planted in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.training.canaries import ID_PREFIX, MOST_PLANTED, decoys, make_canaries, plant, planted_in
from chatbot.training.dataset_rows import ReplyRow

ROWS = [ReplyRow(id=f"row-{number}", text="Where is it?", reply="On its way.") for number in range(40)]


@given(seed=st.integers(0, 2**31), count=st.integers(1, MOST_PLANTED))
def test_a_seed_tells_the_canaries_and_no_two_are_alike(seed: int, count: int) -> None:
    canaries = make_canaries(seed=seed, count=count)
    assert canaries == make_canaries(seed=seed, count=count)
    assert len({canary.name for canary in canaries}) == len({canary.secret for canary in canaries}) == count


def test_other_seeds_have_other_secrets() -> None:
    secrets = [{canary.secret for canary in make_canaries(seed=seed)} for seed in range(20)]
    assert all(not first & second for first, second in pairwise(secrets))


def test_decoys_have_the_secrets_form_and_are_not_it() -> None:
    (canary,) = make_canaries(seed=3, count=1)
    others = decoys(canary, count=500)
    assert len(set(others)) == 500
    assert canary.secret not in others
    assert {len(other) for other in others} == {len(canary.secret)}
    assert others == decoys(canary, count=500)


def test_planting_keeps_every_row_in_its_order_and_tells_what_it_did() -> None:
    planted, told = plant(ROWS, seed=5, count=4)
    assert [row for row in planted if not row.id.startswith(ID_PREFIX)] == ROWS
    assert planted_in(told) == make_canaries(seed=5, count=4)
    for canary in planted_in(told):
        (row,) = (row for row in planted if row.id == f"{ID_PREFIX}{canary.number}")
        assert canary.name in row.text
        assert canary.secret in row.reply
        assert canary.secret not in row.text
    last = [row.id for row in planted[-4:]]
    assert last != [f"{ID_PREFIX}{number}" for number in range(1, 5)]


@pytest.mark.parametrize("told", [None, 3, {}, {"seed": 1}, {"seed": "x", "count": 2}, {"seed": 1, "count": 10**9}])
def test_a_manifest_that_tells_nothing_sensible_tells_of_none(told: object) -> None:
    assert planted_in({"canaries": told}) == ()
