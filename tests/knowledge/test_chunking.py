from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.knowledge.chunking import MAX_WORDS, chunk_markdown, count_words
from chatbot.knowledge.markdown import render_markdown

WORDS = st.text("abcdefghijk", min_size=1, max_size=8)
PHRASES = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)
SENTENCES = st.lists(WORDS, min_size=1, max_size=40).map(lambda words: " ".join(words) + ".")
PARAGRAPHS = st.lists(SENTENCES, min_size=1, max_size=12).map(" ".join)
LISTS = st.lists(PHRASES, min_size=1, max_size=30).map(lambda items: "\n".join(f"- {item}" for item in items))
QUOTES = PARAGRAPHS.map(lambda text: f"> {text}")
CODE = PHRASES.map(lambda text: f"```\n{text}\n```")
TABLES = st.lists(PHRASES, min_size=1, max_size=5).map(
    lambda cells: "| x | y |\n|---|---|\n" + "\n".join(f"| {cell} | {cell} |" for cell in cells)
)
MARKED = PHRASES.map(lambda text: f"**{text}** and [{text}](https://example.com) and ![{text}](/x.png)")
SECTIONS = st.tuples(PHRASES, st.lists(st.one_of(PARAGRAPHS, LISTS, QUOTES, CODE, TABLES, MARKED), min_size=1))
HOSTILE = st.text(alphabet=st.one_of(st.sampled_from("#>-*_`[]()<>!|\\&\n\t 1.~+=:"), st.characters(codec="utf-8")))


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-zA-Z]+", text)


@given(st.lists(SECTIONS, min_size=1, max_size=4))
def test_no_word_is_lost_or_moved(sections: list[tuple[str, list[str]]]) -> None:
    body = "\n\n".join(f"## {heading}\n\n" + "\n\n".join(blocks) for heading, blocks in sections)
    plain = re.sub(r"\]\([^)]*\)", "", "\n".join(block for _, blocks in sections for block in blocks))
    chunks = chunk_markdown(body)
    assert words_of(" ".join(chunk.text for chunk in chunks)) == words_of(plain)
    assert list(dict.fromkeys(chunk.anchor for chunk in chunks)) == re.findall(
        r'<h2 id="([^"]+)"', render_markdown(body)
    )


@given(st.one_of(HOSTILE, st.text(max_size=2000), PARAGRAPHS))
def test_bounds_hold_whatever_is_written(body: str) -> None:
    ids = set(re.findall(r'<h\d id="([^"]*)"', render_markdown(body)))
    for chunk in chunk_markdown(body):
        assert chunk.text.strip()
        assert count_words(chunk.text) <= MAX_WORDS + chunk.text.count("\n") + 1  # list markers count for nothing
        assert len(chunk.heading) <= 200
        assert len(chunk.anchor) <= 100
        assert not chunk.anchor or chunk.anchor in ids


@given(HOSTILE)
def test_rendered_text_has_no_markup_of_its_own(body: str) -> None:
    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z][^\s/>]*)", render_markdown(f"<script>x</script> {body}")))
    assert tags <= {
        *("p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a"),
        *("table", "thead", "tbody", "tr", "th", "td", "h2", "h3", "h4", "h5", "h6"),
    }


def test_sections_become_passages_with_plain_text() -> None:
    chunks = chunk_markdown(
        "Before *any* heading.\n\n## Send it back\n\nUse **Account → [Orders](/help/orders/)**:\n\n"
        "1. Print the `label`\n2. Post it\n   - at a shop\n\n### Abroad\n\nYou pay.\n\n"
        "## Empty\n\n## Send it back\n\nAgain."
    )
    assert [(chunk.heading, chunk.anchor, chunk.text) for chunk in chunks] == [
        ("", "", "Before any heading."),
        (
            "Send it back",
            "send-it-back",
            "Use Account → Orders:\n1. Print the label\n2. Post it\n- at a shop\n\nAbroad\n\nYou pay.",
        ),
        ("Send it back", "send-it-back-2", "Again."),
    ]


def test_tables_keep_a_line_for_each_row() -> None:
    (chunk,) = chunk_markdown("Costs:\n\n| Country | Cost |\n|---|--:|\n| Ireland | €4.95 |\n\nVAT is included.")
    assert chunk.text == "Costs:\n\nCountry · Cost\nIreland · €4.95\n\nVAT is included."


def test_long_sections_are_cut_between_paragraphs() -> None:
    paragraphs = [f"p{number} " + "word " * 49 for number in range(5)]
    chunks = chunk_markdown("## Long\n\n" + "\n\n".join(paragraphs))
    assert [re.findall(r"p\d", chunk.text) for chunk in chunks] == [["p0", "p1"], ["p2", "p3"], ["p4"]]
    assert {chunk.anchor for chunk in chunks} == {"long"}


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("word " * 300, [120, 120, 60]),
        ("One two three four five. " * 60, [120, 120, 60]),
        ("字" * 250, [120, 120, 10]),
        ("漢字です。" * 60, [120, 120, 60]),
    ],
)
def test_paragraphs_that_are_too_long_are_cut_inside(text: str, lengths: list[int]) -> None:
    assert [count_words(chunk.text) for chunk in chunk_markdown(text)] == pytest.approx(lengths, abs=20)


def test_numbered_anchors_never_meet_a_heading_of_that_name() -> None:
    ids = re.findall(r'id="([^"]+)"', render_markdown("## A 2\n\n## A\n\n## A\n\n## !\n\n## ?"))
    assert ids == ["a-2", "a", "a-3", "section", "section-2"]
