"""What load balancers, compose and Prometheus ask."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from chatbot.conversations.models import Conversation, Message, Turn, Visitor
from chatbot.conversations.presence import forget_workers
from chatbot.operations import readiness

pytestmark = pytest.mark.django_db(transaction=True)

PRESENCE = {
    "queue": "replies",
    "engine": "openvino",
    "classifier": "classifier-0001",
    "generator": "base",
    "host": "shop",
    "running": 3,
    "waiting": 1,
    "kv_use": 0.25,
}


@pytest.fixture
def worker(broker: Path) -> Iterator[None]:
    """A replies worker that has just announced itself."""
    with redis.Redis(unix_socket_path=str(broker)) as client:
        client.set("frontdesk:worker:test", json.dumps(PRESENCE), ex=15)
        yield
        client.delete("frontdesk:worker:test")


def test_the_process_answers_whatever_it_is_called(client: Client, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["shop.example"]
    settings.SECURE_SSL_REDIRECT = True
    answer = client.get("/healthz", headers={"host": "10.0.0.7"})
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert answer.headers["Cache-Control"] == "no-store"


def test_only_reading_is_allowed(client: Client) -> None:
    assert client.post("/healthz").status_code == 405


def test_ready_with_everything_there(client: Client, worker: None) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200, answer.content
    content = answer.json()
    assert content["ready"] is True
    assert set(content["checks"]) == {"database", "migrations", "broker", "replies_worker"}
    # Which machine a worker runs on is nobody's business.
    assert content["workers"] == [{"engine": "openvino", "classifier": "classifier-0001", "generator": "base"}]


def test_not_ready_without_a_worker(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    failing = {name for name, check in answer.json()["checks"].items() if not check["ok"]}
    assert failing == {"replies_worker"}


@pytest.mark.parametrize(
    ("problems", "ok", "detail"),
    [(["it cannot be reached"], False, "it cannot be reached"), (["it cannot be reached", ""], True, "")],
    ids=["every worker", "one of two"],
)
def test_not_ready_while_no_worker_reaches_its_model_server(
    client: Client, broker: Path, problems: list[str], ok: bool, detail: str
) -> None:
    with redis.Redis(unix_socket_path=str(broker)) as broker_client:
        keys = [f"frontdesk:worker:{number}" for number, _ in enumerate(problems)]
        for key, problem in zip(keys, problems, strict=True):
            broker_client.set(key, json.dumps({**PRESENCE, "problem": problem}), ex=15)
        answer = client.get("/readyz")
        broker_client.delete(*keys)
    assert answer.status_code == (200 if ok else 503)
    assert answer.json()["checks"]["replies_worker"] == {"ok": ok, "detail": detail}


def test_announcements_of_workers_of_an_earlier_run_are_forgotten(client: Client, worker: None) -> None:
    forget_workers()
    assert client.get("/readyz").json()["checks"]["replies_worker"]["ok"] is False


def test_not_ready_without_a_broker(client: Client, settings: Settings, tmp_path: Path) -> None:
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    checks = client.get("/readyz").json()["checks"]
    assert checks["broker"] == {"ok": False, "detail": "does not answer (ConnectionError)"}
    assert checks["replies_worker"]["ok"] is False
    assert checks["database"]["ok"] is True


def test_not_ready_without_a_database(client: Client, worker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise OperationalError("connection to server at db.internal failed for user frontdesk")

    monkeypatch.setattr(readiness, "_ask_database", refuse)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == {"ok": False, "detail": "does not answer (OperationalError)"}
    assert b"db.internal" not in answer.content


def test_a_database_that_hangs_does_not_hang_the_probe(
    client: Client, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "CHECK_TIMEOUT_S", 0.2)
    monkeypatch.setattr(readiness, "_ask_database", lambda: time.sleep(1.0))
    started = time.monotonic()
    checks = client.get("/readyz").json()["checks"]
    assert time.monotonic() - started < 0.9
    assert checks["database"] == {"ok": False, "detail": "no answer within 0.2 s"}


def test_waiting_migrations_are_counted(client: Client, worker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_schema_is_current", False)
    monkeypatch.setattr(readiness, "pending_migrations", lambda: 3)
    assert "3 migrations wait" in client.get("/readyz").json()["checks"]["migrations"]["detail"]


def metric(text: str, name: str, **labels: str) -> float:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    values = [value.value for value in samples if value.name == name and labels.items() <= value.labels.items()]
    assert len(values) == 1, f"{name}{labels}: {values}"
    return values[0]


def answered_turn(**fields: object) -> Turn:
    conversation = Conversation.objects.create(visitor=Visitor.objects.create())
    message = Message.objects.create(conversation=conversation, seq=1, role=Message.Role.CUSTOMER, text="?")
    defaults = {"conversation": conversation, "message": message, "number": 1, "next_nudge_at": timezone.now()}
    return Turn.objects.create(**(defaults | fields))


def test_metrics_tell_the_state_of_delivery(client: Client, worker: None) -> None:
    now = timezone.now()
    answered_turn(
        status=Turn.Status.DONE,
        action=Turn.Action.GENERATE,
        finished_at=now,
    )
    answered_turn(status=Turn.Status.DONE, finished_at=now - timedelta(hours=1))
    waiting = answered_turn()
    Turn.objects.filter(pk=waiting.pk).update(created_at=now - timedelta(seconds=40))
    client.get(f"/help/{uuid4()}/")
    text = client.get("/metrics").content.decode()
    assert metric(text, "frontdesk_turns_queued") == 1
    assert 40 <= metric(text, "frontdesk_turns_queued_oldest_seconds") < 100
    assert metric(text, "frontdesk_turns_recent", status="done", action="generate") == 1
    assert metric(text, "frontdesk_workers", queue="replies", engine="openvino") == 1
    engine = {"worker": "shop/1", "engine": "openvino"}
    assert metric(text, "frontdesk_engine_running_requests", **engine) == 3
    assert metric(text, "frontdesk_engine_waiting_requests", **engine) == 1
    assert metric(text, "frontdesk_engine_kv_cache_usage_ratio", **engine) == 0.25
    assert metric(text, "frontdesk_websockets_open") == 0
    assert "uuid" not in text


@pytest.mark.parametrize(
    ("token", "headers", "address", "status"),
    [
        ("", {}, "127.0.0.1", 200),
        ("", {}, "::1", 200),
        ("", {}, "203.0.113.9", 403),
        ("", {"x-forwarded-for": "203.0.113.9"}, "127.0.0.1", 403),
        ("secret", {"authorization": "Bearer secret"}, "203.0.113.9", 200),
        ("secret", {"authorization": "Bearer wrong"}, "127.0.0.1", 403),
        ("secret", {"authorization": "Bearer sécret"}, "127.0.0.1", 403),
        ("secret", {}, "127.0.0.1", 403),
    ],
)
def test_who_may_read_metrics(
    client: Client, settings: Settings, token: str, headers: dict[str, str], address: str, status: int
) -> None:
    settings.METRICS_TOKEN = token
    assert client.get("/metrics", headers=headers, REMOTE_ADDR=address).status_code == status
