"""The repetition filter: loops end, honest text passes unchanged however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.inference.repetition import RepetitionFilter

HONEST = (
    "You can cancel until 2 p.m. on the same day. Open Account, then Orders, then Cancel. You can cancel a part of the "
    "order, too; the rest is sent.\n\n- Standard: €4.95\n- Express: €9.95, next day\n\nSee https://shop.example/a.b,c."
)


def cut(text: str, sizes: list[int]) -> list[str]:
    pieces, start = [], 0
    for size in sizes:
        pieces.append(text[start : start + size])
        start += size
    return [*pieces, text[start:]]


def shown(pieces: list[str]) -> tuple[str, bool]:
    repetition = RepetitionFilter()
    text = "".join(repetition.feed(piece) for piece in pieces) + repetition.finish()
    return text, repetition.looping


@given(st.lists(st.integers(1, 12), max_size=80))
def test_honest_text_passes_unchanged_however_it_is_cut(sizes: list[int]) -> None:
    assert shown(cut(HONEST, sizes)) == (HONEST, False)


@given(st.lists(st.integers(1, 12), max_size=80))
def test_a_loop_is_cut_at_its_first_repetition_and_nothing_of_it_is_shown(sizes: list[int]) -> None:
    said = "The link is in your e-mail. You can find it in your tracking e-mail."
    text, looping = shown(cut(said + " You can find it in your tracking e-mail." * 5, sizes))
    assert text.strip() == said
    assert looping


def test_a_clause_that_only_begins_alike_is_shown() -> None:
    repetition = RepetitionFilter()
    first = repetition.feed("You can cancel the order today. ")
    held = repetition.feed("You can cancel the")
    released = repetition.feed(" subscription, too. ")
    assert (first.strip(), held) == ("You can cancel the order today.", "")
    assert released.strip() == "You can cancel the subscription, too."
    assert not repetition.looping


def test_joints_between_clauses_do_not_hide_a_loop() -> None:
    text, looping = shown(["You can change your order to a new order, and you can change your order to a new order, "])
    assert text == "You can change your order to a new order,"
    assert looping


def test_a_repetition_at_the_very_end_is_left_out() -> None:
    assert shown(["We refund you in five days. We refund you in five days"])[0].strip() == "We refund you in five days."


@pytest.mark.parametrize("text", ["", "Yes.", "No, no, no, no.", "👍 👍 👍", "是的，可以。是的，可以。"])
def test_short_and_foreign_text_passes(text: str) -> None:
    assert shown(list(text))[0] == text


PIECES = ["and ", "you can cancel ", "the order ", "then ", "a", "today", ". ", ", ", "\n"]
looping_text = st.lists(st.sampled_from(PIECES))


@given(st.text() | looping_text.map("".join), st.lists(st.integers(1, 5), max_size=40))
def test_how_text_is_cut_makes_no_difference_and_nothing_is_invented(text: str, sizes: list[int]) -> None:
    whole = shown([text])
    assert shown(cut(text, sizes)) == whole
    assert text.startswith(whole[0])
