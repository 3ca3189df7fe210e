from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from django.db import connection

from chatbot.knowledge import services
from chatbot.knowledge.models import Article
from chatbot.knowledge.retrieval import related_articles, retrieve
from tests.knowledge.conftest import DIMENSION, WordCounter

Write = Callable[..., Article]


def ask(encoder: WordCounter, question: str, limit: int = 3, floor: float = 0.2) -> list[tuple[str, str]]:
    found = retrieve(encoder.encode([question])[0], limit=limit, floor=floor)
    return [(passage.article_slug, passage.heading) for passage in found]


@pytest.fixture
def shop(write: Write, encoder: WordCounter) -> None:
    write("cancel", "## How to cancel\n\ncancel your order online\n\n## Too late\n\nsend the parcel back")
    write("delivery", "## Ireland\n\nparcel delivery in Ireland\n\n## Abroad\n\nparcel delivery abroad")
    services.index_all(encoder)


def test_best_first_and_no_more_than_asked_for(shop: None, encoder: WordCounter) -> None:
    query = encoder.encode(["cancel order"])[0]
    best, *others = retrieve(query, limit=3, floor=-1.0)
    assert (best.article_slug, best.title, best.heading) == ("cancel", "Cancel", "How to cancel")
    assert best.url == "/help/cancel/#how-to-cancel"
    assert best.text == "cancel your order online"
    assert best.score == pytest.approx(
        float(query @ encoder.encode(["Cancel\nHow to cancel\n" + best.text])[0]), abs=1e-6
    )
    assert len(others) == 2
    assert [passage.score for passage in (best, *others)] == sorted((p.score for p in (best, *others)), reverse=True)
    assert retrieve(query, limit=0, floor=-1.0) == []


def test_nothing_below_the_floor(shop: None, encoder: WordCounter) -> None:
    assert ask(encoder, "unrelated words entirely", floor=0.2) == []
    score = retrieve(encoder.encode(["cancel order"])[0], limit=1, floor=0.0)[0].score
    assert ask(encoder, "cancel order", limit=1, floor=score + 0.01) == []


def test_unpublished_articles_are_not_found(shop: None, encoder: WordCounter) -> None:
    article = Article.objects.get(slug="cancel")
    article.is_published = False
    services.save_article(article=article)
    assert ask(encoder, "cancel order") == []
    article.is_published = True
    services.save_article(article=article)
    assert ask(encoder, "cancel order", limit=1) == [("cancel", "How to cancel")]


def test_an_edit_is_found_as_soon_as_it_is_indexed(shop: None, encoder: WordCounter) -> None:
    assert ask(encoder, "umbrella colours") == []
    article = Article.objects.get(slug="cancel")
    article.body = "## Umbrellas\n\numbrella colours"
    services.save_article(article=article)
    services.index_all(encoder)
    assert ask(encoder, "umbrella colours") == [("cancel", "Umbrellas")]
    article.delete()
    assert ask(encoder, "umbrella colours") == []


def test_a_renamed_article_is_shown_under_its_new_address(shop: None, encoder: WordCounter) -> None:
    ask(encoder, "cancel order")
    Article.objects.filter(slug="cancel").update(slug="stop-an-order")
    assert ask(encoder, "cancel order", limit=1) == [("stop-an-order", "How to cancel")]


def test_passages_of_another_encoder_are_left_out(shop: None, write: Write, encoder: WordCounter) -> None:
    write("odd", "## Odd\n\ncancel order cancel order")
    services.index_article(article_id=Article.objects.get(slug="odd").pk, encoder=WordCounter("other"))
    assert all(slug != "odd" for slug, _ in ask(encoder, "cancel order"))


def test_a_question_of_another_size_finds_nothing(shop: None) -> None:
    assert retrieve(np.ones(DIMENSION + 1, dtype=np.float32), limit=2, floor=0.0) == []


def test_the_same_text_is_shown_once(write: Write, encoder: WordCounter) -> None:
    for number in range(7):
        write(f"copy-{number}", "## Same\n\nCall us any day.", title="Call us")
    write("other", "## Phone\n\ncall us by phone")
    services.index_all(encoder)
    found = retrieve(encoder.encode(["call us"])[0], limit=2, floor=0.1)
    assert [passage.text for passage in found] == ["Call us any day.", "call us by phone"]


def test_an_empty_knowledge_base_finds_nothing(db: None, encoder: WordCounter) -> None:
    assert ask(encoder, "anything") == []


def test_related_articles_are_similar_else_of_the_same_category(write: Write, encoder: WordCounter) -> None:
    tent = write("tent", "## T\n\ntent poles and pegs")
    write("tents", "## T\n\ntent poles, pegs and ropes")
    write("gift", "## G\n\ngift cards")
    write("hidden", "## T\n\ntent poles and pegs", is_published=False)
    services.index_all(encoder)
    fresh = write("fresh", "## F\n\nnot indexed", category="Camping")
    write("stove", "## S\n\nstove", category="Camping")
    assert [article.slug for article in related_articles(tent, limit=1)] == ["tents"]
    assert "hidden" not in [article.slug for article in related_articles(tent, limit=9)]
    assert [article.slug for article in related_articles(fresh, limit=4)] == ["stove"]


@pytest.mark.django_db(transaction=True)
def test_threads_see_the_change_together(write: Write, encoder: WordCounter) -> None:
    write("first", "## One\n\ncancel order")
    services.index_all(encoder)
    query = encoder.encode(["cancel order"])[0]
    barrier, found, failures = threading.Barrier(4), [], []

    def look() -> None:
        try:
            for _ in range(2):
                barrier.wait(timeout=20)
                slugs = frozenset(passage.article_slug for passage in retrieve(query, limit=5, floor=0.1))
                found.append(slugs)
                barrier.wait(timeout=20)
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    barrier.wait(timeout=20)
    barrier.wait(timeout=20)
    write("second", "## Two\n\ncancel the order")
    services.index_all(encoder)
    barrier.wait(timeout=20)
    barrier.wait(timeout=20)
    for thread in threads:
        thread.join(timeout=20)
    assert failures == []
    assert found == [frozenset({"first"})] * 3 + [frozenset({"first", "second"})] * 3
