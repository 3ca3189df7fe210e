"""Prometheus metrics: this process's own as they happen, those of the others read at scrape time."""

from __future__ import annotations

import logging
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from chatbot.conversations.models import Turn
from chatbot.conversations.presence import EngineUse, engines_in_use, live_workers
from chatbot.operations.turn_metrics import TurnCollector

logger = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_LATEST
# Gauges over a sliding window, since the turns live in the database and not in this process.
WINDOW = timedelta(minutes=15)

registry = CollectorRegistry()
ProcessCollector(namespace="frontdesk", registry=registry)
_requests = Histogram(
    "frontdesk_http_request_seconds",
    "HTTP requests by view, method and status.",
    ["view", "method", "status"],
    registry=registry,
)
_sockets = Gauge("frontdesk_websockets_open", "Chat sockets that this process holds.", registry=registry)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def observe_request(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    """Count one request. Labels come from our own names, so strangers can't make new ones."""
    match = request.resolver_match
    view = match.view_name or match.route if match is not None else "none"
    method = request.method if request.method in _METHODS else "other"
    _requests.labels(view, method, str(response.status_code)).observe(seconds)


def count_sockets(application: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Wrap the ASGI application of the chat sockets so that open ones are counted."""

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        with _sockets.track_inprogress():
            await application(scope, receive, send)

    return counted


class DeliveryCollector(Collector):
    """The state of delivery, from the database and the workers' announcements."""

    def collect(self) -> Iterable[Metric]:
        try:
            yield from self._from_database()
        except DatabaseError as error:
            logger.warning("metrics: the database does not answer: %s", error)
        finally:
            connection.close()
        try:
            yield from self._from_broker()
        except RedisError as error:
            logger.warning("metrics: the broker does not answer: %s", error)

    def _from_database(self) -> Iterator[Metric]:
        now = timezone.now()
        queued = Turn.objects.filter(status=Turn.Status.QUEUED).aggregate(count=Count("pk"), oldest=Min("created_at"))
        yield GaugeMetricFamily("frontdesk_turns_queued", "Turns that wait for a worker.", queued["count"])
        age = (now - queued["oldest"]).total_seconds() if queued["oldest"] else 0.0
        yield GaugeMetricFamily("frontdesk_turns_queued_oldest_seconds", "Age of the turn that waits longest.", age)
        running = Turn.objects.filter(status=Turn.Status.RUNNING).count()
        yield GaugeMetricFamily("frontdesk_turns_running", "Turns that a worker is answering.", running)

        recent = Turn.objects.filter(finished_at__gte=now - WINDOW, conversation__is_demo=False)
        ended = GaugeMetricFamily(
            "frontdesk_turns_recent", "Turns that ended in the last 15 minutes.", labels=["status", "action"]
        )
        for row in recent.order_by().values("status", "action").annotate(count=Count("pk")):
            ended.add_metric([row["status"], row["action"]], row["count"])
        yield ended
        replies = GaugeMetricFamily(
            "frontdesk_replies_recent", "Replies of the last 15 minutes by release.", labels=["classifier", "generator"]
        )
        releases = recent.filter(status=Turn.Status.DONE).order_by().values("classifier__name", "generator__name")
        for served in releases.annotate(count=Count("pk")):
            replies.add_metric([served["classifier__name"] or "", served["generator__name"] or ""], served["count"])
        yield replies

    def _from_broker(self) -> Iterator[Metric]:
        workers = GaugeMetricFamily("frontdesk_workers", "Live workers by what they serve.", labels=["queue", "engine"])
        alive = live_workers()
        served = Tally((str(worker.get("queue")), str(worker.get("engine"))) for worker in alive)
        for labels, count in served.items():
            workers.add_metric(labels, count)
        yield workers
        yield from _engine_gauges(engines_in_use(alive))


registry.register(DeliveryCollector())
registry.register(TurnCollector())


def render_metrics() -> bytes:
    """Everything in Prometheus's text format."""
    return generate_latest(registry)


def _engine_gauges(engines: list[EngineUse]) -> Iterator[Metric]:
    labels = ["worker", "engine"]
    running = GaugeMetricFamily(
        "frontdesk_engine_running_requests", "Replies that the engine writes right now.", labels=labels
    )
    waiting = GaugeMetricFamily(
        "frontdesk_engine_waiting_requests", "Replies that wait inside the engine for room.", labels=labels
    )
    kv_use = GaugeMetricFamily(
        "frontdesk_engine_kv_cache_usage_ratio", "Used share of the engine's key-value cache.", labels=labels
    )
    for engine in engines:
        values = [engine.worker, engine.engine]
        running.add_metric(values, engine.running)
        waiting.add_metric(values, engine.waiting)
        if engine.kv_use is not None:
            kv_use.add_metric(values, engine.kv_use)
    yield from (running, waiting, kv_use)
