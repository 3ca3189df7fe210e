from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from chatbot.exceptions import ClassifierError, ImportFailed
from chatbot.knowledge import services
from chatbot.knowledge.encoders import current_encoder_digest
from chatbot.knowledge.models import Article, Passage
from tests.knowledge.conftest import DIMENSION, WordCounter

Write = Callable[..., Article]
BODY = "## First\n\nOne two.\n\n## Second\n\nThree four.\n"


class Failing(WordCounter):
    """Cannot encode what mentions poison."""

    def encode(self, texts):
        if any("poison" in text for text in texts):
            raise ClassifierError("not finite")
        return super().encode(texts)


def test_indexing_stores_passages_with_title_and_heading_embedded(write: Write, encoder: WordCounter) -> None:
    article = write("returns", BODY, title="Returns")
    updated_at = article.updated_at
    services.index_article(article_id=article.pk, encoder=encoder)
    article.refresh_from_db()
    first, second = article.passages.all()
    assert (first.heading, first.anchor, first.text, first.url) == (
        *("First", "first", "One two."),
        "/help/returns/#first",
    )
    assert second.position == 1
    assert encoder.seen == ["Returns\nFirst\nOne two.", "Returns\nSecond\nThree four."]
    assert np.array_equal(np.frombuffer(first.embedding, "<f4"), encoder.encode([encoder.seen[0]])[0])
    assert len(first.embedding) == 4 * DIMENSION
    assert article.is_indexed
    assert article.updated_at == updated_at


@pytest.mark.parametrize("change", [{"body": "## Other\n\nFive."}, {"title": "New title"}])
def test_an_edit_makes_an_article_stale_and_replaces_its_passages(
    write: Write, encoder: WordCounter, change: dict[str, str]
) -> None:
    article = write("returns", BODY)
    services.index_article(article_id=article.pk, encoder=encoder)
    old = set(article.passages.values_list("pk", flat=True))
    for name, value in change.items():
        setattr(article, name, value)
    services.save_article(article=article)
    assert list(Article.objects.stale()) == [article]
    services.index_article(article_id=article.pk, encoder=encoder)
    assert not Article.objects.stale().exists()
    assert not old & set(article.passages.values_list("pk", flat=True))
    assert article.passages.count() == (1 if "body" in change else 2)


@pytest.mark.parametrize("fields", [["summary"], ["is_published"]])
def test_what_is_not_embedded_makes_nothing_stale(write: Write, encoder: WordCounter, fields: list[str]) -> None:
    article = write("returns", BODY)
    services.index_all(encoder)
    article.refresh_from_db()
    article.summary, article.is_published = "Changed.", False
    article.save(update_fields=fields)
    assert not Article.objects.stale().exists()


def test_an_edit_during_indexing_is_not_lost(write: Write) -> None:
    article = write("returns", BODY)

    class Interrupted(WordCounter):
        def encode(self, texts):
            if not self.seen:
                Article.objects.get(pk=article.pk)
                newer = Article.objects.get(pk=article.pk)
                newer.body = "## Newer\n\nText."
                newer.save()
            return super().encode(texts)

    services.index_article(article_id=article.pk, encoder=Interrupted())
    article.refresh_from_db()
    assert article.is_indexed
    assert [passage.heading for passage in article.passages.all()] == ["Newer"]


def test_indexing_a_deleted_article_does_nothing(db: None, encoder: WordCounter) -> None:
    services.index_article(article_id=987, encoder=encoder)
    assert not Passage.objects.exists()


def test_a_failure_is_kept_with_the_article_until_it_is_mended(write: Write, encoder: WordCounter) -> None:
    article = write("returns", BODY + "poison")
    with pytest.raises(ClassifierError):
        services.index_article(article_id=article.pk, encoder=Failing())
    article.refresh_from_db()
    assert (article.is_indexed, article.index_error) == (False, "not finite")
    services.index_article(article_id=article.pk, encoder=encoder)
    article.refresh_from_db()
    assert (article.is_indexed, article.index_error) == (True, "")


def test_index_all_does_what_is_stale_or_from_another_encoder(write: Write) -> None:
    write("a", BODY), write("b", BODY)
    progress: list[tuple[int, int]] = []
    assert services.index_all(WordCounter("old"), lambda done, total: progress.append((done, total))) == 2
    assert progress == [(2, 2)]
    assert services.index_all(WordCounter("old")) == 0
    assert services.index_all(WordCounter("new")) == 2
    assert set(Passage.objects.values_list("encoder_digest", flat=True)) == {"new"}


def test_one_bad_article_does_not_hold_up_the_others(write: Write) -> None:
    write("a", BODY), write("b", "poison"), write("c", BODY)
    with pytest.raises(ClassifierError):
        services.index_all(Failing())
    assert list(Article.objects.stale().values_list("slug", "index_error")) == [("b", "not finite")]


def test_marking_stale_forgets_index_and_failure(write: Write, encoder: WordCounter) -> None:
    article = write("a", BODY)
    services.index_all(encoder)
    assert services.mark_stale(article_ids=[article.pk]) == 1
    assert list(Article.objects.stale()) == [article]


def test_the_encoder_is_the_one_that_the_registry_loads(tmp_path: Path, settings) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    settings.ENCODER_MODEL = str(tmp_path)
    assert len(current_encoder_digest()) == 64


def article_file(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_import_creates_updates_and_leaves_alone(db: None, tmp_path: Path) -> None:
    article_file(tmp_path, "a-b", "---\ntitle: A & B\nsummary: About.\ncategory: Orders\n---\n\n## One\n\nText.\n")
    article_file(tmp_path, "plain-file", "Only text.")
    assert services.import_articles(directory=tmp_path).created == ["a-b", "plain-file"]
    article = Article.objects.get(slug="a-b")
    assert (article.title, article.summary, article.category, article.body) == (
        *("A & B", "About.", "Orders"),
        "## One\n\nText.\n",
    )
    assert Article.objects.get(slug="plain-file").title == "Plain file"
    article_file(tmp_path, "plain-file", "---\npublished: false\n---\nOther text.")
    result = services.import_articles(directory=tmp_path)
    assert (result.created, result.updated, result.unchanged) == ([], ["plain-file"], ["a-b"])
    assert not Article.objects.get(slug="plain-file").is_published


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("---\ntitle: x\n", "no closing"),
        ("---\ntitle: [\n---\nx", "no YAML"),
        ("---\n- x\n---\nx", "name: value"),
        ("---\ntitle: " + "x" * 201 + "\n---\nx", "200 characters"),
    ],
)
def test_a_bad_file_is_named_and_changes_nothing(db: None, tmp_path: Path, text: str, says: str) -> None:
    article_file(tmp_path, "a-good-one", "Fine.")
    bad = article_file(tmp_path, "bad", text)
    with pytest.raises(ImportFailed, match=says) as raised:
        services.import_articles(directory=tmp_path)
    assert str(bad) in str(raised.value)
    assert not Article.objects.exists()


def test_import_command_says_what_it_did(db: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="no Markdown file"):
        call_command("import_articles", tmp_path)
    article_file(tmp_path, "one", "Text.")
    call_command("import_articles", tmp_path)
    assert "1 created, 0 updated, 0 unchanged" in capsys.readouterr().out


def test_the_demo_shop_imports_and_its_links_lead_somewhere(db: None, settings) -> None:
    import re

    services.import_articles(directory=settings.BASE_DIR / "chatbot/operations/demo/articles")
    slugs = set(Article.objects.values_list("slug", flat=True))
    linked = {
        slug for body in Article.objects.values_list("body", flat=True) for slug in re.findall(r"/help/([\w-]+)", body)
    }
    assert len(slugs) >= 40
    assert linked <= slugs
