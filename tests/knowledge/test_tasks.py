from __future__ import annotations

import json
import logging
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
from celery import Celery
from django.conf import settings as django_settings

from chatbot.exceptions import ModelFilesError
from chatbot.knowledge import services, tasks
from chatbot.knowledge.models import Article
from tests.knowledge.conftest import WordCounter

Write = Callable[..., Article]
BODY = "## First\n\nOne two.\n"
DEAD_BROKER = "redis+socket:///nonexistent/valkey.sock?virtual_host=0"


@pytest.fixture
def queue(broker: Path) -> Callable[[], list[tuple[str, list[int]]]]:
    """Reads and empties the maintenance queue: the task names and arguments in it, oldest first."""
    client = redis.Redis(unix_socket_path=str(broker))
    client.delete("maintenance")

    def read() -> list[tuple[str, list[int]]]:
        messages = [json.loads(raw) for raw in reversed(client.lrange("maintenance", 0, -1))]
        client.delete("maintenance")
        return [(message["headers"]["task"], json.loads(b64decode(message["body"]))[0]) for message in messages]

    return read


def test_a_save_is_followed_by_an_index_task(write: Write, queue, django_capture_on_commit_callbacks) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        article = write("returns", BODY)
        assert queue() == []
    assert queue() == [("chatbot.knowledge.tasks.index_article", [article.pk])]


def test_a_save_that_changes_no_passage_asks_for_nothing(
    write: Write, queue, encoder: WordCounter, django_capture_on_commit_callbacks
) -> None:
    article = write("returns", BODY)
    services.index_all(encoder)
    article.refresh_from_db()
    article.summary = "New."
    with django_capture_on_commit_callbacks(execute=True):
        services.save_article(article=article)
    assert queue() == []


def test_names_of_the_tasks_are_those_that_are_sent() -> None:
    assert (tasks.index_article.name, tasks.index_stale_articles.name) == (
        services.INDEX_TASK,
        services.INDEX_STALE_TASK,
    )


def test_a_dead_broker_does_not_break_saving(
    write: Write, monkeypatch, django_capture_on_commit_callbacks, caplog
) -> None:
    dead = Celery("dead", broker=DEAD_BROKER, set_as_current=False)
    dead.config_from_object("django.conf:settings", namespace="CELERY")
    dead.conf.update(broker_url=DEAD_BROKER)
    monkeypatch.setattr(services, "current_app", dead)
    with caplog.at_level(logging.WARNING), django_capture_on_commit_callbacks(execute=True):
        article = write("returns", BODY)
    assert Article.objects.filter(pk=article.pk).exists()
    assert "the broker does not answer" in caplog.text


def test_tasks_index_with_the_encoder_of_the_process(write: Write, encoder: WordCounter, monkeypatch) -> None:
    monkeypatch.setattr(services, "load_encoder", lambda: encoder)
    monkeypatch.setattr(tasks, "current_encoder_digest", lambda: encoder.digest)
    first, second = write("first", BODY), write("second", BODY)
    tasks.index_article(first.pk)
    assert set(Article.objects.stale()) == {second}
    tasks.index_stale_articles()
    assert not Article.objects.stale().exists()


def test_nothing_stale_loads_no_encoder(write: Write, encoder: WordCounter, monkeypatch) -> None:
    write("first", BODY)
    services.index_all(encoder)
    monkeypatch.setattr(tasks, "current_encoder_digest", lambda: encoder.digest)
    monkeypatch.setattr(services, "load_encoder", lambda: pytest.fail("an encoder was loaded for nothing"))
    tasks.index_stale_articles()
    assert encoder.seen == ["First\nFirst\nOne two."]


def test_a_missing_model_becomes_a_log_line_and_a_reason(write: Write, monkeypatch, caplog, tmp_path: Path) -> None:
    def missing():
        raise ModelFilesError("the encoder's weights are missing", path=tmp_path / "model.safetensors")

    monkeypatch.setattr(services, "load_encoder", missing)
    article = write("first", BODY)
    tasks.index_article(article.pk)
    article.refresh_from_db()
    assert "python manage.py prepare_models" in article.index_error
    assert "was not indexed" in caplog.text


@pytest.mark.parametrize(("consumed", "sent"), [("maintenance", True), ("replies", False)])
def test_only_a_worker_of_this_queue_catches_up_when_it_starts(queue, consumed: str, sent: bool) -> None:
    app = Celery("worker", broker=django_settings.CELERY_BROKER_URL, set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.amqp.queues.select([consumed])
    tasks.catch_up(sender=SimpleNamespace(app=app))
    assert queue() == ([("chatbot.knowledge.tasks.index_stale_articles", [])] if sent else [])
