"""Writing articles and keeping their passages in step with them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from celery import current_app
from django.core.exceptions import ValidationError
from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from chatbot.exceptions import ImportFailed
from chatbot.knowledge.chunking import Chunk, chunk_markdown
from chatbot.knowledge.encoders import TextEncoder, load_encoder
from chatbot.knowledge.models import Article, Passage

logger = logging.getLogger(__name__)

# By name, since tasks stand above everything that asks for them.
INDEX_TASK = "chatbot.knowledge.tasks.index_article"
INDEX_STALE_TASK = "chatbot.knowledge.tasks.index_stale_articles"

# Articles encoded together: a few hundred passages fill the encoder's batches and still let progress be seen.
ARTICLES_PER_BATCH = 64

Progress = Callable[[int, int], None]
"""Called with how many articles are done, and of how many."""


@dataclass(frozen=True, slots=True)
class ImportedArticles:
    """What an import did, by slug."""

    created: list[str]
    updated: list[str]
    unchanged: list[str]


def save_article(*, article: Article) -> Article:
    """Store the article and, once that is committed, have its passages made anew by a worker if they must be."""
    with transaction.atomic():
        article.save()
        if not article.is_indexed:
            transaction.on_commit(lambda: request_index(article.pk))
    return article


def request_index(article_id: int | None = None) -> bool:
    """Tell a worker to index the article, or all that are stale.

    False where the broker does not take it: the maintenance worker looks for stale articles when it starts.
    """
    task, arguments = (INDEX_STALE_TASK, []) if article_id is None else (INDEX_TASK, [article_id])
    try:
        current_app.send_task(task, args=arguments)
    except (OperationalError, RedisError, OSError) as error:
        logger.warning("no worker was told to index articles: the broker does not answer (%s)", error)
        return False
    return True


@transaction.atomic
def mark_stale(*, article_ids: Sequence[int]) -> int:
    """Forget that these articles were indexed, and have them indexed again. Returns how many."""
    count = Article.objects.filter(pk__in=article_ids).update(indexed_digest="", index_error="")
    transaction.on_commit(request_index)
    return count


def index_article(*, article_id: int, encoder: TextEncoder | None = None) -> None:
    """Make the article's passages anew from its text as it stands now. Does nothing where it no longer exists.

    What goes wrong is raised, and kept with the article for its editors.
    """
    while (article := Article.objects.filter(pk=article_id).first()) is not None:
        try:
            encoder = encoder or load_encoder()
            if _store(article, *_encode([article], encoder)[0], encoder):
                return
        except Exception as error:
            _note_failure([article], error)
            raise


def index_all(encoder: TextEncoder | None = None, progress: Progress | None = None) -> int:
    """Index every article whose passages do not follow from its text, or come from another encoder. Returns how many.

    What goes wrong is kept with the articles it concerns, and the last of it raised when the others are done.
    """
    try:
        encoder = encoder or load_encoder()
    except Exception as error:
        _note_failure(list(Article.objects.stale()), error)
        raise
    foreign = Passage.objects.exclude(encoder_digest=encoder.digest).values("article_id")
    waiting = list((Article.objects.stale() | Article.objects.filter(pk__in=foreign)).order_by("pk"))
    done = 0
    failure: Exception | None = None
    for batch in _batches(waiting, ARTICLES_PER_BATCH):
        try:
            for article, (chunks, embeddings) in zip(batch, _encode(batch, encoder), strict=True):
                # An article that was changed meanwhile has a task of its own.
                done += _store(article, chunks, embeddings, encoder)
        except Exception:
            # One by one, so that an article that can't be indexed does not take its neighbours with it.
            for article in batch:
                try:
                    index_article(article_id=article.pk, encoder=encoder)
                    done += 1
                except Exception as error:
                    failure = error
        if progress is not None:
            progress(done, len(waiting))
    if failure is not None:
        raise failure
    return done


def import_articles(*, directory: Path) -> ImportedArticles:
    """Create or update an article from every `SLUG.md` in the directory, and have them indexed.

    A file may begin with YAML between two `---` lines: title, summary, category, published. Without a title the
    file's name gives it. Articles that have no file are left alone.

    Raises:
        ImportFailed: a file can't be read; nothing was changed.
    """
    paths = sorted(directory.glob("*.md"))
    if not paths:
        raise ImportFailed(f"{directory}: there is no Markdown file in it.")
    result = ImportedArticles([], [], [])
    with transaction.atomic():
        for path in paths:
            _import(path, result)
        if result.created or result.updated:
            transaction.on_commit(request_index)
    return result


def _import(path: Path, result: ImportedArticles) -> None:
    fields = _read_article(path)
    article = Article.objects.filter(slug=path.stem).first()
    if article is not None and all(getattr(article, name) == value for name, value in fields.items()):
        result.unchanged.append(article.slug)
        return
    (result.created if article is None else result.updated).append(path.stem)
    article = article or Article(slug=path.stem)
    for name, value in fields.items():
        setattr(article, name, value)
    try:
        article.full_clean()
    except ValidationError as error:
        raise ImportFailed(f"{path}: {'; '.join(error.messages)}") from error
    article.save()


def _read_article(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ImportFailed(f"{path}: {error}") from error
    front: dict[str, Any] = {}
    body = text
    if text.startswith("---\n"):
        head, mark, body = text[4:].partition("\n---\n")
        if not mark:
            raise ImportFailed(f"{path}:1: the front matter has no closing “---” line.")
        try:
            front = yaml.safe_load(head) or {}
        except yaml.YAMLError as error:
            raise ImportFailed(f"{path}: the front matter is no YAML: {error}") from error
        if not isinstance(front, dict):
            raise ImportFailed(f"{path}:2: the front matter must consist of “name: value” lines.")
    return {
        "title": str(front.get("title") or path.stem.replace("-", " ").capitalize()),
        "summary": str(front.get("summary") or ""),
        "category": str(front.get("category") or ""),
        "is_published": bool(front.get("published", True)),
        "body": body.strip() + "\n",
    }


def _encode(articles: Sequence[Article], encoder: TextEncoder) -> list[tuple[list[Chunk], list[bytes]]]:
    """For each article its chunks and their embeddings, all of them encoded together."""
    chunked = [chunk_markdown(article.body) for article in articles]
    texts = [
        f"{article.title}\n{chunk.heading}\n{chunk.text}"
        for article, chunks in zip(articles, chunked, strict=True)
        for chunk in chunks
    ]
    rows = iter(encoder.encode(texts).astype("<f4")) if texts else iter(())
    return [(chunks, [row.tobytes() for row in islice(rows, len(chunks))]) for chunks in chunked]


@transaction.atomic
def _store(article: Article, chunks: Sequence[Chunk], embeddings: Sequence[bytes], encoder: TextEncoder) -> bool:
    """Replace the passages, unless the article was changed or deleted since it was read: False then."""
    current = Article.objects.select_for_update().filter(pk=article.pk).first()
    if current is None or current.content_digest() != article.content_digest():
        return False
    current.passages.all().delete()
    Passage.objects.bulk_create(
        Passage(
            article=current,
            position=position,
            heading=chunk.heading,
            anchor=chunk.anchor,
            text=chunk.text,
            embedding=embedding,
            encoder_digest=encoder.digest,
        )
        for position, (chunk, embedding) in enumerate(zip(chunks, embeddings, strict=True))
    )
    # Not save(): indexing is no edit, and must not move the article's date.
    digest = current.content_digest()
    Article.objects.filter(pk=current.pk).update(body_digest=digest, indexed_digest=digest, index_error="")
    return True


def _note_failure(articles: Sequence[Article], error: Exception) -> None:
    reason = f"{error}" or type(error).__name__
    keys = [article.pk for article in articles]
    Article.objects.filter(pk__in=keys).update(indexed_digest="", index_error=reason[:400])


def _batches(articles: Sequence[Article], size: int) -> Iterator[Sequence[Article]]:
    for start in range(0, len(articles), size):
        yield articles[start : start + size]
