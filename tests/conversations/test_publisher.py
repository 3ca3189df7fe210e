"""The publisher loop: order, coalescing, contiguous deltas, and a broker that is away."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from chatbot.conversations import streams
from chatbot.conversations.publisher import Publisher


class Layer:
    """A channel layer's ear: what is sent to groups, in order."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.changed = threading.Condition()

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        with self.changed:
            self.heard.append({"group": group, **message})
            self.changed.notify_all()

    def until(self, enough: Any) -> list[dict[str, Any]]:
        with self.changed:
            assert self.changed.wait_for(lambda: enough(self.heard), timeout=20)
            return list(self.heard)


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> Layer:
    layer = Layer()
    monkeypatch.setattr("chatbot.conversations.publisher.get_channel_layer", lambda: layer)
    return layer


@pytest.fixture
def publisher(layer: Layer) -> Iterator[Publisher]:
    publisher = Publisher()
    yield publisher
    publisher.close()


def text_of(heard: list[dict[str, Any]]) -> str:
    return "".join(message["text"] for message in heard if message["type"] == "conversation.delta")


def test_many_tokens_become_few_contiguous_deltas(publisher: Publisher, layer: Layer) -> None:
    turn_id = str(uuid.uuid4())
    writer = publisher.writer("group", turn_id, 1)
    tokens = [f"token{number} " for number in range(500)]
    for token in tokens:
        writer.write(token)
    heard = layer.until(lambda heard: text_of(heard) == "".join(tokens))
    assert [message["k"] for message in heard] == list(range(len(heard)))
    assert len(heard) < len(tokens) / 5
    with streams.connect() as client:
        deltas = streams.read_deltas(client, turn_id, 1)
        assert "".join(delta.text for delta in deltas) == "".join(tokens)
        assert 0 < client.ttl(streams.stream_key(turn_id, 1)) <= streams.KEEP_S
        assert streams.read_deltas(client, turn_id, 1, from_k=len(deltas) - 1) == deltas[-1:]
        assert streams.read_deltas(client, turn_id, 2) == []


def test_an_event_comes_after_what_was_written_before_it_and_before_what_came_after(
    publisher: Publisher, layer: Layer
) -> None:
    writer = publisher.writer("group", str(uuid.uuid4()), 1)
    writer.write("before")
    publisher.send("group", {"type": "conversation.event"})
    writer.write("after")
    heard = layer.until(lambda heard: text_of(heard) == "beforeafter")
    kinds = [message.get("text", message["type"]) for message in heard]
    assert kinds == ["before", "conversation.event", "after"]


def test_turns_are_kept_apart(publisher: Publisher, layer: Layer) -> None:
    writers = [publisher.writer(f"group-{number}", str(uuid.uuid4()), 1) for number in range(8)]
    for piece in range(50):
        for number, writer in enumerate(writers):
            writer.write(f"{number}:{piece} ")
    heard = layer.until(lambda heard: len(text_of(heard)) == sum(len(f"{n}:{p} ") for n in range(8) for p in range(50)))
    for number in range(8):
        mine = [message for message in heard if message["group"] == f"group-{number}"]
        assert text_of(mine) == "".join(f"{number}:{piece} " for piece in range(50))


def test_a_dead_broker_costs_one_line_and_no_exception(
    layer: Layer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    publisher = Publisher()
    writer = publisher.writer("group", str(uuid.uuid4()), 1)
    for _ in range(20):
        writer.write("lost")
    publisher.close()
    assert caplog.text.count("does not take announcements") == 1
    assert layer.heard == []


def test_close_sends_what_is_waiting_and_the_publisher_can_be_used_again(publisher: Publisher, layer: Layer) -> None:
    publisher.send("group", {"type": "first"})
    publisher.close()
    assert [message["type"] for message in layer.heard] == ["first"]
    publisher.send("group", {"type": "second"})
    layer.until(lambda heard: len(heard) == 2)
