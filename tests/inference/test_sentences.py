"""Sentences: where they end, and that it does not matter how the text arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.inference.groundedness.sentences import LONGEST, SentenceBuffer, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("You can. Then go! Really? Yes.", ["You can.", "Then go!", "Really?", "Yes."]),
        ("It is e.g. €4.95 or 3.5 kg. See No. 5.", ["It is e.g. €4.95 or 3.5 kg.", "See No. 5."]),
        ("Open until 5 p.m. on weekdays. Ask Mr. Smith.", ["Open until 5 p.m. on weekdays.", "Ask Mr. Smith."]),
        ("It closes at 5 p.m. Then ring.", ["It closes at 5 p.m.", "Then ring."]),
        ("See www.shop.example/a.html. It helps.", ["See www.shop.example/a.html.", "It helps."]),
        ("No. You can't.", ["No.", "You can't."]),
        ("It costs €5. You pay by card.", ["It costs €5.", "You pay by card."]),
        ("You need:\n1. an ID\n2. a photo\n\nBring both.", ["You need:", "1. an ID", "2. a photo", "Bring both."]),
        ("1. Open it. 2. Close it.", ["1. Open it.", "2. Close it."]),
        ("He said “Stop.” Then he left.", ["He said “Stop.”", "Then he left."]),
        ("Bis 3. März z.B. um 5 Uhr. Danach nicht.", ["Bis 3. März z.B. um 5 Uhr.", "Danach nicht."]),
        ("是的，可以。三天内！好", ["是的，可以。", "三天内！", "好"]),
        ("هل يمكن؟ نعم، يمكن.", ["هل يمكن؟", "نعم، يمكن."]),
        ("Wait... there is more. Good.", ["Wait... there is more.", "Good."]),
        ("", []),
        (" \n ", []),
    ],
)
def test_where_sentences_end(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def fed(text: str, sizes: list[int]) -> list[str]:
    buffer, start, sentences = SentenceBuffer(), 0, []
    for size in sizes:
        sentences += buffer.feed(text[start : start + size])
        start += size
    return [*sentences, *buffer.feed(text[start:]), *buffer.finish()]


PIECES = [
    "You can",
    " cancel",
    ". ",
    ".",
    "!",
    " \n",
    "\n",
    "1. ",
    "e.g. ",
    "p.m. ",
    "5",
    "€4.95",
    "。",
    "”",
    "A",
    " the ",
    "…",
]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.lists(st.integers(1, 6), max_size=40))
def test_how_text_arrives_makes_no_difference_and_nothing_is_lost(text: str, sizes: list[int]) -> None:
    sentences = fed(text, sizes)
    assert "".join(sentences) == text
    assert sentences == fed(text, [])


def test_a_sentence_without_an_end_is_cut_between_words() -> None:
    first, *_, last = fed("word " * 200, [])
    assert 0 < len(first) <= LONGEST
    assert first.endswith(" ")
    assert "".join([first, *_, last]) == "word " * 200
