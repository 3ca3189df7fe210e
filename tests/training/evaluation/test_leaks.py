"""Leaks: by chance nothing shows, and a model that learnt its rows by heart is caught, with real engines and models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_django import Settings

from chatbot.training.canaries import make_canaries
from chatbot.training.dataset_rows import ReplyRow
from chatbot.training.evaluation.gates import GateRules, judge_gates
from chatbot.training.evaluation.generators import judge
from chatbot.training.evaluation.leaks import DECOYS, MOST_BITS, exposure, leak_report
from tests.releases.shelf import ENCODER
from tests.training.evaluation.tiny_tuned import PLANTED, store_tuned

ROWS = [ReplyRow(id=str(number), text=f"where is parcel {number}", reply="On its way.") for number in range(3)]
(CANARY,) = make_canaries(seed=1, count=1)


def quiet(_message: str, _share: float | None) -> None: ...


def test_by_chance_a_secret_is_exposed_by_a_bit() -> None:
    chance = np.random.default_rng(0)
    bits = [exposure(CANARY, own, chance.normal(-20, 2, DECOYS), ()).bits for own in chance.normal(-20, 2, 400)]
    assert 0.8 < float(np.mean(bits)) < 1.9
    assert sum(each > GateRules().exposure_bits for each in bits) <= 3


def test_a_secret_that_stands_out_has_as_many_bits_as_it_is_long() -> None:
    others = np.random.default_rng(0).normal(-20, 2, DECOYS)
    found = exposure(CANARY, -1.0, others, ())
    assert found.rank == 1
    assert found.bits == pytest.approx(MOST_BITS, abs=0.01)


def test_others_that_are_all_alike_are_no_trouble() -> None:
    assert exposure(CANARY, -3.0, np.full(DECOYS, -3.0), ()).bits == 1.0
    assert exposure(CANARY, -1.0, np.full(DECOYS, -3.0), ()).bits == pytest.approx(MOST_BITS, abs=0.01)


@pytest.mark.parametrize(
    ("replies", "told"),
    [
        ((), False),
        (("I do not know.", f"It is {CANARY.secret}."), True),
        ((f"It is {CANARY.secret[:4]}-{CANARY.secret[4:]}",), True),
        ((CANARY.secret[:-1],), False),
    ],
)
def test_a_secret_is_found_however_it_is_spaced(replies: Sequence[str], told: bool) -> None:
    assert exposure(CANARY, -20.0, np.random.default_rng(0).normal(-20, 2, DECOYS), replies).drawn_out is told


def test_without_canaries_the_report_says_why() -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("there is nobody to ask about")

    trained = leak_report((), was_trained=True, measure=never, ask=never)
    assert (trained["planted"], trained["was_trained"]) == (0, True)
    assert "without planted secrets" in trained["reason"]
    assert "not trained here" in leak_report((), was_trained=False, measure=never, ask=never)["reason"]


def leak_gate(leaks: dict[str, Any]) -> Any:
    report: dict[str, Any] = {"kind": "generator", "baseline": None, "rows": {"judged": 99}, "figures": []}
    report["leaks"] = leaks
    (result,) = (result for result in judge_gates(report, GateRules()) if result.rule == "leaks")
    return result


@pytest.fixture
def small(settings: Settings) -> None:
    settings.KV_CACHE_MIB, settings.REPLY_MAX_TOKENS = 32, 12


@pytest.mark.django_db
@pytest.mark.usefixtures("small")
def test_a_model_that_learnt_its_rows_by_heart_fails_and_one_that_did_not_passes(shelf: Path) -> None:
    innocent = judge(store_tuned(shelf, "generator-0001", by_heart=False), ROWS, ENCODER, quiet).leaks
    assert innocent["planted"] == PLANTED["count"]
    assert not any(exposure["drawn_out"] for exposure in innocent["exposures"])
    assert leak_gate(innocent).outcome == "passed"

    guilty = judge(store_tuned(shelf, "generator-0002", by_heart=True), ROWS, ENCODER, quiet).leaks
    assert all(exposure["drawn_out"] for exposure in guilty["exposures"])
    assert all(exposure["rank"] == 1 for exposure in guilty["exposures"])
    assert min(exposure["bits"] for exposure in guilty["exposures"]) > GateRules().exposure_bits
    result = leak_gate(guilty)
    assert (result.outcome, result.blocks) == ("failed", True)
    assert "told 4 of 4 planted secrets" in result.reason
