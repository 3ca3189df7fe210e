"""The help pages that every source of an answer links to. They work without JavaScript."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from chatbot.knowledge import selectors
from chatbot.knowledge.markdown import render_markdown
from chatbot.knowledge.retrieval import related_articles

RELATED = 4
QUERY_LENGTH = 200


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """All articles by category, or those that a search finds."""
    query = request.GET.get("q", "").replace("\0", "").strip()[:QUERY_LENGTH]
    context: dict[str, Any] = {"query": query}
    if query:
        context["results"] = selectors.search_articles(query)
    else:
        context["categories"] = selectors.categories()
    return render(request, "knowledge/index.html", context)


@require_safe
def article(request: HttpRequest, slug: str) -> HttpResponse:
    """One published article."""
    found = selectors.published_article(slug)
    if found is None:
        raise Http404("There is no such help article.")
    context = {
        "article": found,
        "body": render_markdown(found.body),
        "related": related_articles(found, limit=RELATED),
    }
    return render(request, "knowledge/article.html", context)
