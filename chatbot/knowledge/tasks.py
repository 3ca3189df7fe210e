"""Indexing in the background, on the maintenance queue. Running a task twice does nothing."""

from __future__ import annotations

import logging
from typing import Any

from celery import shared_task
from celery.signals import worker_ready

from chatbot.exceptions import FrontdeskError
from chatbot.knowledge import services
from chatbot.knowledge.encoders import current_encoder_digest
from chatbot.knowledge.models import Article, Passage

logger = logging.getLogger(__name__)


@shared_task
def index_article(article_id: int) -> None:
    """Make the passages of one article anew."""
    try:
        services.index_article(article_id=article_id)
    except FrontdeskError as error:
        logger.error("article %s was not indexed: %s", article_id, error)


@shared_task
def index_stale_articles() -> None:
    """Index whatever is not indexed by the encoder in use. Loads the encoder only where there is something to do."""
    try:
        foreign = Passage.objects.exclude(encoder_digest=current_encoder_digest())
        if Article.objects.stale().exists() or foreign.exists():
            logger.info("indexed %d articles", services.index_all())
    except FrontdeskError as error:
        logger.error("articles were not indexed: %s", error)


@worker_ready.connect
def catch_up(sender: Any, **_: Any) -> None:
    """When a worker of this queue starts: make good what no worker was told while the broker was away."""
    queue = sender.app.conf.task_default_queue
    if queue in sender.app.amqp.queues.consume_from:
        services.request_index()
