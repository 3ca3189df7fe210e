"""Ten promotions of each kind while customers are being answered: no turn fails, none is answered by two releases."""

from __future__ import annotations

import gc
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from django.db import connection
from pytest_django import Settings

from chatbot.conversations import services
from chatbot.conversations.models import Message, Turn
from chatbot.conversations.worker import ReplyWorker
from chatbot.inference.classifier import FORMAT
from chatbot.intents.models import Intent
from chatbot.knowledge.models import Article, Passage
from chatbot.releases import runtime as runtime_module
from chatbot.releases.models import Kind, Release
from chatbot.releases.runtime import Runtime
from chatbot.releases.services import promote_release, store_release
from tests.releases.conftest import shelf
from tests.releases.shelf import ENCODER, trained_classifier
from tests.releases.tiny_generators import store_generator_writing

__all__ = ["shelf"]

# Every thread has a connection of its own.
pytestmark = pytest.mark.django_db(transaction=True)

SWAPS = 10
CUSTOMERS = 4
WAIT_S = 60
QUESTION = "cancel my order"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Each generator writes letters of its own, and each classifier has a temperature of its own: what was said tells who
# said it.
LETTERS = [ALPHABET[2 * number : 2 * number + 2] for number in range(SWAPS + 1)]


def store_classifier_at(temperature: float) -> Release:
    trained = trained_classifier()
    moved = replace(trained.classifier, temperature=temperature)
    return store_release(
        kind=Kind.CLASSIFIER,
        write=moved.save,
        base="words",
        configuration={"encoder_digest": ENCODER.digest, "format": FORMAT},
        metrics=trained.metrics,
    )


def confidence_at(temperature: float) -> float:
    moved = replace(trained_classifier().classifier, temperature=temperature)
    return round(moved.predict(ENCODER.encode([QUESTION]))[0].best.confidence, 4)


@pytest.fixture
def releases(shelf: Path) -> dict[str, list[Release]]:
    """So many of each kind that every promotion is of one that was never loaded."""
    generators = [
        store_generator_writing(shelf, letters, name=f"generator-{number:04d}")
        for number, letters in enumerate(LETTERS, start=1)
    ]
    classifiers = [store_classifier_at(1 + number / 4) for number in range(SWAPS + 1)]
    return {Kind.GENERATOR: generators, Kind.CLASSIFIER: classifiers}


@pytest.fixture
def worker(
    releases: dict[str, list[Release]], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ReplyWorker]:
    settings.KV_CACHE_MIB, settings.REPLY_STREAMS, settings.REPLY_MAX_TOKENS = 32, CUSTOMERS, 24
    # What the models write tells them apart; the guard would put the article's words in its place.
    settings.GROUNDEDNESS = "off"
    monkeypatch.setattr(runtime_module, "POLL_INTERVAL_S", 0.0)
    intent = Intent.objects.create(slug="cancel_order", name="Cancel an order", question=QUESTION)
    article = Article.objects.create(slug="cancel", title="Cancel an order", body="Open Account.")
    Passage.objects.create(
        article=article,
        position=0,
        heading=intent.name,
        anchor="how",
        text="Open Account, then Orders, then Cancel.",
        embedding=ENCODER.encode([QUESTION])[0].tobytes(),
        encoder_digest=ENCODER.digest,
    )
    for listed in releases.values():
        promote_release(release=listed[0], reason="first")
    runtime = Runtime.load()
    worker = ReplyWorker(runtime)
    yield worker
    worker.warmup.close()
    runtime.close()


class Customers:
    """Each asks again as soon as it was answered, until told to stop."""

    def __init__(self, worker: ReplyWorker) -> None:
        self._worker = worker
        self._stopped = threading.Event()
        self._answered = threading.Semaphore(0)
        self._ended = threading.Condition()

    def ask_on(self) -> None:
        try:
            visitor = uuid.uuid4()
            conversation = services.start_conversation(visitor_id=visitor)
            while not self._stopped.is_set():
                accepted = services.send_message(
                    visitor_id=visitor, conversation_id=conversation.id, client_id=uuid.uuid4().hex, text=QUESTION
                )
                assert accepted.turn is not None
                self._answer(accepted.turn)
                self._answered.release()
        finally:
            connection.close()

    def _answer(self, turn: Turn) -> None:
        """Nudge, and wait until the turn has ended: the nudge may bring another one, and another nudge this one."""
        self._worker.take(turn.id)
        open_turn = Turn.objects.filter(pk=turn.pk, status__in=Turn.OPEN)
        with self._ended:
            self._ended.notify_all()
            assert self._ended.wait_for(lambda: not open_turn.exists(), timeout=WAIT_S)

    def wait_for_answers(self, count: int) -> None:
        """So many from now on."""
        while self._answered.acquire(blocking=False):
            pass
        for _ in range(count):
            assert self._answered.acquire(timeout=WAIT_S)

    def leave(self) -> None:
        self._stopped.set()


def resident() -> int:
    """Bytes that this process and the engines' processes hold."""
    gc.collect()
    me = psutil.Process()
    return sum(process.memory_info().rss for process in [me, *me.children(recursive=True)])


def serve(worker: ReplyWorker, kind: Kind, release: Release) -> None:
    """Promote, and wait until this worker serves it."""
    promote_release(release=release, reason="better")
    runtime = worker.runtime
    for _ in range(100):
        runtime.refresh()
        runtime.wait(WAIT_S)
        models = runtime.models()
        served = models.classifier_release if kind == Kind.CLASSIFIER else models.generator_release
        if served.id == release.pk:
            return
    raise AssertionError(f"{release} is not served: {runtime.notes().refused}")


def settle(worker: ReplyWorker, settings: Settings) -> None:
    """Let go of what is kept, and wait until one engine's process is left besides the broker's."""
    for kind in Kind:
        with worker.runtime._lock:
            worker.runtime._let_go(kind)
    for _ in range(600):
        gc.collect()
        worker.runtime.refresh()
        engines = engine_processes()
        if len(engines) == 1:
            return
        psutil.wait_procs(engines, timeout=0.1)
    raise AssertionError("an engine that nobody uses is still there")


def engine_processes() -> list[psutil.Process]:
    """The engines' processes that live; one that has just ended has no command line to tell it by."""
    engines = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if "openvino_host" in " ".join(child.cmdline()):
                engines.append(child)
    return engines


def test_turns_under_swaps_are_each_answered_by_one_release_of_a_kind(
    worker: ReplyWorker, releases: dict[str, list[Release]], settings: Settings
) -> None:
    customers = Customers(worker)
    before = 0
    with ThreadPoolExecutor(CUSTOMERS) as pool:
        asking = [pool.submit(customers.ask_on) for _ in range(CUSTOMERS)]
        try:
            customers.wait_for_answers(3 * CUSTOMERS)
            for number in range(1, SWAPS + 1):
                for kind in (Kind.GENERATOR, Kind.CLASSIFIER):
                    serve(worker, kind, releases[kind][number])
                customers.wait_for_answers(2 * CUSTOMERS)
                if number == 1:
                    settle(worker, settings)
                    before = resident()
        finally:
            customers.leave()
        for each in asking:
            each.result(WAIT_S)
    settle(worker, settings)
    assert resident() < 1.1 * before

    wrote = {release.pk: letters for release, letters in zip(releases[Kind.GENERATOR], LETTERS, strict=True)}
    sure = {release.pk: confidence_at(1 + number / 4) for number, release in enumerate(releases[Kind.CLASSIFIER])}
    turns = list(Turn.objects.select_related("message"))
    assert {turn.status for turn in turns} == {Turn.Status.DONE}
    assert {turn.attempt for turn in turns} == {1}
    assert {turn.generator_id for turn in turns} == set(wrote)
    assert {turn.classifier_id for turn in turns} == set(sure)
    for turn in turns:
        reply = Message.objects.get(turn=turn)
        assert turn.generator_id is not None
        assert turn.classifier_id is not None
        assert set(reply.text) <= set(wrote[turn.generator_id]), turn
        assert turn.confidence is not None
        assert round(turn.confidence, 4) == sure[turn.classifier_id], turn
