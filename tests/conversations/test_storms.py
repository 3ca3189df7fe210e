"""Many at the same moment: everybody gets one answer, and what all of them stop leaves nothing behind in the engine."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.db.models import Count
from pytest_django import Settings

from chatbot.conversations import services
from chatbot.conversations.models import Turn
from chatbot.conversations.worker import ReplyWorker
from chatbot.exceptions import Conflict
from chatbot.inference.engines import Engine
from chatbot.releases.runtime import ServedModels

# The models, and an engine with a tiny model.
from .test_replies import engine, models, worker  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)

CROWD, STOPPING = 200, 60
PATIENCE_S = 120


@pytest.fixture(autouse=True)
def short_replies(settings: Settings) -> None:
    settings.REPLY_MAX_TOKENS, settings.MAX_QUEUED_TURNS, settings.MAX_WAIT_SECONDS = 6, 10_000, 10_000.0


def asked() -> Turn:
    """A question of a visitor of its own."""
    visitor = uuid.uuid4()
    conversation = services.start_conversation(visitor_id=visitor)
    turn = services.send_message(
        visitor_id=visitor, conversation_id=conversation.id, client_id="c-1", text="I want to cancel"
    ).turn
    assert turn is not None
    return turn


def all_together(works: Sequence[Callable[[], object]], threads: int) -> None:
    """Run all of it in so many threads, and raise what any of it raised."""

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(run, work) for work in works]:
            done.result(PATIENCE_S)


def assert_idle(engine: Engine) -> None:  # noqa: F811
    """The engine's reader may still be a moment behind the words that it has passed on."""
    until = time.monotonic() + 20
    while (stats := engine.stats()).running or stats.waiting:
        assert time.monotonic() < until, stats
        time.sleep(0.01)


def test_two_hundred_at_once_are_each_answered_once(worker: ReplyWorker, models: ServedModels) -> None:  # noqa: F811
    turns = [asked() for _ in range(CROWD)]
    # The nudges come in any order, and some come twice.
    nudged = [*reversed(turns), *turns[:20]]
    all_together([lambda turn=turn: worker.take(turn.id) for turn in nudged], threads=8)  # type: ignore[misc]
    ended = Turn.objects.annotate(replies=Count("reply")).values_list("status", "replies", "attempt")
    assert list(ended) == [("done", 1, 1)] * CROWD
    assert_idle(models.engine)


def test_a_storm_of_cancellations_leaves_no_open_turn_and_no_request_in_the_engine(
    worker: ReplyWorker,  # noqa: F811
    models: ServedModels,  # noqa: F811
) -> None:
    turns = [asked() for _ in range(STOPPING)]
    worker._stops.start()

    def stop(turn: Turn) -> None:
        try:
            services.cancel_turn(visitor_id=turn.conversation.visitor_id, turn_id=turn.id)
        except Conflict:
            pass  # it had been answered by then

    takes = [lambda turn=turn: worker.take(turn.id) for turn in turns]
    stops = [lambda turn=turn: stop(turn) for turn in reversed(turns)]
    try:
        all_together([work for pair in zip(takes, stops, strict=True) for work in pair], threads=12)
    finally:
        worker._stops.close()
    assert not Turn.objects.filter(status__in=Turn.OPEN).exists()
    assert not Turn.objects.annotate(replies=Count("reply")).filter(replies__gt=1).exists()
    assert_idle(models.engine)
