"""The socket: real channel layer, real streams, real database; only the model is left out."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.core import signing
from django.db import OperationalError
from pytest_django import Settings

from chatbot.asgi import application
from chatbot.conversations import consumers, delivery, protocol, services, streams
from chatbot.conversations.channel_layer import GroupLoopLayer
from chatbot.conversations.connections import connect
from chatbot.conversations.delivery import Reply
from chatbot.conversations.desk import services as desk
from chatbot.conversations.desk.announcements import GROUP
from chatbot.conversations.events import group_name
from chatbot.conversations.handshake import SALT
from chatbot.conversations.models import Conversation, Message, Turn, Visitor
from chatbot.conversations.publisher import ReplyWriter, publisher
from chatbot.exceptions import LeaseLost

from .browser import Browser

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]

Frame = dict[str, Any]
# Generous: the machine may be busy. Nothing is asserted about how long things take.
PATIENCE_S = 20


class Page:
    """A connected page."""

    def __init__(self, communicator: WebsocketCommunicator) -> None:
        self.communicator = communicator
        self.browser = Browser()

    async def send(self, **frame: Any) -> None:
        await self.communicator.send_to(text_data=json.dumps(frame))

    async def receive(self) -> Frame:
        frame: Frame = json.loads(await self.communicator.receive_from(timeout=PATIENCE_S))
        if frame["type"] != "resync":
            self.browser.apply(frame)
        return frame

    async def until(self, kind: str) -> Frame:
        while True:
            frame = await self.receive()
            if frame["type"] == kind:
                return frame

    async def hello(self, **fields: Any) -> Frame:
        await self.send(type="hello", protocol=1, **fields)
        return await self.until("ready")

    async def ask(self, text: str = "How can I cancel?", client_id: str = "c-1") -> Frame:
        await self.send(type="message.send", client_id=client_id, text=text)
        return await self.until("message.accepted")


def headers(visitor: uuid.UUID, **extra: str) -> list[tuple[bytes, bytes]]:
    cookie = f"frontdesk_visitor={signing.TimestampSigner(salt=SALT).sign(str(visitor))}"
    return [(b"host", b"shop.example"), (b"cookie", cookie.encode())] + [
        (name.encode(), value.encode()) for name, value in extra.items()
    ]


@asynccontextmanager
async def page_of(visitor: uuid.UUID) -> AsyncIterator[Page]:
    communicator = WebsocketCommunicator(application, "/ws/chat/", headers(visitor, origin="http://shop.example"))
    connected, _ = await communicator.connect(timeout=PATIENCE_S)
    assert connected
    try:
        yield Page(communicator)
    finally:
        await communicator.disconnect()


@pytest.fixture
def visitor() -> uuid.UUID:
    return uuid.uuid4()


@pytest.fixture(autouse=True)
def no_rate_limit(settings: Settings) -> None:
    settings.RATE_SESSION_BURST = settings.RATE_ADDRESS_BURST = 10_000


claim: Callable[..., Any] = sync_to_async(delivery.claim_turn)
finish: Callable[..., Any] = sync_to_async(delivery.finish_turn)


def writer_of(turn: Turn) -> ReplyWriter:
    return publisher.writer(group_name(turn.conversation_id), str(turn.id), turn.attempt)


async def read_text(page: Page, text: str) -> None:
    """Until the page shows the provisional text."""
    while page.browser.live_text != text:
        await page.receive()


async def test_from_question_to_answer(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as page:
        ready = await page.hello()
        assert (ready["status"], ready["messages"], ready["seq"]) == ("bot", [], 0)
        accepted = await page.ask()
        turn = await claim(turn_id=uuid.UUID(accepted["turn"]), owner="worker")
        assert await page.receive() == {"type": "turn.started", "turn": accepted["turn"], "attempt": 1}
        writer = writer_of(turn)
        writer.write("Open ")
        writer.write("Account.")
        await read_text(page, "Open Account.")
        await finish(turn=turn, reply=Reply(text="Open Account.", quick_replies=["Talk to a person"]))
        finished = await page.until("reply.finished")
        assert finished["message"]["text"] == "Open Account."
        assert finished["message"]["quick_replies"] == ["Talk to a person"]


async def test_a_page_that_reloads_in_the_middle_sees_what_it_would_have_seen(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as staying:
        conversation = (await staying.hello())["conversation"]
        accepted = await staying.ask()
        turn = await claim(turn_id=uuid.UUID(accepted["turn"]), owner="worker")
        writer = writer_of(turn)
        writer.write("Open ")
        await read_text(staying, "Open ")
        async with page_of(visitor) as reloaded:
            ready = await reloaded.hello(conversation=conversation)
            assert ready["turn"]["text"] == "Open "
            assert (ready["turn"]["from"], ready["turn"]["k"]) == (0, 1)
            writer.write("Account.")
            await read_text(reloaded, "Open Account.")
            await read_text(staying, "Open Account.")
            await finish(turn=turn, reply=Reply(text="Open Account."))
            await reloaded.until("reply.finished")
            await staying.until("reply.finished")
            assert reloaded.browser.shown() == staying.browser.shown()


async def test_a_page_that_reconnects_gets_only_the_rest(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as staying:
        conversation = (await staying.hello())["conversation"]
        async with page_of(visitor) as leaving:
            await leaving.hello(conversation=conversation)
            accepted = await staying.ask()
            turn = await claim(turn_id=uuid.UUID(accepted["turn"]), owner="worker")
            writer = writer_of(turn)
            writer.write("Open ")
            await read_text(leaving, "Open ")
            kept = leaving.browser
        writer.write("Account.")
        await read_text(staying, "Open Account.")
        async with page_of(visitor) as page:
            page.browser = kept
            ready = await page.hello(conversation=conversation, after_seq=1, turn=str(turn.id), attempt=1, k=1)
            assert (ready["turn"]["from"], ready["turn"]["k"], ready["turn"]["text"]) == (1, 2, "Account.")
            assert page.browser.live_text == "Open Account."


async def test_a_second_attempt_starts_the_reply_again_and_the_stale_worker_is_not_heard(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as page:
        await page.hello()
        accepted = await page.ask()
        turn_id = uuid.UUID(accepted["turn"])
        stale = await claim(turn_id=turn_id, owner="a")
        stale_writer = writer_of(stale)
        stale_writer.write("Stale ")
        await read_text(page, "Stale ")
        await sync_to_async(delivery.release_turn)(turn=stale)
        fresh = await claim(turn_id=turn_id, owner="b")
        started = await page.until("turn.started")
        assert started["attempt"] == 2
        stale_writer.write("words")
        writer_of(fresh).write("Fresh words")
        await read_text(page, "Fresh words")
        await finish(turn=fresh, reply=Reply(text="Fresh words"))
        assert (await page.until("reply.finished"))["message"]["text"] == "Fresh words"


async def test_a_gap_is_filled_from_the_stream(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as page:
        await page.hello()
        accepted = await page.ask()
        turn = await claim(turn_id=uuid.UUID(accepted["turn"]), owner="worker")
        await page.until("turn.started")
        # Stored in the stream, never announced: as when the channel layer drops what is over its capacity.
        with connect() as client:
            pipeline = client.pipeline()
            for k, text in enumerate(["One ", "two "]):
                streams.append_command(pipeline, turn.id, 1, streams.Delta(k, text), expires=k == 0)
            pipeline.execute()
        writer = writer_of(turn)
        writer.next_k = 2
        writer.write("three")
        await read_text(page, "One two three")


async def test_a_gap_that_cannot_be_filled_asks_the_page_to_start_over(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as page:
        await page.hello()
        accepted = await page.ask()
        turn = await claim(turn_id=uuid.UUID(accepted["turn"]), owner="worker")
        await page.until("turn.started")
        writer = writer_of(turn)
        writer.next_k = 5
        writer.write("lost its beginning")
        assert await page.receive() == {"type": "resync"}
        # The snapshot ends at the same hole; asking again with every delta would be a storm.
        writer.write("and its middle")
        await finish(turn=turn, reply=Reply(text="the whole answer"))
        assert (await page.receive())["type"] == "reply.finished"


async def test_an_answer_whose_announcement_was_lost_arrives_all_the_same(
    visitor: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "WATCH_INTERVAL_S", 0.05)
    async with page_of(visitor) as page:
        await page.hello()
        accepted = await page.ask()
        turn = await claim(turn_id=uuid.UUID(accepted["turn"]), owner="worker")
        await page.until("turn.started")
        monkeypatch.setattr(publisher, "send", lambda *_: None)
        await finish(turn=turn, reply=Reply(text="answer"))
        assert (await page.until("reply.finished"))["message"]["text"] == "answer"


async def test_both_tabs_hear_of_a_message_and_the_sender_once(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as first, page_of(visitor) as second:
        conversation = (await first.hello())["conversation"]
        await second.hello(conversation=conversation)
        await first.ask()
        assert (await second.until("message.accepted"))["client_id"] == "c-1"
        await first.send(type="ping")
        assert (await first.receive())["type"] == "pong"


async def test_stop_reaches_the_conversation(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as page:
        await page.hello()
        accepted = await page.ask()
        await page.send(type="turn.cancel", turn=accepted["turn"])
        assert (await page.until("turn.cancelled"))["turn"] == accepted["turn"]
        await page.send(type="turn.cancel", turn=accepted["turn"])
        assert (await page.until("error"))["code"] == "conflict"


async def test_a_new_conversation_leaves_the_old_one_silent(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as page:
        first = (await page.hello())["conversation"]
        accepted = await page.ask()
        await page.send(type="conversation.new")
        second = (await page.until("ready"))["conversation"]
        assert second != first
        turn = await claim(turn_id=uuid.UUID(accepted["turn"]), owner="worker")
        await finish(turn=turn, reply=Reply(text="answer"))
        await page.send(type="ping")
        assert (await page.receive())["type"] == "pong"


async def test_an_event_of_the_conversation_just_left_is_not_shown_in_the_new_one(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as page:
        left = (await page.hello())["conversation"]
        layer = get_channel_layer()
        await page.send(type="conversation.new")
        await page.until("ready")
        # Delivered to the socket's own queue before it left the group, dispatched after.
        frame = {"type": "conversation.updated", "conversation": left, "status": "waiting"}
        message = {"type": "conversation.event", "conversation": left, "frame": frame, "except_channel": ""}
        for queue in layer.channels.values():
            queue.put_nowait(layer.serialize(message))
        await page.send(type="ping")
        assert (await page.receive())["type"] == "pong"


async def test_a_page_opens_while_the_broker_is_down_and_is_subscribed_once_it_is_back(
    visitor: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as outage:

        async def refuse(*_: Any) -> None:
            raise ConnectionError("connection refused")

        outage.setattr(GroupLoopLayer, "group_add", refuse)
        communicator = page_of(visitor)
        page = await communicator.__aenter__()
        conversation = (await page.hello())["conversation"]
    agent_text = "Hello, I am Kim."
    await sync_to_async(services.request_handoff)(visitor_id=visitor, conversation_id=uuid.UUID(conversation))
    await page.send(type="ping")
    assert (await page.receive())["type"] == "pong"
    assert await page.receive() == {"type": "resync"}
    ready = await page.hello(conversation=conversation)
    assert ready["status"] == "waiting"
    agent = await User.objects.acreate(username="kim")
    post = sync_to_async(desk.post_agent_message)
    await post(conversation_id=uuid.UUID(conversation), author=agent, text=agent_text)
    # The hand-off's own event may be published only after the page is back.
    while (await page.until("message.posted"))["message"]["text"] != agent_text:
        pass
    await communicator.__aexit__(None, None, None)


async def test_a_socket_that_is_gone_leaves_nothing_behind(visitor: uuid.UUID) -> None:
    layer = get_channel_layer()
    async with page_of(visitor) as page:
        await page.hello()
        assert len(layer.channels) == 1
        assert len(layer.groups) == 1
    assert (len(layer.channels), len(layer.groups)) == (0, 0)


async def test_a_person_is_asked_for_and_sent_away_again(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as page:
        await page.hello()
        await page.send(type="conversation.handoff")
        assert (await page.until("conversation.updated"))["status"] == "waiting"
        assert (await page.until("message.posted"))["message"]["role"] == "system"
        assert (await page.ask())["turn"] is None
        await page.send(type="conversation.return")
        assert (await page.until("conversation.updated"))["status"] == "bot"


async def test_nothing_of_a_running_reply_is_shown_after_the_hand_off(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as page, page_of(visitor) as fresh:
        conversation = (await page.hello())["conversation"]
        accepted = await page.ask()
        turn = await claim(turn_id=uuid.UUID(accepted["turn"]), owner="worker")
        writer = writer_of(turn)
        writer.write("Open ")
        await read_text(page, "Open ")
        await page.send(type="conversation.handoff")
        assert "message" not in await page.until("turn.cancelled")
        # A worker that has not heard of it yet goes on writing, and ends.
        writer.write("your orders")
        with pytest.raises(LeaseLost):
            await finish(turn=turn, reply=Reply(text="Open your orders"))
        await page.send(type="ping")
        while (frame := await page.receive())["type"] != "pong":
            assert frame["type"] not in ("turn.started", "reply.delta", "reply.finished")
        assert "turn" not in await fresh.hello(conversation=conversation)
        assert page.browser.live_text == ""
        # The hand-off's own message takes the way of the channel layer, which the pong does not.
        while len(page.browser.shown()[1]) < 2:
            await page.receive()
        assert [message["role"] for message in page.browser.shown()[1]] == ["customer", "system"]


async def test_who_waits_is_told_the_place_leaves_an_address_and_hears_who_comes(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as page:
        conversation = uuid.UUID((await page.hello())["conversation"])
        await page.ask()
        await page.send(type="conversation.handoff")
        assert (await page.until("conversation.updated"))["queue"] == {"place": 1, "open": True}
        await page.send(type="conversation.email", email="nobody")
        assert (await page.until("error"))["code"] == "invalid_address"
        await page.send(type="conversation.email", email=" ada@example.com ")
        assert (await page.until("conversation.updated"))["queue"]["email"] == "ada@example.com"
        # A lost announcement is made good with the next ping.
        await Conversation.objects.filter(pk=conversation).aupdate(contact_email="")
        await page.send(type="ping")
        assert "email" not in (await page.until("conversation.updated"))["queue"]
        agent = await User.objects.acreate(username="kim", first_name="Kim")
        await sync_to_async(desk.take_conversation)(conversation_id=conversation, agent=agent, assignment=1)
        assert (await page.until("conversation.updated"))["agent"] == {"name": "Kim"}
    async with page_of(visitor) as again:
        assert (await again.hello())["agent"] == {"name": "Kim"}


async def test_typing_is_told_to_the_inbox_alone_and_only_while_a_person_is_asked_for(visitor: uuid.UUID) -> None:
    layer = get_channel_layer()
    listener = await layer.new_channel()
    await layer.group_add(GROUP, listener)
    async with page_of(visitor) as page:
        conversation = (await page.hello())["conversation"]
        await page.send(type="typing")
        await page.send(type="conversation.handoff")
        await page.until("message.posted")
        for _ in range(3):
            await page.send(type="typing")
        while (told := await layer.receive(listener))["type"] != "desk.thread":
            pass
        assert told["frame"] == {"type": "customer.typing", "conversation": conversation}
        await page.send(type="ping")
        while (await page.receive())["type"] != "pong":
            pass
    await layer.drop_channel(listener)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ('{"type": "message.send", "client_id": "c", "text": "too early"}', "hello_required"),
        ('{"type": "hello", "protocol": 2}', "protocol"),
        ('{"type": "hello", "protocol": 1, "conversation": "0192c0de-0000-7000-8000-000000000001"}', "not_found"),
        ("nonsense", "invalid_json"),
    ],
)
async def test_bad_input_gets_one_error_and_the_socket_stays(visitor: uuid.UUID, frame: str, code: str) -> None:
    async with page_of(visitor) as page:
        await page.communicator.send_to(text_data=frame)
        assert (await page.receive())["code"] == code
        assert (await page.hello())["status"] == "bot"


async def test_five_bad_frames_in_a_row_close_the_socket(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as page:
        for _ in range(protocol.MAX_BAD_FRAMES - 1):
            await page.communicator.send_to(bytes_data=b"\x00")
            assert (await page.receive())["code"] == "binary"
        await page.send(type="ping")
        assert (await page.receive())["type"] == "pong"
        for _ in range(protocol.MAX_BAD_FRAMES):
            await page.communicator.send_to(text_data="{")
            assert (await page.receive())["code"] == "invalid_json"
        closed = await page.communicator.receive_output(timeout=PATIENCE_S)
        assert closed == {"type": "websocket.close", "code": protocol.CLOSE_BAD_FRAMES}


async def test_another_visitors_conversation_and_turn_do_not_exist(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as owner:
        conversation = (await owner.hello())["conversation"]
        accepted = await owner.ask()
        async with page_of(uuid.uuid4()) as stranger:
            await stranger.send(type="hello", protocol=1, conversation=conversation)
            assert (await stranger.receive())["code"] == "not_found"
            await stranger.hello()
            for frame in (
                {"type": "turn.cancel", "turn": accepted["turn"]},
                {"type": "turn.retry", "turn": accepted["turn"]},
                {"type": "message.rate", "message": accepted["message"]["id"], "rating": "up"},
            ):
                await stranger.send(**frame)
                assert (await stranger.receive())["code"] == "not_found"
        assert await Turn.objects.aget() == await Turn.objects.aget(status=Turn.Status.QUEUED)


async def test_the_rate_limit_says_when_to_try_again(visitor: uuid.UUID, settings: Settings) -> None:
    settings.RATE_SESSION_BURST = 1
    async with page_of(visitor) as page:
        await page.hello()
        await page.ask()
        await page.send(type="message.send", client_id="c-2", text="and another")
        refused = await page.receive()
        assert (refused["code"], refused["client_id"]) == ("rate_limited", "c-2")
        assert 0 < refused["retry_after"] <= 60 / settings.RATE_SESSION_PER_MINUTE
        assert await Message.objects.acount() == 1


async def test_a_dead_database_is_told_in_words_and_the_socket_stays(
    visitor: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise OperationalError("disk I/O error")

    async with page_of(visitor) as page:
        await page.hello()
        monkeypatch.setattr(services, "send_message", fail)
        await page.send(type="message.send", client_id="c-1", text="hello")
        refused = await page.receive()
        assert (refused["code"], refused["client_id"]) == ("unavailable", "c-1")
        assert "kept" in refused["detail"]
        assert "disk" not in refused["detail"]


async def test_a_dead_broker_does_not_keep_a_message_from_being_accepted(
    visitor: uuid.UUID, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with page_of(visitor) as page:
        await page.hello()
        settings.REDIS_URL = "unix:///nowhere/valkey.sock"
        accepted = await page.ask()
        assert await Turn.objects.filter(pk=accepted["turn"], status=Turn.Status.QUEUED).aexists()


@pytest.mark.parametrize(
    "handshake_headers",
    [
        [(b"host", b"shop.example")],
        [(b"host", b"shop.example"), (b"cookie", b"frontdesk_visitor=forged")],
        headers(uuid.uuid4(), origin="http://evil.example"),
        headers(uuid.uuid4(), origin="http://[shop.example"),
        [*headers(uuid.uuid4(), origin="http://shop.example"), (b"origin", b"http://evil.example")],
    ],
)
async def test_handshakes_without_cookie_or_from_elsewhere_are_refused(
    handshake_headers: list[tuple[bytes, bytes]],
) -> None:
    communicator = WebsocketCommunicator(application, "/ws/chat/", handshake_headers)
    connected, _ = await communicator.connect(timeout=PATIENCE_S)
    assert not connected
    assert not await Visitor.objects.aexists()


async def test_opening_the_page_again_returns_to_the_latest_open_conversation(visitor: uuid.UUID) -> None:
    async with page_of(visitor) as page:
        first = (await page.hello())["conversation"]
        await page.ask()
    async with page_of(visitor) as page:
        assert (await page.hello())["conversation"] == first
    agent = await User.objects.acreate(username="kim")
    await sync_to_async(desk.close_conversation)(conversation_id=uuid.UUID(first), agent=agent)
    async with page_of(visitor) as page:
        assert (await page.hello())["conversation"] != first
        assert await Conversation.objects.filter(visitor_id=visitor).acount() == 2
