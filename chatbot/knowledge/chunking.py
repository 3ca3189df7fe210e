"""Markdown → passages: one for each `##` section, long sections cut at paragraphs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from markdown_it.token import Token

from chatbot.knowledge.markdown import inline_text, parse_markdown

# About 160 tokens: within the encoder's window with title and heading, and two of them leave room in a small model's
# prompt for the conversation.
MAX_WORDS = 120
HEADING_LENGTH = 200

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
# Chinese, Japanese and Korean put few or no spaces between words: there a character counts for one.
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage before it is stored. `text` is plain: no marks, links as their words, a list item on each line."""

    heading: str
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class _Block:
    """A piece of text that is only cut where it is longer than a passage may be."""

    text: str
    joined_by: str = "\n\n"

    @property
    def words(self) -> int:
        return count_words(self.text)


@dataclass(slots=True)
class _Section:
    heading: str = ""
    anchor: str = ""
    blocks: list[_Block] = field(default_factory=list)


def chunk_markdown(text: str) -> list[Chunk]:
    """The passages of an article's body, in order, each of at most MAX_WORDS words.

    What stands before the first heading has neither heading nor anchor. A section without text has no passage.
    """
    return [
        Chunk(section.heading[:HEADING_LENGTH], section.anchor, passage)
        for section in _sections(parse_markdown(text))
        for passage in _pack(section.blocks)
    ]


def count_words(text: str) -> int:
    """How many words a reader would count."""
    return len(_WORD.findall(text))


def _sections(tokens: list[Token]) -> Iterator[_Section]:
    section = _Section()
    start = 0
    for index, token in enumerate(tokens):
        # Headings inside quotes and lists belong to what they stand in.
        if token.type == "heading_open" and token.level == 0 and token.tag in {"h1", "h2"}:
            section.blocks = list(_blocks(tokens[start:index]))
            yield section
            heading = " ".join(inline_text(tokens[index + 1]).split())
            section = _Section(heading, str(token.attrGet("id") or ""))
            start = index + 3  # past heading_open, inline, heading_close
    section.blocks = list(_blocks(tokens[start:]))
    yield section


def _blocks(tokens: Iterable[Token]) -> Iterator[_Block]:
    numbers: list[int | None] = []  # for each open list its next number, None where it has bullets
    marker = ""
    cells: list[str] | None = None
    joined_by = "\n\n"
    for token in tokens:
        match token.type:
            case "bullet_list_open":
                numbers.append(None)
            case "ordered_list_open":
                numbers.append(int(token.attrGet("start") or 1))
            case "bullet_list_close" | "ordered_list_close":
                numbers.pop()
            case "list_item_open":
                number = numbers[-1]
                marker = "- " if number is None else f"{number}. "
                numbers[-1] = None if number is None else number + 1
            case "list_item_close":
                marker = ""
            case "table_open":
                joined_by = "\n\n"
            case "tr_open":
                cells = []
            case "tr_close":
                yield _Block(" · ".join(filter(None, cells or [])), joined_by)
                cells, joined_by = None, "\n"
            case "inline" if cells is not None:
                cells.append(inline_text(token))
            case "inline" | "fence" | "code_block":
                text = inline_text(token) if token.type == "inline" else token.content.strip()
                if text:
                    yield _Block(marker + text, "\n" if numbers else "\n\n")
                    marker = ""


def _pack(blocks: list[_Block]) -> Iterator[str]:
    passage, words = "", 0
    for block in _cut(blocks):
        if passage and words + block.words > MAX_WORDS:
            yield passage
            passage, words = "", 0
        passage = f"{passage}{block.joined_by}{block.text}" if passage else block.text
        words += block.words
    if passage:
        yield passage


def _cut(blocks: list[_Block]) -> Iterator[_Block]:
    """The blocks, with those that are too long for one passage cut at sentences, and sentences between words."""
    for block in blocks:
        if block.words <= MAX_WORDS:
            if block.text.strip():
                yield block
            continue
        joined_by = block.joined_by
        for sentence in _SENTENCE_END.split(block.text):
            for piece in _pieces(sentence):
                yield _Block(piece, joined_by)
                joined_by = " "


def _pieces(sentence: str) -> Iterator[str]:
    words = list(_WORD.finditer(sentence))
    for start in range(0, len(words), MAX_WORDS):
        last = words[min(start + MAX_WORDS, len(words)) - 1]
        yield sentence[words[start].start() : last.end()]
