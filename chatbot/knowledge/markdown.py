"""Markdown of articles → tokens → safe HTML. Pure.

Pages and passages start from the same tokens, so a source's anchor is always an id on the page that it points to.
Raw HTML is text, images are their description, and a link that leads nowhere safe is not a link.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import nh3
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.token import Token

# Fits the model's field with room for a number, and stays readable in an address bar.
ANCHOR_LENGTH = 80

_HEADINGS = ("h2", "h3", "h4", "h5", "h6")
_TAGS = {
    *("p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a"),
    *("table", "thead", "tbody", "tr", "th", "td"),
    *_HEADINGS,
}
_ATTRIBUTES = {"a": {"href", "title", "rel"}, "ol": {"start"}, **{heading: {"id"} for heading in _HEADINGS}}
_SCHEMES = {"http", "https", "mailto", "tel"}


def parse_markdown(text: str) -> list[Token]:
    """The block tokens of `text`. Every heading carries its anchor as `id`, unique within the text."""
    tokens = _parser.parse(text)
    taken: set[str] = set()
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            anchor = _unique(slugify(inline_text(inline), allow_unicode=True)[:ANCHOR_LENGTH].strip("-"), taken)
            opening.attrSet("id", anchor)
    return tokens


def render_markdown(text: str) -> SafeString:
    """`text` as HTML that is safe to show whoever wrote it."""
    tokens = parse_markdown(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"} and token.tag == "h1":
            token.tag = "h2"  # the page's only h1 is the article's title
        for child in token.children or ():
            if child.type == "link_open" and _is_external(str(child.attrGet("href") or "")):
                child.attrSet("rel", "noopener noreferrer")
    html = _parser.renderer.render(tokens, _parser.options, {})
    # link_rel would mark our own pages too.
    return mark_safe(nh3.clean(html, tags=_TAGS, attributes=_ATTRIBUTES, url_schemes=_SCHEMES, link_rel=None))


def inline_text(token: Token) -> str:
    """The words of an inline token, without its marks."""
    pieces = []
    for child in token.children or ():
        if child.type == "softbreak":
            pieces.append(" ")
        elif child.type == "hardbreak":
            pieces.append("\n")
        elif child.type == "image":
            pieces.append(inline_text(child))
        else:
            pieces.append(child.content)
    return "".join(pieces).strip()


def _unique(slug: str, taken: set[str]) -> str:
    anchor, number = slug or "section", 1
    while anchor in taken:
        number += 1
        anchor = f"{slug or 'section'}-{number}"
    taken.add(anchor)
    return anchor


def _is_external(href: str) -> bool:
    try:
        return bool(urlsplit(href).netloc)
    except ValueError:
        return True


def _render_image(tokens: Sequence[Token], index: int, *_: Any) -> str:
    return escapeHtml(inline_text(tokens[index]))


def _build_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.renderer.rules["image"] = _render_image  # type: ignore[attr-defined]
    return parser


_parser = _build_parser()
