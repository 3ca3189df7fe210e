"""The guard: what a customer sees of a reply that strays from its sources, and that nothing seen is taken back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.inference.groundedness import Fate, GroundednessGuard, Mode, Sources
from chatbot.inference.prompt import GroundingPassage

PASSAGE = GroundingPassage(
    "Cancel an order",
    "To cancel your order, open Account → Orders → Cancel order and confirm. You can cancel until it ships.\n\n"
    "- Standard delivery costs €4.95.\n- Express delivery costs €9.95.",
)
ASKS = "how do i cancel my order"


def guarded(reply: str, asks: str = ASKS, mode: Mode = Mode.REPLACE, step: int = 5) -> tuple[str, GroundednessGuard]:
    guard = GroundednessGuard(Sources([PASSAGE], question=asks), mode)
    shown = "".join(guard.feed(reply[start : start + step]) for start in range(0, len(reply), step))
    return shown + guard.finish(), guard


def test_what_the_sources_say_passes_unchanged() -> None:
    reply = "Go to Account, then Orders.\n\nYou can cancel until it ships. Express delivery costs €9.95."
    shown, guard = guarded(reply)
    assert shown == reply
    assert {checked.fate for checked in guard.checked} == {Fate.KEPT}


def test_an_invented_step_gives_way_to_the_passages_own_words() -> None:
    shown, guard = guarded("Click the Cancel button on your order page. You can cancel until it ships.")
    assert shown == (
        "To cancel your order, open Account → Orders → Cancel order and confirm. You can cancel until it ships."
    )
    assert [checked.fate for checked in guard.checked] == [Fate.REPLACED, Fate.KEPT]


def test_a_wrong_yes_is_left_out_where_the_rest_is_right() -> None:
    shown, _ = guarded("Yes, you can cancel until it ships.", asks="can i still cancel after it shipped?")
    assert shown == "You can cancel until it ships."


def test_a_sentence_that_turns_wrong_is_finished_as_the_source_goes_on() -> None:
    guard = GroundednessGuard(Sources([PASSAGE], question=ASKS))
    early = guard.feed("To cancel your order, open Account → Orders and ")
    assert early == "To cancel your order, open Account → Orders"
    rest = guard.feed("click the red button. ") + guard.finish()
    assert (early + rest).strip() == "To cancel your order, open Account → Orders → Cancel order and confirm."


def test_nothing_is_shown_early_that_is_not_the_sources() -> None:
    guard = GroundednessGuard(Sources([PASSAGE], question=ASKS))
    assert guard.feed("Your order can be cancelled after it was sent") == ""


def test_where_nothing_is_supported_the_passage_answers_if_it_can() -> None:
    assert guarded("We are happy. Wine costs $5.", asks="what does express delivery cost")[0].endswith(
        "Express delivery costs €9.95."
    )
    shown, guard = guarded("Yes, we sell wine. It is 5 euros.", asks="do you sell wine?")
    assert (shown, guard.says_nothing) == ("", True)


def test_the_passage_is_not_read_out_twice() -> None:
    shown, _ = guarded(
        "Click the button to cancel your order. To cancel your order, open Account → Orders → Cancel order."
    )
    assert shown.count("Account → Orders") == 1


def test_a_reply_full_of_inventions_does_not_become_the_whole_passage() -> None:
    shown, guard = guarded("Cancel by fax. Cancel by pigeon. Cancel by telegram. Cancel your order by smoke signals.")
    assert 1 <= sum(checked.fate is Fate.REPLACED for checked in guard.checked) <= 2
    assert shown.count(".") <= 2


def test_flagging_changes_nothing_and_notes_what_it_would_have_changed() -> None:
    reply = "Click the Cancel button. You can cancel until it ships."
    shown, guard = guarded(reply, mode=Mode.FLAG)
    assert shown == reply
    assert [checked.fate for checked in guard.checked] == [Fate.FLAGGED, Fate.KEPT]
    assert guard.record()["sentences"][0]["reasons"][0] == ["step", "button"]


def test_switched_off_it_does_nothing() -> None:
    shown, guard = guarded("It takes 99 days.", mode=Mode.OFF)
    assert (shown, guard.record()) == ("It takes 99 days.", {})


def test_a_stopped_reply_gets_nothing_added() -> None:
    guard = GroundednessGuard(Sources([PASSAGE], question=ASKS))
    shown = guard.feed("You can cancel until it ships. Click the red butt")
    assert shown + guard.finish(was_stopped=True) == "You can cancel until it ships."


@pytest.mark.parametrize(
    ("reply", "shown"),
    [("", ""), ("I don't know.", "I don't know."), ("👍", "👍"), ("\n\n", "\n\n"), ("Hello! 👋", "Hello! 👋")],
)
def test_replies_without_claims_pass(reply: str, shown: str) -> None:
    assert guarded(reply, asks="")[0] == shown


def test_courtesy_alone_is_no_answer() -> None:
    shown, _ = guarded("I'm sorry for your trouble.")
    assert (
        shown == "I'm sorry for your trouble. To cancel your order, open Account → Orders → Cancel order and confirm."
    )


def test_a_question_is_not_answered_by_itself() -> None:
    shown, _ = guarded("How do I cancel my order. You can cancel until it ships.", asks="how do I cancel my order?")
    assert (
        shown
        == "To cancel your order, open Account → Orders → Cancel order and confirm. You can cancel until it ships."
    )


CLAUSES = [
    "You can cancel until it ships. ",
    "Yes, ",
    "To cancel your order, ",
    "open Account → Orders ",
    "within 30 days. ",
    "- Express delivery costs ",
    "€9.95.\n",
    "€4.95. ",
    "I don't know. ",
    "press the button. ",
]


@given(st.lists(st.sampled_from(CLAUSES), max_size=12).map("".join), st.integers(1, 30), st.integers(1, 30))
def test_how_text_arrives_makes_no_difference_and_no_invented_figure_is_shown(reply: str, one: int, other: int) -> None:
    shown, _ = guarded(reply, step=one)
    assert "30 days" not in shown
    assert "button" not in shown
    assert " ".join(shown.split()) == " ".join(guarded(reply, step=other)[0].split())
