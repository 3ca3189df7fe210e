"""The passages that are closest to what a customer wrote.

Every process keeps one matrix of all embeddings and one cheap query tells it when the passages have changed. Only
numbers are cached: what is shown comes from the database, so it is never older than the article.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Count, Max, Sum
from numpy.typing import NDArray

from chatbot.knowledge.models import Article, Passage

logger = logging.getLogger(__name__)

# Candidates are read from the database in portions of this many times the limit: one nearly always does, because few
# passages have the same text or go while they are looked up.
_PORTION = 3


@dataclass(frozen=True)
class RetrievedPassage:
    """A passage with where it stands and its cosine similarity to the question."""

    passage_id: int
    article_slug: str
    title: str
    heading: str
    url: str
    text: str
    score: float


def retrieve(query_embedding: NDArray[np.float32], *, limit: int, floor: float) -> list[RetrievedPassage]:
    """The published passages nearest to an embedding of unit length, best first: at most `limit`, none below `floor`.

    Passages that another encoder embedded are left out, and of those with the same text only the best is kept.
    """
    index = _cache.current()
    if limit <= 0 or not index.fits(query_embedding):
        return []
    scores = index.embeddings @ np.asarray(query_embedding, dtype=np.float32)
    order = np.argsort(-scores, kind="stable")
    candidates = [(int(index.passage_ids[row]), float(scores[row])) for row in order if scores[row] >= floor]
    found: list[RetrievedPassage] = []
    texts: set[str] = set()
    for passage, score in _read(candidates, limit * _PORTION):
        text = " ".join(passage.text.split()).casefold()
        if text in texts:
            continue
        texts.add(text)
        article = passage.article
        found.append(
            RetrievedPassage(
                passage.id, article.slug, article.title, passage.heading, passage.url, passage.text, min(score, 1.0)
            )
        )
        if len(found) == limit:
            break
    return found


def related_articles(article: Article, *, limit: int) -> list[Article]:
    """Published articles that say the most similar things; those of the same category where too few are indexed."""
    index = _cache.current()
    nearest = index.articles_near(article.pk)[:limit]
    found = Article.objects.filter(is_published=True).in_bulk(nearest)
    related = [found[key] for key in nearest if key in found]
    if len(related) < limit and article.category:
        same = Article.objects.filter(is_published=True, category=article.category)
        seen = [article.pk, *(one.pk for one in related)]
        related += same.exclude(pk__in=seen)[: limit - len(related)]
    return related


@dataclass(frozen=True, slots=True)
class _Index:
    """A snapshot: row i of `embeddings` [n, d] belongs to `passage_ids[i]` of `article_ids[i]`. Never changed."""

    version: tuple[Any, ...]
    passage_ids: NDArray[np.int64]
    article_ids: NDArray[np.int64]
    embeddings: NDArray[np.float32]

    def fits(self, query: NDArray[np.float32]) -> bool:
        if not len(self.passage_ids):
            return False
        if query.shape != (self.embeddings.shape[1],):
            logger.error(
                "the question's embedding has shape %s, the passages' %d numbers: they come from different encoders",
                *(query.shape, self.embeddings.shape[1]),
            )
            return False
        return True

    def articles_near(self, article_id: int) -> list[int]:
        """The other articles, those with the most similar mean embedding first."""
        ids, rows = np.unique(self.article_ids, return_inverse=True)
        if article_id not in ids:
            return []
        means = np.zeros((len(ids), self.embeddings.shape[1]), dtype=np.float32)
        np.add.at(means, rows, self.embeddings)
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        order = np.argsort(-(means @ means[ids == article_id][0]), kind="stable")
        return [int(ids[row]) for row in order if ids[row] != article_id]


class _Cache:
    """The process's snapshot, built anew when the passages have changed. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._index: _Index | None = None

    def current(self) -> _Index:
        version = _version()
        index = self._index
        if index is not None and index.version == version:
            return index
        with self._lock:  # threads that come meanwhile wait for one build instead of building their own
            if self._index is None or self._index.version != version:
                self._index = _build(version)
            return self._index


_cache = _Cache()


def _published() -> Any:
    return Passage.objects.filter(article__is_published=True)


def _version() -> tuple[Any, ...]:
    # Ids only ever grow, so replacing passages changes their sum, in whatever order transactions commit.
    counted = _published().aggregate(Count("id"), Sum("id"), Max("article__updated_at"))
    return tuple(counted.values())


def _build(version: tuple[Any, ...]) -> _Index:
    rows = list(_published().order_by("id").values_list("id", "article_id", "embedding", "encoder_digest"))
    # Where the encoder was changed, the passages it has not reached yet have embeddings of another space.
    digests = Counter(row[3] for row in rows)
    current = digests.most_common(1)[0][0] if digests else ""
    rows = [row for row in rows if row[3] == current]
    return _Index(
        version,
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
        np.stack([np.frombuffer(row[2], dtype="<f4") for row in rows]) if rows else np.zeros((0, 0), np.float32),
    )


def _read(candidates: list[tuple[int, float]], portion: int) -> Iterator[tuple[Passage, float]]:
    """The candidates as they stand in the database, without those that are no longer published."""
    for start in range(0, len(candidates), portion):
        scores = dict(candidates[start : start + portion])
        passages = _published().select_related("article").in_bulk(list(scores))
        yield from ((passages[key], score) for key, score in scores.items() if key in passages)
