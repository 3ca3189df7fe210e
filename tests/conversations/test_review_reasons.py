"""Reasons to look at a turn: when each holds, how much it counts, and what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.conversations import wording
from chatbot.conversations.review_reasons import REASONS, Facts, FollowUp, NearTie, reasons_for, revive, store

NAMES = {"refund": "Refund", "return": "Return", "cancel": "Cancel"}
TIE = [("refund", 0.41), ("return", 0.38), ("cancel", 0.2)]
SURE = [("refund", 0.97), ("return", 0.02)]
OFFERED = ("How do I get a refund?", "How do I return it?", wording.TALK_TO_A_PERSON)
SHARES = st.floats(0, 1)


def said(**facts: Any) -> list[str]:
    return [reason.words(NAMES) for reason in reasons_for(Facts(**facts))]


def follow_up(text: str, intent: str = "return") -> FollowUp:
    return FollowUp(text=text, intent=intent)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"ranking": TIE}, ["“Refund” 41%, “Return” 38%: nearly a tie"]),
        ({"ranking": [("refund", 0.61), ("return", 0.39)]}, []),
        ({"ranking": [("refund", 0.4), ("gone", 0.1)]}, ["“Refund” is the best guess, with only 40%"]),
        ({"ranking": [("refund", 0.3)]}, ["“Refund” is the best guess, with only 30%"]),
        ({"ranking": SURE}, []),
        ({}, []),
        (
            {"ranking": SURE, "out_of_scope_score": 0.93, "threshold": 1.0},
            ["Barely in scope: strangeness 0.93, threshold 1.00"],
        ),
        (
            {"ranking": SURE, "out_of_scope_score": -7.9, "threshold": -8.0},
            ["Barely out of scope: strangeness -7.90, threshold -8.00"],
        ),
        ({"out_of_scope_score": 1.2, "threshold": 1.0}, []),
        ({"out_of_scope_score": 0.0, "threshold": 0.0}, []),
        ({"is_rated_down": True}, ["The customer gave the reply thumbs down"]),
        ({"was_stopped": True}, ["The customer stopped the reply"]),
        ({"was_miss": True, "offered": OFFERED}, []),
        (
            {"was_miss": True, "offered": OFFERED, "follow_up": follow_up(OFFERED[1])},
            ["The bot asked what was meant, and the customer chose “Return”"],
        ),
        (
            {"was_miss": True, "offered": OFFERED, "follow_up": follow_up("no, my parcel")},
            ["The bot asked what was meant, and nothing that it offered was"],
        ),
        (
            {"was_miss": True, "offered": OFFERED, "follow_up": follow_up(wording.TALK_TO_A_PERSON)},
            ["The bot asked what was meant, and nothing that it offered was"],
        ),
        (
            {"was_miss": True, "offered": OFFERED, "left_to_person": True},
            ["The bot asked what was meant, and nothing that it offered was"],
        ),
        ({"follow_up": follow_up("thanks"), "left_to_person": True}, []),
    ],
)
def test_what_holds_is_said_in_plain_words(facts: dict[str, Any], words: list[str]) -> None:
    assert said(**facts) == words


def test_the_weightiest_comes_first_and_the_nearer_a_tie_the_more_it_counts() -> None:
    found = reasons_for(Facts(ranking=[("refund", 0.41), ("return", 0.26)], is_rated_down=True, was_stopped=True))
    assert [reason.kind for reason in found] == ["thumbs_down", "stopped", "near_tie"]
    points = [NearTie("refund", 0.4 + gap, "return", 0.4).points for gap in (0.0, 0.05, 0.1, 0.199)]
    assert points == [60, 45, 30, 1]


@given(
    st.builds(
        Facts,
        ranking=st.lists(st.tuples(st.sampled_from(["refund", "return", "gone"]), SHARES), max_size=3).map(
            lambda rows: sorted(rows, key=lambda row: -row[1])
        ),
        out_of_scope_score=st.none() | st.floats(-10, 10),
        threshold=st.none() | st.floats(-10, 10),
        was_miss=st.booleans(),
        was_stopped=st.booleans(),
        is_rated_down=st.booleans(),
        offered=st.just(OFFERED),
        follow_up=st.none() | st.builds(follow_up, st.sampled_from([*OFFERED, "something else"])),
        left_to_person=st.booleans(),
    )
)
def test_whatever_is_found_counts_within_its_weight_and_survives_being_stored(facts: Facts) -> None:
    found = reasons_for(facts)
    for reason in found:
        assert 1 <= reason.points <= reason.weight
        assert reason.words({})
    assert revive(json.loads(json.dumps(store(found)))) == found


def test_kinds_are_told_apart_and_one_that_is_gone_is_left_out() -> None:
    assert len({reason.kind for reason in REASONS}) == len({reason.label for reason in REASONS}) == len(REASONS)
    assert revive({"of_old": {"x": 1}, "stopped": {}}) == reasons_for(Facts(was_stopped=True))
