"""Reading articles for the help pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from django.db.models import Q
from django.db.models.functions import Lower

from chatbot.knowledge.models import Article

SEARCH_LIMIT = 20
# A search reads the bodies of what it ranks; beyond this many hits the words are too common for ranking to help.
_RANKED = 300
_MAX_TERMS = 8
# Words of a question that say nothing about its subject.
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are at be can could do does for from have how i if in is it me my of on or our please that the there "
        "this to want was we what when where which who why will with would you your",
    )
)


@dataclass(frozen=True, slots=True)
class Category:
    name: str
    articles: Sequence[Article]


def published_article(slug: str) -> Article | None:
    """The article that customers may read at `/help/<slug>/`."""
    return Article.objects.published().filter(slug=slug).first()


def categories() -> list[Category]:
    """Published articles by category, both in alphabetical order; those without a category come last."""
    articles = Article.objects.published().defer("body").order_by(Lower("category"), Lower("title"))
    grouped = [Category(name or "More", list(group)) for name, group in groupby(articles, lambda one: one.category)]
    return sorted(grouped, key=lambda category: not category.articles[0].category)


def search_articles(query: str) -> list[Article]:
    """Published articles with any word of the query, those first that have most of them and in the best places."""
    terms = _terms(query)
    if not terms:
        return []
    matching = Q()
    for term in terms:
        for name in ("title", "summary", "category", "body"):
            matching |= Q(**{f"{name}__icontains": term})
    found = Article.objects.published().filter(matching).order_by("title")[:_RANKED]
    scored = sorted(((_score(article, terms), article) for article in found), key=lambda pair: -pair[0])
    # Articles that merely mention one of several words bury those that are about them.
    return [article for score, article in scored if score >= scored[0][0] / 2][:SEARCH_LIMIT]


def _terms(query: str) -> list[str]:
    words = list(dict.fromkeys(re.findall(r"\w+", query.casefold())))
    telling = [word for word in words if word not in _STOP_WORDS] or words
    # “returns” must find “return”, and a stem still matches the longer form.
    return [word[:-1] if len(word) > 4 and word.endswith("s") else word for word in telling[:_MAX_TERMS]]


def _score(article: Article, terms: Sequence[str]) -> float:
    title, summary, body = (text.casefold() for text in (article.title, article.summary, article.body))
    # Each further word found counts more than any place that one word is found in.
    return sum(
        10 + 6 * (term in title) + 3 * (term in summary) + min(body.count(term), 5) / 5
        for term in terms
        if term in title or term in summary or term in body
    )
