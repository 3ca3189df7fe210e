"""The publisher loop: order, coalescing, contiguous deltas, and a broker that is away."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from channels.layers import get_channel_layer
from pytest_django import Settings

from chatbot.conversations import streams
from chatbot.conversations.connections import connect
from chatbot.conversations.publisher import COALESCE_S, LONGEST_GAP_S, Publisher, coalescing_gap


class Ear:
    """Hears what is announced to groups, from the broker itself, in order."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._subscription = connect().pubsub(ignore_subscribe_messages=False)  # type: ignore[no-untyped-call]
        self._subscription.psubscribe("frontdesk__group__test.*")
        assert self._subscription.get_message(timeout=20)["type"] == "psubscribe"
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._closed.is_set():
            message = self._subscription.get_message(timeout=0.1)
            if message is None:
                continue
            group = message["channel"].decode().removeprefix("frontdesk__group__")
            with self._changed:
                self.heard.append({"group": group, **get_channel_layer().deserialize(message["data"])})
                self._changed.notify_all()

    def until(self, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        with self._changed:
            assert self._changed.wait_for(lambda: enough(self.heard), timeout=20)
            return list(self.heard)

    def close(self) -> None:
        self._closed.set()
        self._thread.join(20)
        self._subscription.close()


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear()
    yield ear
    ear.close()


@pytest.fixture
def publisher(ear: Ear) -> Iterator[Publisher]:
    publisher = Publisher()
    yield publisher
    publisher.close()


def text_of(heard: list[dict[str, Any]]) -> str:
    return "".join(message["text"] for message in heard if message["type"] == "conversation.delta")


def test_many_tokens_become_few_contiguous_deltas(publisher: Publisher, ear: Ear) -> None:
    turn_id = str(uuid.uuid4())
    writer = publisher.writer("test.group", turn_id, 1)
    tokens = [f"token{number} " for number in range(500)]
    for token in tokens:
        writer.write(token)
    heard = ear.until(lambda heard: text_of(heard) == "".join(tokens))
    assert [message["k"] for message in heard] == list(range(len(heard)))
    assert len(heard) < len(tokens) / 5
    with connect() as client:
        deltas = streams.read_deltas(client, turn_id, 1)
        assert "".join(delta.text for delta in deltas) == "".join(tokens)
        assert 0 < client.ttl(streams.stream_key(turn_id, 1)) <= streams.KEEP_S
        assert streams.read_deltas(client, turn_id, 1, from_k=len(deltas) - 1) == deltas[-1:]
        assert streams.read_deltas(client, turn_id, 2) == []


def test_an_event_comes_after_what_was_written_before_it_and_before_what_came_after(
    publisher: Publisher, ear: Ear
) -> None:
    writer = publisher.writer("test.group", str(uuid.uuid4()), 1)
    writer.write("before")
    publisher.send("test.group", {"type": "conversation.event"})
    writer.write("after")
    heard = ear.until(lambda heard: text_of(heard) == "beforeafter")
    kinds = [message.get("text", message["type"]) for message in heard]
    assert kinds == ["before", "conversation.event", "after"]


def test_turns_are_kept_apart(publisher: Publisher, ear: Ear) -> None:
    writers = [publisher.writer(f"test.group-{number}", str(uuid.uuid4()), 1) for number in range(8)]
    for piece in range(50):
        for number, writer in enumerate(writers):
            writer.write(f"{number}:{piece} ")
    heard = ear.until(lambda heard: len(text_of(heard)) == sum(len(f"{n}:{p} ") for n in range(8) for p in range(50)))
    for number in range(8):
        mine = [message for message in heard if message["group"] == f"test.group-{number}"]
        assert text_of(mine) == "".join(f"{number}:{piece} " for piece in range(50))


def test_a_dead_broker_costs_one_line_and_no_exception(
    ear: Ear, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    publisher = Publisher()
    writer = publisher.writer("test.group", str(uuid.uuid4()), 1)
    for _ in range(20):
        writer.write("lost")
    publisher.close()
    assert caplog.text.count("does not take announcements") == 1
    assert ear.heard == []


def test_text_that_the_broker_missed_is_followed_by_what_comes_later(
    publisher: Publisher, ear: Ear, settings: Settings
) -> None:
    writer = publisher.writer("test.group", turn_id := str(uuid.uuid4()), 1)
    address, settings.REDIS_URL = settings.REDIS_URL, "unix:///nowhere/valkey.sock"
    writer.write("lost")
    publisher.close()
    settings.REDIS_URL = address
    publisher.writer("test.group", turn_id, 1)
    writer.write("heard")
    assert [(message["k"], message["text"]) for message in ear.until(bool)] == [(1, "heard")]
    with connect() as client:
        assert 0 < client.ttl(streams.stream_key(turn_id, 1)) <= streams.KEEP_S


def test_a_broker_that_hung_up_on_a_kept_connection_costs_nothing(
    publisher: Publisher, ear: Ear, settings: Settings
) -> None:
    publisher.send("test.group", {"type": "first"})
    ear.until(lambda heard: len(heard) == 1)
    with redis.Redis.from_url(settings.REDIS_URL) as stranger:
        stranger.client_kill_filter(_type="normal", skipme=True)
    publisher.send("test.group", {"type": "second"})
    assert [message["type"] for message in ear.until(lambda heard: len(heard) == 2)] == ["first", "second"]


def test_the_gap_grows_with_the_replies_that_have_news_and_stays_below_what_looks_jerky() -> None:
    assert coalescing_gap(1) == coalescing_gap(8) == COALESCE_S
    assert coalescing_gap(16) == 2 * COALESCE_S
    assert coalescing_gap(200) == LONGEST_GAP_S


def test_close_sends_what_is_waiting_and_the_publisher_can_be_used_again(publisher: Publisher, ear: Ear) -> None:
    publisher.send("test.group", {"type": "first"})
    publisher.close()
    assert [message["type"] for message in ear.heard] == ["first"]
    publisher.send("test.group", {"type": "second"})
    ear.until(lambda heard: len(heard) == 2)
