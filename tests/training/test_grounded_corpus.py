"""The corpus keeps what its README promises: replies invent nothing, and no question is there twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations

import pytest

from chatbot.exceptions import DatasetError
from chatbot.training.corpora import grounded_corpus
from chatbot.training.corpora.grounded import FOLDER
from chatbot.training.dataset_rows import ReplyRow, read_row

ROWS = grounded_corpus()
HELD_OUT = FOLDER / "held-out.jsonl"

FIGURE = re.compile(r"(?:[A-Z]{3} |[€£$])?\d+(?:[.,:]\d+)*%?")
ADDRESS = re.compile(r"[\w.+-]+@[\w.-]+\w|\w[\w-]*(?:\.[\w-]+)+(?:/[\w/-]*\w)?")
PATH_STEP = re.compile(r"(?<=[→>›] )[A-Z][\w&'-]*|[A-Z][\w&'-]*(?= [→>›])")
WORD = re.compile(r"\w+")


def test_there_is_enough_of_everything():
    articles = Counter(row.id.rsplit("/", 1)[0] for row in ROWS)
    businesses = Counter(article.split("/")[0] for article in articles)
    assert len(ROWS) >= 1_300
    assert len(businesses) >= 28
    assert min(businesses.values()) >= 4
    assert min(articles.values()) >= 6


def test_lessons_are_in_proportion():
    lessons = Counter(row.intent for row in ROWS)
    assert _share(lessons["absent"]) >= 0.18
    assert _share(lessons["refusal"] + lessons["handoff"]) >= 0.05
    assert _share(lessons["smalltalk"]) >= 0.04
    assert _share(sum(bool(row.history) for row in ROWS)) >= 0.1
    assert 0.3 <= _share(sum(len(row.passages) > 1 for row in ROWS)) <= 0.4


def test_ids_are_unique():
    assert len({row.id for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("pattern", [FIGURE, ADDRESS, PATH_STEP], ids=["figures", "addresses", "menu paths"])
def test_replies_invent_nothing(pattern: re.Pattern[str]):
    invented = {
        row.id: new for row in ROWS if (new := set(pattern.findall(row.reply)) - set(pattern.findall(_prompt(row))))
    }
    assert not invented


def test_replies_are_short():
    assert not [row.id for row in ROWS if len(row.reply.split()) > 60]


def test_articles_have_the_length_of_passages():
    texts = {passage.text for row in ROWS for passage in row.passages}
    assert not [text for text in texts if not 40 <= len(text.split()) <= 130]


def test_replies_are_plain_text():
    assert not [row.id for row in ROWS if re.search(r"[*_`#\[\]]|\s{2}", row.reply)]


def test_the_bot_does_not_hide_behind_phrases():
    phrases = re.compile(r"confusion|based on|according to|as an ai|feel free|hesitate", re.IGNORECASE)
    assert not [row.id for row in ROWS if phrases.search(row.reply)]


def test_what_the_article_leaves_open_is_said():
    leaves_open = r"do(?:es)?n't (?:say|mention|name|give|list|recommend|include|know|cover)"
    openly = re.compile(rf"{leaves_open}|\bonly\b|\bnot\b|but no(?:thing)?\b", re.IGNORECASE)
    assert not [row.id for row in ROWS if row.intent == "absent" and not openly.search(row.reply)]


def test_no_question_is_asked_twice():
    asked = [(row.id, _words(row.text), _words(" ".join(said.text for said in row.history))) for row in ROWS]
    twice = [
        (one, other)
        for (one, words, before), (other, others, others_before) in combinations(asked, 2)
        if _overlap(words, others) >= 0.8
        and (not before or not others_before or _overlap(before, others_before) >= 0.5)
    ]
    assert not twice


def test_nothing_of_the_held_out_rows_is_learnt():
    held_out = [read_row(ReplyRow, line) for line in HELD_OUT.read_text(encoding="utf-8").splitlines() if line]
    assert held_out
    assert not set(_texts(ROWS)) & set(_texts(held_out))
    assert not [
        (row.id, other.id)
        for row in ROWS
        for other in held_out
        if len(_words(row.text)) > 3 and _overlap(_words(row.text), _words(other.text)) >= 0.9
    ]


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("sea: [a]", "questions.0.sea"),
        ("see: [b]", "broken/a/1: no article has the key b"),
        ("before: [x]", "broken/a/1: what was said before"),
        ("]", "not YAML"),
    ],
)
def test_a_file_that_breaks_the_format_is_named(tmp_path, fault, named):
    article = f"{{key: a, title: A, text: B, questions: [{{ask: C, reply: D, {fault}}}]}}"
    (tmp_path / "broken.yaml").write_text(f"shop: S\narticles: [{article}]\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=named):
        grounded_corpus(tmp_path)


def _prompt(row: ReplyRow) -> str:
    passages = [f"{passage.title}\n{passage.text}" for passage in row.passages]
    return "\n".join([row.shop, *passages, *(said.text for said in row.history), row.text])


def _texts(rows: list[ReplyRow]) -> Iterator[str]:
    for row in rows:
        yield row.shop
        yield from (passage.text for passage in row.passages)


def _share(count: int) -> float:
    return count / len(ROWS)


def _words(text: str) -> frozenset[str]:
    return frozenset(WORD.findall(text.lower()))


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / max(len(one | other), 1)
