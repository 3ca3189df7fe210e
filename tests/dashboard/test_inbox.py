"""The inbox: who may open it, and its socket with a real broker and a real database."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from chatbot.asgi import application
from chatbot.conversations import services
from chatbot.conversations.desk import selectors as reads
from chatbot.conversations.desk import services as desk
from chatbot.conversations.models import Conversation
from chatbot.dashboard import inbox_consumer
from tests.conversations.test_desk import agent, ask, handed_over

PATIENCE_S = 20
Frame = dict[str, Any]


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


class Inbox:
    """An agent's page that is connected: what it has been told, and what follows from that."""

    def __init__(self, communicator: WebsocketCommunicator) -> None:
        self.communicator = communicator
        self.rows: dict[str, Frame] = {}
        self.messages: dict[str, Frame] = {}
        self.hands: Frame = {}

    async def send(self, **frame: Any) -> None:
        await self.communicator.send_to(text_data=json.dumps(frame, default=str))

    async def receive(self) -> Frame:
        frame: Frame = json.loads(await self.communicator.receive_from(timeout=PATIENCE_S))
        match frame["type"]:
            case "desk.ready":
                self.rows = {row["conversation"]: row for row in frame["rows"]}
            case "desk.row":
                self.rows[frame["row"]["conversation"]] = frame["row"]
            case "desk.gone":
                self.rows.pop(frame["conversation"], None)
            case "thread.ready":
                self.messages |= {message["id"]: message for message in frame["messages"]}
                self.hands = {name: frame.get(name) for name in ("status", "assignment", "assignee", "email")}
            case "thread.updated":
                self.hands = {name: frame.get(name) for name in ("status", "assignment", "assignee", "email")}
            case "thread.message":
                self.messages[frame["message"]["id"]] = self.messages.get(frame["message"]["id"], {}) | frame["message"]
        return frame

    async def until(self, kind: str, holds: Callable[[Frame], bool] = lambda _: True) -> Frame:
        while True:
            frame = await self.receive()
            if frame["type"] == kind and holds(frame):
                return frame

    async def open(self, conversation: Conversation) -> Frame:
        await self.send(type="thread.open", conversation=conversation.pk)
        return await self.until("thread.ready")


def socket_of(client: Client, origin: str = "http://shop.example") -> WebsocketCommunicator:
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    headers = [(b"host", b"shop.example"), (b"origin", origin.encode()), (b"cookie", cookies.encode())]
    return WebsocketCommunicator(application, "/ws/inbox/", headers)


@asynccontextmanager
async def inbox_of(client: Client) -> AsyncIterator[Inbox]:
    communicator = socket_of(client)
    connected, _ = await communicator.connect(timeout=PATIENCE_S)
    assert connected
    inbox = Inbox(communicator)
    await inbox.send(type="desk.hello", protocol=1)
    await inbox.until("desk.ready")
    yield inbox
    await communicator.disconnect()


@pytest.fixture
def kim(transactional_db: None) -> User:
    return agent("kim", first_name="Kim")


@pytest.fixture
def sam(transactional_db: None) -> User:
    return agent("sam", first_name="Sam")


def waiting_customer() -> Conversation:
    conversation = services.start_conversation(visitor_id=uuid.uuid4())
    ask(conversation, "Where is my parcel?")
    return handed_over(conversation)


# --- Who may ------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("group", [None, "operator"])
def test_only_the_support_team_opens_it(group: str | None) -> None:
    assert Client().get(reverse("dashboard:inbox")).status_code == 302
    assert client_of(agent("other", group=group)).get(reverse("dashboard:inbox")).status_code == 403


@pytest.mark.asyncio
@pytest.mark.parametrize("group", [None, "operator"])
async def test_the_socket_is_closed_to_everybody_else(transactional_db: None, group: str | None) -> None:
    other = await sync_to_async(agent)("other", group=group)
    client = await sync_to_async(client_of)(other)
    for visitor in (client, Client()):
        socket = socket_of(visitor)
        await socket.connect(timeout=PATIENCE_S)
        closed = {"type": "websocket.close", "code": inbox_consumer.REFUSED}
        assert await socket.receive_output(timeout=PATIENCE_S) == closed


@pytest.mark.asyncio
async def test_it_is_refused_to_pages_of_other_origins(kim: User) -> None:
    client = await sync_to_async(client_of)(kim)
    assert await socket_of(client, "http://evil.example").connect(timeout=PATIENCE_S) == (False, 4403)


@pytest.mark.asyncio
@pytest.mark.parametrize("end", ["permission", "account", "session"])
async def test_who_loses_the_right_loses_it_with_the_next_command(kim: User, end: str) -> None:
    client = await sync_to_async(client_of)(kim)
    conversation = await sync_to_async(waiting_customer)()
    async with inbox_of(client) as inbox:

        def revoke() -> None:
            if end == "permission":
                kim.groups.remove(Group.objects.get(name="support"))
            elif end == "account":
                User.objects.filter(pk=kim.pk).update(is_active=False)
            else:
                client.logout()

        await sync_to_async(revoke)()
        await inbox.send(type="conversation.take", conversation=conversation.pk, assignment=1)
        # The waiting customer may be announced before the command is read.
        while (output := await inbox.communicator.receive_output(timeout=PATIENCE_S))["type"] == "websocket.send":
            pass
        assert output == {"type": "websocket.close", "code": inbox_consumer.REFUSED}
    await conversation.arefresh_from_db()
    assert conversation.status == "waiting"


# --- Live -----------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_customer_appears_is_taken_answered_and_given_back(kim: User) -> None:
    client = await sync_to_async(client_of)(kim)
    async with inbox_of(client) as inbox:
        conversation = await sync_to_async(waiting_customer)()
        key = str(conversation.pk)
        assert (await inbox.until("desk.row"))["row"]["status"] == "waiting"
        ready = await inbox.open(conversation)
        assert ready["messages"][0]["text"] == "Where is my parcel?"

        await inbox.send(type="conversation.take", conversation=key, assignment=ready["assignment"])
        hands = await inbox.until("thread.updated", lambda frame: frame["status"] == "human")
        assert hands["assignee"] == {"id": kim.pk, "name": "Kim"}
        await inbox.send(
            type="message.send", conversation=key, assignment=hands["assignment"], client_id="a-1", text="Hello!"
        )
        sent = await inbox.until("thread.message", lambda frame: frame["message"].get("client_id") == "a-1")
        assert (sent["message"]["role"], sent["message"]["author"]) == ("agent", "Kim")

        await sync_to_async(ask)(conversation, "Thank you!")
        await inbox.until("thread.message", lambda frame: frame["message"]["text"] == "Thank you!")
        while inbox.rows[key]["unread"] != 1:
            await inbox.receive()
        await inbox.send(type="thread.seen", conversation=key, seq=99)
        while inbox.rows[key]["unread"]:
            await inbox.receive()

        await inbox.send(type="conversation.return", conversation=key, assignment=hands["assignment"])
        await inbox.until("desk.gone")
        assert inbox.rows == {}


@pytest.mark.asyncio
async def test_what_the_page_was_told_equals_what_a_fresh_one_is_told(kim: User, sam: User) -> None:
    """Through takes, texts, an address, closings; and a page that was away catches up from where it was."""
    client = await sync_to_async(client_of)(kim)
    async with inbox_of(client) as inbox, inbox_of(client) as away:
        first, second = [await sync_to_async(waiting_customer)() for _ in range(2)]
        await inbox.open(first)
        await away.open(first)
        seen = max(message["seq"] for message in away.messages.values())
        await away.send(type="thread.leave")

        def happen() -> None:
            services.leave_email(visitor_id=first.visitor_id, conversation_id=first.pk, email="ada@example.com")
            desk.take_conversation(conversation_id=first.pk, agent=sam, assignment=1)
            desk.post_agent_message(conversation_id=first.pk, author=sam, text="Hello", assignment=2)
            ask(first, "Hi Sam")
            desk.close_conversation(conversation_id=second.pk, agent=sam)

        await sync_to_async(happen)()
        snapshot = await sync_to_async(reads.thread_snapshot)(first.pk)
        assert snapshot is not None
        fresh = {row["conversation"]: row for row in await sync_to_async(reads.desk_rows)()}
        while inbox.rows != fresh or len(inbox.messages) < len(snapshot["messages"]):
            await inbox.receive()
        shown = sorted(inbox.messages.values(), key=lambda message: message["seq"])
        bare = [{**message, "turn": None} for message in snapshot["messages"]]
        assert [{**message, "turn": None} for message in shown] == bare
        while inbox.hands["assignment"] != snapshot["assignment"]:
            await inbox.receive()
        assert inbox.hands == {name: snapshot.get(name) for name in inbox.hands}

        await away.send(type="thread.open", conversation=first.pk, after_seq=seen)
        await away.until("thread.ready", lambda frame: frame["seq"] == snapshot["seq"])
        assert away.messages.keys() == inbox.messages.keys()


@pytest.mark.asyncio
async def test_a_second_agent_is_told_who_has_it_and_a_note_stays_among_staff(kim: User, sam: User) -> None:
    kims, sams = await sync_to_async(client_of)(kim), await sync_to_async(client_of)(sam)
    conversation = await sync_to_async(waiting_customer)()
    async with inbox_of(kims) as one, inbox_of(sams) as two:
        await one.until("desk.agents", lambda frame: sum(agent["online"] for agent in frame["agents"]) == 2)
        await one.open(conversation)
        await two.open(conversation)
        await one.send(type="conversation.take", conversation=conversation.pk, assignment=1)
        await two.until("thread.updated", lambda frame: frame["assignee"]["name"] == "Kim")
        await two.send(
            type="message.send", conversation=conversation.pk, assignment=1, client_id="s-1", text="I am quicker"
        )
        refused = await two.until("error")
        assert (refused["code"], refused["client_id"]) == ("hands_changed", "s-1")
        assert refused["detail"].startswith("Kim has this conversation now.")
        await two.send(type="note.add", conversation=conversation.pk, client_id="n-1", text="Leave it to Kim.")
        assert (await one.until("note.added"))["note"]["author"] == "Sam"
        await one.send(type="typing", conversation=conversation.pk)
        assert (await two.until("agent.typing"))["name"] == "Kim"
    assert await conversation.messages.filter(role="agent").acount() == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("nonsense", "invalid_json"),
        ('{"type": "conversation.handoff"}', "unknown_type"),
        ('{"type": "thread.open", "conversation": "0192c0de-0000-7000-8000-000000000001"}', "not_found"),
        (
            '{"type": "conversation.take", "conversation": "0192c0de-0000-7000-8000-000000000001", "assignment": 0}',
            "not_found",
        ),
    ],
)
async def test_bad_input_gets_one_error_and_the_socket_stays(kim: User, frame: str, code: str) -> None:
    client = await sync_to_async(client_of)(kim)
    async with inbox_of(client) as inbox:
        await inbox.communicator.send_to(text_data=frame)
        assert (await inbox.until("error"))["code"] == code
        await inbox.send(type="ping")
        await inbox.until("pong")
