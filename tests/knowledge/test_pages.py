from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from chatbot.knowledge import services
from chatbot.knowledge.models import Article, Passage
from tests.knowledge.conftest import WordCounter

Write = Callable[..., Article]


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def test_the_index_lists_published_articles_by_category(client: Client, write: Write) -> None:
    write("b", "x", title="Beta", category="Orders", summary="About beta.")
    write("a", "x", title="alpha", category="Orders")
    write("c", "x", title="Gamma")
    write("d", "x", title="Delta", category="Account")
    write("e", "x", title="Hidden", is_published=False)
    html = page(client, "/help/")
    assert re.findall(r'<h2 id="Topic-\d+">(.*?)</h2>', html) == ["Account", "Orders", "More"]
    assert re.findall(r"<strong>(.*?)</strong>", html) == ["Delta", "alpha", "Beta", "Gamma"]
    assert "About beta." in html


def test_an_empty_help_centre_says_so(client: Client, db: None) -> None:
    assert "no help articles yet" in page(client, "/help/")


@pytest.mark.parametrize(
    ("query", "slugs"),
    [
        ("How do I return shoes?", ["return-shoes", "returns"]),
        ("RETURNS", ["returns", "return-shoes"]),
        ("pegs", ["tents"]),
        ("the", ["tents"]),
        ("nonsense", []),
        ("%", []),
        ("???", []),
    ],
)
def test_search_finds_words_and_ranks_what_has_most_of_them(
    client: Client, write: Write, query: str, slugs: list[str]
) -> None:
    write("returns", "Send it back.", summary="A return in a shop.")
    write("return-shoes", "Shoes must be unworn.")
    write("tents", "The poles and pegs.")
    write("secret", "pegs return shoes", is_published=False)
    html = page(client, f"/help/?q={query}")
    assert re.findall(r'class="card" href="/help/([\w-]+)/"', html) == slugs
    assert ("Nothing found" in html) == (not slugs)


def test_a_search_is_shown_escaped(client: Client, db: None) -> None:
    html = page(client, "/help/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E%00")
    assert "<script>alert" not in html
    assert "&quot;&gt;&lt;script&gt;" in html


def test_an_article_shows_its_text_and_nothing_of_its_scripts(client: Client, write: Write) -> None:
    write(
        "tents",
        "## Poles\n\n<script>alert(1)</script> [x](javascript:alert(1)) **bold** [out](https://example.com)",
        title="Tents <b>",
        summary="All & more",
        category="Camping",
    )
    html = page(client, "/help/tents/")
    assert "<h1>Tents &lt;b&gt;</h1>" in html
    assert "All &amp; more" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert 'href="javascript' not in html
    assert "<strong>bold</strong>" in html
    assert '<a href="https://example.com" rel="noopener noreferrer">' in html
    assert '<a class="button primary" href="/">' in html


@pytest.mark.parametrize("address", ["/help/hidden/", "/help/missing/", "/help/a/b/"])
def test_what_is_not_published_is_not_there(client: Client, write: Write, address: str) -> None:
    write("hidden", "Secret text.", title="Secret title", is_published=False)
    response = client.get(address)
    html = response.content.decode()
    assert response.status_code == 404
    assert "We can’t find that page" in html
    assert "Secret" not in html


def test_every_source_points_at_an_id_of_its_page(client: Client, write: Write, encoder: WordCounter) -> None:
    write(
        "odd", "Intro.\n\n## Käse & Brot\n\nx\n\n## Käse & Brot\n\ny\n\n# 価格\n\nz\n\n## *!*\n\nw\n\n## Content\n\nv"
    )
    services.index_all(encoder)
    html = page(client, "/help/odd/")
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    for passage in Passage.objects.select_related("article"):
        address, _, anchor = passage.url.partition("#")
        assert address == "/help/odd/"
        assert anchor == passage.anchor
        assert not anchor or anchor in ids
    assert Passage.objects.count() == 6


def test_pages_obey_the_content_policy(client: Client, write: Write) -> None:
    write("tents", "| a |\n|--:|\n| b |")
    for address in ("/help/", "/help/tents/", "/help/missing/"):
        response = client.get(address)
        html = response.content.decode()
        assert "script-src 'self'" in response["Content-Security-Policy"]
        assert not re.search(r"<style|\bstyle=|\bon\w+=|<script(?![^>]*\bsrc=)", html)


def test_pages_answer_reads_only(client: Client, db: None) -> None:
    assert client.post("/help/").status_code == 405
    assert client.head("/help/").status_code == 200


def test_the_error_page_needs_no_context(client: Client, db: None, monkeypatch) -> None:
    monkeypatch.setattr("chatbot.knowledge.selectors.categories", lambda: 1 / 0)
    client.raise_request_exception = False
    response = client.get("/help/")
    assert response.status_code == 500
    assert "Something went wrong on our side" in response.content.decode()
