"""The inbox's end of the websocket: who is allowed, what they asked for, and what they have not been told yet."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any
from uuid import UUID

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.models import AbstractBaseUser
from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from chatbot.conversations.consumers import in_database
from chatbot.conversations.desk import presence, protocol, selectors
from chatbot.conversations.desk.announcements import GROUP, announce_agents
from chatbot.conversations.events import group_name
from chatbot.conversations.protocol import (
    CLOSE_BAD_FRAMES,
    MAX_BAD_FRAMES,
    VERSION,
    BadFrame,
    Ping,
    encode,
    error,
)
from chatbot.conversations.publisher import publisher
from chatbot.conversations.selectors import last_seq
from chatbot.conversations.standing import named
from chatbot.dashboard.inbox_commands import COMMANDS, answer
from chatbot.exceptions import NotFound, Refused

logger = logging.getLogger(__name__)

REFUSED = 4403
# The agent is announced again, and everything is looked at again, in case an announcement was lost.
LOOK_AGAIN_S = 15.0
# A page says at most every few seconds that its agent is typing; what comes faster is not passed on.
TYPING_GAP_S = 1.0
UNAVAILABLE = "The database does not answer right now. Nothing was done; try again in a moment."
# What a conversation's pages are told that brings a message.
_BRING_MESSAGES = ("message.accepted", "message.posted", "reply.finished", "turn.cancelled")


class InboxConsumer(AsyncWebsocketConsumer):
    """One page of an agent: the list of conversations, and the one that is open."""

    looking: asyncio.Task[None] | None = None
    agent_id: int | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # What is read is compared and told before anything else is read, and no look puts back a thread that was left.
        self.one_at_a_time = asyncio.Lock()
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Also where the socket died under something that was being sent, of which `disconnect` is never told.
            if self.looking is not None:
                self.looking.cancel()
            await self.channel_layer.drop_channel(self.channel_name)
            if self.agent_id is not None:
                await in_database(presence.withdraw)(self.channel_name, self.agent_id)
                announce_agents()

    async def dispatch(self, message: dict[str, Any]) -> None:
        # Without the base's check for old database connections, which would cost a thread for every word.
        handler = getattr(self, get_handler_name(message), None)
        if handler is not None:
            async with self.one_at_a_time:
                await handler(message)

    async def connect(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.thread: dict[str, Any] | None = None
        self.agents: list[dict[str, Any]] = []
        self.seen_seq = 0
        self.bad_frames = 0
        self.typed_at = 0.0
        await self.accept()
        if await self._current_agent() is None:
            await self.close(REFUSED)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            frame = protocol.parse(text_data, bytes_data)
            if self.agent_id is None and not isinstance(frame, protocol.DeskHello | Ping):
                raise BadFrame("hello_required", "Say hello first.", getattr(frame, "client_id", None))
        except BadFrame as problem:
            self.bad_frames += 1
            await self._send(error(problem.code, problem.detail, problem.client_id))
            if self.bad_frames >= MAX_BAD_FRAMES:
                await self.close(CLOSE_BAD_FRAMES)
            return
        self.bad_frames = 0
        about = {"conversation": str(frame.conversation)} if hasattr(frame, "conversation") else {}
        client_id = getattr(frame, "client_id", None)
        try:
            # On every command: the account may have been closed, or lost its permission, since the page was opened.
            agent = await self._current_agent()
            if agent is None:
                await self.close(REFUSED)
                return
            await self._carry_out(agent, frame)
        except Refused as refusal:
            await self._send(error(refusal.code, str(refusal), client_id, refusal.retry_after) | about)
        except DatabaseError as problem:
            logger.error("the database does not answer: %s", problem)
            await self._send(error("unavailable", UNAVAILABLE, client_id) | about)

    async def _current_agent(self) -> AbstractBaseUser | None:
        """The account, if it may answer customers and has not signed out."""
        user, session = self.scope["user"], self.scope["session"]

        def read() -> AbstractBaseUser | None:
            if user.pk is None or not session.exists(session.session_key):
                return None
            return selectors.current_agent(user.pk)

        return await in_database(read)()

    async def _carry_out(self, agent: AbstractBaseUser, frame: protocol.DeskFrame) -> None:
        match frame:
            case Ping():
                await self._send({"type": "pong"})
                await self._catch_up()
            case protocol.DeskHello():
                await self._welcome(agent, frame)
            case protocol.OpenThread():
                await self._open(frame.conversation, frame.after_seq)
            case protocol.LeaveThread():
                await self._leave()
            case protocol.AgentTyping():
                self._type(agent, frame.conversation)
            case protocol.Answer():
                message = await in_database(answer)(agent, frame)
                # The page learns here that it has arrived, also where it had arrived before.
                await self._send(
                    {"type": "thread.message", "conversation": str(frame.conversation), "message": message}
                )
            case _:
                await in_database(COMMANDS[type(frame)])(agent, frame)

    # --- The list: subscribe first, then look -----------------------------------------------------

    async def _welcome(self, agent: AbstractBaseUser, frame: protocol.DeskHello) -> None:
        if frame.protocol != VERSION:
            await self._send(error("protocol", f"This server speaks protocol {VERSION}. Reload the page."))
            return
        self.agent_id = agent.pk
        await self._subscribe(GROUP)
        if await in_database(presence.announce)(self.channel_name, agent.pk):
            announce_agents()
        rows = await in_database(selectors.desk_rows)()
        self.rows = {row["conversation"]: row for row in rows}
        self.agents = await in_database(_agents)()
        ready = {
            "type": "desk.ready",
            "protocol": VERSION,
            "me": selectors.agent_payload(agent),
            "agents": self.agents,
            "rows": rows,
            "canned": await in_database(selectors.canned_replies)(),
        }
        await self._send(ready)
        if self.looking is None:
            self.looking = asyncio.create_task(self._look_again())

    async def desk_changed(self, message: dict[str, Any]) -> None:
        """Something about this conversation has changed."""
        try:
            await self._look_at(message["conversation"])
        except DatabaseError as problem:
            logger.error("the database does not answer: %s", problem)

    async def desk_thread(self, message: dict[str, Any]) -> None:
        """Something that only staff who have the conversation open are told."""
        if self.thread is not None and message["conversation"] == self.thread["conversation"]:
            await self._send(message["frame"])

    async def desk_agents(self, message: dict[str, Any]) -> None:
        """Somebody came or left."""
        await self._look_at_agents()

    async def _look_at(self, conversation: str) -> None:
        rows = await in_database(selectors.desk_rows)([UUID(conversation)])
        await self._tell_row(conversation, rows[0] if rows else None)
        if self.thread is not None and conversation == self.thread["conversation"]:
            state = await in_database(selectors.thread_state)(UUID(conversation))
            if state is None:
                await self._send({"type": "thread.gone", "conversation": conversation})
                self.thread = None
            elif state != self.thread:
                self.thread = state
                await self._send({"type": "thread.updated", **state})

    async def _tell_row(self, conversation: str, row: dict[str, Any] | None) -> None:
        if row is None:
            if self.rows.pop(conversation, None) is not None:
                await self._send({"type": "desk.gone", "conversation": conversation})
        elif row != self.rows.get(conversation):
            self.rows[conversation] = row
            await self._send({"type": "desk.row", "row": row})

    async def _look_at_agents(self) -> None:
        agents = await in_database(_agents)()
        if agents != self.agents:
            self.agents = agents
            await self._send({"type": "desk.agents", "agents": agents})

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            try:
                async with self.one_at_a_time:
                    if await self._current_agent() is None:
                        await self.close(REFUSED)
                        return
                    assert self.agent_id is not None
                    await in_database(presence.announce)(self.channel_name, self.agent_id)
                    await self._catch_up()
                    await self._look_at_agents()
            except DatabaseError as problem:
                logger.error("the database does not answer: %s", problem)

    async def _catch_up(self) -> None:
        """Tell whatever an announcement should have told."""
        if self.agent_id is None:
            return
        await self._subscribe(GROUP)
        rows = {row["conversation"]: row for row in await in_database(selectors.desk_rows)()}
        for conversation in self.rows.keys() | rows.keys():
            await self._tell_row(conversation, rows.get(conversation))
        if self.thread is not None:
            conversation = self.thread["conversation"]
            await self._subscribe(group_name(conversation))
            await self._look_at(conversation)
            if await in_database(last_seq)(UUID(conversation)) > self.seen_seq:
                await self._open(UUID(conversation), self.seen_seq)

    # --- One conversation -------------------------------------------------------------------------

    async def _open(self, conversation_id: UUID, after_seq: int) -> None:
        await self._leave()
        await self._subscribe(group_name(conversation_id))
        ready = await in_database(selectors.thread_snapshot)(conversation_id, after_seq=after_seq)
        if ready is None:
            raise NotFound("This conversation does not exist.")
        self.thread = selectors.state_in(ready)
        self.seen_seq = ready["seq"]
        await self._send({"type": "thread.ready", **ready})

    async def _leave(self) -> None:
        if self.thread is None:
            return
        group = group_name(self.thread["conversation"])
        self.thread = None
        try:
            await self.channel_layer.group_discard(group, self.channel_name)
        except (RedisError, OSError):
            logger.debug("an inbox could not unsubscribe: the broker does not answer")

    async def conversation_event(self, message: dict[str, Any]) -> None:
        """What the customer's pages are told; a message of it concerns the inbox too."""
        frame, conversation = message["frame"], message["conversation"]
        if self.thread is None or conversation != self.thread["conversation"]:
            return
        if frame["type"] in _BRING_MESSAGES and frame.get("message"):
            await self._send({"type": "thread.message", "conversation": conversation, "message": frame["message"]})
        elif frame["type"] == "agent.typing" and message["except_channel"] != self.channel_name:
            await self._send({**frame, "conversation": conversation})

    async def conversation_delta(self, message: dict[str, Any]) -> None:
        """The bot is writing; the inbox shows what it has written once it is finished."""

    def _type(self, agent: AbstractBaseUser, conversation_id: UUID) -> None:
        now = time.monotonic()
        holder = self.thread and self.thread["conversation"] == str(conversation_id) and self.thread["assignee"]
        if not holder or holder["id"] != agent.pk or now - self.typed_at < TYPING_GAP_S:
            return
        self.typed_at = now
        publisher.send(
            group_name(conversation_id),
            {
                "type": "conversation.event",
                "conversation": str(conversation_id),
                "frame": {"type": "agent.typing", **named(agent, "name")},
                "except_channel": self.channel_name,
            },
        )

    # --- The socket -------------------------------------------------------------------------------

    async def _subscribe(self, group: str) -> None:
        try:
            await self.channel_layer.group_add(group, self.channel_name)
        except (RedisError, OSError) as problem:
            logger.warning("an inbox is without announcements: the broker does not answer (%s)", problem)

    async def _send(self, frame: dict[str, Any]) -> None:
        message = frame.get("message")
        if isinstance(message, dict):
            self.seen_seq = max(self.seen_seq, message["seq"])
        await self.send(text_data=encode(frame))


def _agents() -> list[dict[str, Any]]:
    online = presence.present_agents()
    return [{**agent, "online": agent["id"] in online} for agent in selectors.agents()]
