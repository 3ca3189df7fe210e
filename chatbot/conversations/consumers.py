"""The customer's end of the websocket: parse, call, send. No ORM here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from channels.consumer import get_handler_name
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from chatbot.conversations import limits, protocol, selectors, services
from chatbot.conversations.desk.announcements import announce_typing
from chatbot.conversations.events import group_name
from chatbot.conversations.handshake import SUBPROTOCOL
from chatbot.conversations.protocol import BadFrame
from chatbot.conversations.sessions import admitting_site
from chatbot.conversations.surveys.services import answer_survey
from chatbot.exceptions import Refused

logger = logging.getLogger(__name__)

# While an answer is owed, ask the database now and then whether it has come: a channel layer may drop its event.
WATCH_INTERVAL_S = 3.0
# A page says at most every few seconds that its customer is typing; what comes faster is not passed on.
TYPING_GAP_S = 1.0
# The embedded page asks for a new session, and says why there is none.
NOT_ADMITTED = 4401
UNAVAILABLE = "We can't reach our records right now. Your text is kept on this page and sent again by itself."


# Threads of their own: asgiref's default is one thread for the whole process, in which one customer's wait for the
# database would hold up everybody's words.
DATABASE_THREADS = 8
in_database = partial(
    database_sync_to_async,
    thread_sensitive=False,
    executor=ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="chat-database"),
)


@dataclass(slots=True)
class LiveReply:
    """The running reply as far as this socket has sent it."""

    turn: str = ""
    attempt: int = 0
    k: int = 0


WRITES_MESSAGES = (protocol.SendMessage, protocol.RetryTurn, protocol.RequestHandoff, protocol.ReturnToBot)


class ChatConsumer(AsyncWebsocketConsumer):
    """One socket of one visitor; it shows one conversation at a time."""

    watch: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Also where the socket died under something that was being sent, of which `disconnect` is never told.
            if self.watch is not None:
                self.watch.cancel()
            await self.channel_layer.drop_channel(self.channel_name)

    async def dispatch(self, message: dict[str, Any]) -> None:
        # Without the base's check for old database connections, which would cost a thread for every word.
        handler = getattr(self, get_handler_name(message), None)
        if handler is not None:
            await handler(message)

    async def connect(self) -> None:
        self.visitor_id: UUID = self.scope["visitor"]
        self.conversation_id: UUID | None = None
        self.live = LiveReply()
        self.owed: set[UUID] = set()
        self.bad_frames = 0
        self.subscribed = False
        self.status = ""
        self.seen_seq = 0
        self.unfillable = ("", 0)
        self.typed_at = 0.0
        token = self.scope["token"]
        self.site = await in_database(admitting_site)(token) if token else None
        # An embedded page offers subprotocols, and a browser takes only an answer that picks one of them.
        await self.accept(subprotocol=SUBPROTOCOL if token else None)
        if token and self.site is None:
            await self.close(NOT_ADMITTED)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            frame = protocol.parse(text_data, bytes_data)
            handler = self._handlers[type(frame)]
            if self.conversation_id is None and not isinstance(frame, protocol.Hello | protocol.Ping):
                raise BadFrame("hello_required", "Say hello first.", getattr(frame, "client_id", None))
        except BadFrame as problem:
            await self._refuse_bad_frame(problem)
            return
        self.bad_frames = 0
        client_id = getattr(frame, "client_id", None)
        try:
            await limits.take(self._buckets(frame))
            await handler(self, frame)
        except Refused as refusal:
            await self._send(protocol.error(refusal.code, str(refusal), client_id, refusal.retry_after))
        except DatabaseError as error:
            logger.error("the database does not answer: %s", error)
            await self._send(protocol.error("unavailable", UNAVAILABLE, client_id))

    def _buckets(self, frame: protocol.Frame) -> list[limits.Bucket]:
        if isinstance(frame, protocol.Ping | protocol.Typing):
            return []
        if isinstance(frame, WRITES_MESSAGES):
            return limits.message_buckets(self.visitor_id, self.scope["address"])
        return limits.command_buckets(self.visitor_id)

    async def _refuse_bad_frame(self, problem: BadFrame) -> None:
        self.bad_frames += 1
        await self._send(protocol.error(problem.code, problem.detail, problem.client_id))
        if self.bad_frames >= protocol.MAX_BAD_FRAMES:
            await self.close(code=protocol.CLOSE_BAD_FRAMES)

    # --- What the browser asks ------------------------------------------------------------------

    async def hello(self, frame: protocol.Hello) -> None:
        if frame.protocol != protocol.VERSION:
            await self._send(
                protocol.error("protocol", f"This server speaks protocol {protocol.VERSION}. Reload the page.")
            )
            return
        conversation = await in_database(services.open_conversation)(
            visitor_id=self.visitor_id, conversation_id=frame.conversation, site=self.site
        )
        resume = selectors.Resume(frame.turn, frame.attempt, frame.k) if frame.turn else None
        await self._show(conversation, frame.after_seq if frame.conversation else 0, resume)

    async def new_conversation(self, frame: protocol.NewConversation) -> None:
        conversation = await in_database(services.start_conversation)(visitor_id=self.visitor_id, site=self.site)
        await self._show(conversation)

    async def send_message(self, frame: protocol.SendMessage) -> None:
        accepted = await in_database(services.send_message)(
            visitor_id=self.visitor_id,
            conversation_id=self._conversation,
            client_id=frame.client_id,
            text=frame.text,
            attachments=frame.attachments,
            sender_channel=self.channel_name,
        )
        await self._send(await in_database(selectors.accepted_frame)(accepted.message, accepted.turn))
        if accepted.turn is not None:
            self._await_answer(accepted.turn.id)

    async def cancel_turn(self, frame: protocol.CancelTurn) -> None:
        await in_database(services.cancel_turn)(visitor_id=self.visitor_id, turn_id=frame.turn)

    async def retry_turn(self, frame: protocol.RetryTurn) -> None:
        turn = await in_database(services.retry_turn)(visitor_id=self.visitor_id, turn_id=frame.turn)
        self._await_answer(turn.id)

    async def rate_message(self, frame: protocol.RateMessage) -> None:
        await in_database(services.rate_message)(
            visitor_id=self.visitor_id, message_id=frame.message, rating=frame.rating, reason=frame.reason
        )

    async def request_handoff(self, frame: protocol.RequestHandoff) -> None:
        await in_database(services.request_handoff)(visitor_id=self.visitor_id, conversation_id=self._conversation)

    async def return_to_bot(self, frame: protocol.ReturnToBot) -> None:
        await in_database(services.return_to_bot)(visitor_id=self.visitor_id, conversation_id=self._conversation)

    async def end_conversation(self, frame: protocol.EndConversation) -> None:
        await in_database(services.end_conversation)(visitor_id=self.visitor_id, conversation_id=self._conversation)

    async def rate_conversation(self, frame: protocol.RateConversation) -> None:
        await in_database(answer_survey)(
            visitor_id=self.visitor_id, conversation_id=self._conversation, score=frame.score, comment=frame.comment
        )

    async def leave_email(self, frame: protocol.LeaveEmail) -> None:
        await in_database(services.leave_email)(
            visitor_id=self.visitor_id, conversation_id=self._conversation, email=frame.email
        )

    async def pass_on_typing(self, frame: protocol.Typing) -> None:
        now = time.monotonic()
        if self.status in ("waiting", "human") and now - self.typed_at >= TYPING_GAP_S:
            self.typed_at = now
            announce_typing(self._conversation)

    async def ping(self, frame: protocol.Ping) -> None:
        await self._send({"type": "pong"})
        if self.conversation_id is None or (self.subscribed and self.status == "bot"):
            return
        # With a person no turn is owed, so nothing else would notice that an announcement was lost.
        await self._subscribe()
        if await in_database(selectors.last_seq)(self._conversation) > self.seen_seq:
            await self._send({"type": "resync"})
        elif self.status == "waiting":
            # The queue has moved, or the desk has opened, which nobody announces.
            standing = await in_database(selectors.standing_frame)(self._conversation)
            if standing is not None:
                await self._send(standing)

    _handlers: dict[type[protocol.Frame], Callable[[Any, Any], Awaitable[None]]] = {
        protocol.Hello: hello,
        protocol.NewConversation: new_conversation,
        protocol.SendMessage: send_message,
        protocol.CancelTurn: cancel_turn,
        protocol.RetryTurn: retry_turn,
        protocol.RateMessage: rate_message,
        protocol.RequestHandoff: request_handoff,
        protocol.ReturnToBot: return_to_bot,
        protocol.EndConversation: end_conversation,
        protocol.RateConversation: rate_conversation,
        protocol.LeaveEmail: leave_email,
        protocol.Typing: pass_on_typing,
        protocol.Ping: ping,
    }

    # --- Showing a conversation: subscribe first, then snapshot ----------------------------------

    async def _show(self, conversation: Any, after_seq: int = 0, resume: selectors.Resume | None = None) -> None:
        await self._leave()
        self.conversation_id = conversation.id
        await self._subscribe()
        ready = await in_database(selectors.snapshot)(conversation, after_seq=after_seq, resume=resume)
        turn = ready.get("turn")
        self.live = LiveReply(turn["id"], turn["attempt"], turn["k"]) if turn else LiveReply()
        self.status = ready["status"]
        self.seen_seq = ready["seq"]
        self.owed = set(await in_database(selectors.open_turn_ids)(conversation.id))
        await self._send({"type": "ready", "protocol": protocol.VERSION, **ready})
        if self.owed:
            self._start_watch()

    async def _subscribe(self) -> None:
        try:
            await self.channel_layer.group_add(group_name(self._conversation), self.channel_name)
            self.subscribed = True
        except (RedisError, OSError) as error:
            # The watch brings the answer from the database all the same, only not word by word.
            self.subscribed = False
            logger.warning("a page is not subscribed: the broker does not answer (%s)", error)

    async def _leave(self) -> None:
        if self.conversation_id is not None:
            try:
                await self.channel_layer.group_discard(group_name(self.conversation_id), self.channel_name)
            except (RedisError, OSError):
                logger.debug("a page could not unsubscribe: the broker does not answer")

    # --- What the conversation tells -------------------------------------------------------------

    async def conversation_event(self, message: dict[str, Any]) -> None:
        """An event of this conversation, published by whoever wrote it."""
        frame = message["frame"]
        if message["conversation"] != str(self.conversation_id) or message["except_channel"] == self.channel_name:
            return
        kind = frame["type"]
        if kind == "conversation.updated":
            self.status = frame["status"]
        if kind == "turn.started" and not self._begin(frame["turn"], frame["attempt"]):
            return  # shown already, as by the snapshot
        if kind == "message.accepted" and frame["turn"]:
            self._await_answer(UUID(frame["turn"]))
        if kind in ("reply.finished", "turn.failed", "turn.cancelled"):
            self.owed.discard(UUID(frame["turn"]))
        await self._send(frame)

    async def conversation_delta(self, message: dict[str, Any]) -> None:
        """The next piece of a running reply: sent once, in order, with gaps filled from its stream."""
        turn, attempt, k = message["turn"], message["attempt"], message["k"]
        if self._begin(turn, attempt):
            await self._send({"type": "turn.started", "turn": turn, "attempt": attempt})
        is_current = UUID(turn) in self.owed and (turn, attempt) == (self.live.turn, self.live.attempt)
        if not is_current or k < self.live.k:
            return
        if k > self.live.k:
            missing = await in_database(selectors.missing_deltas)(UUID(turn), attempt, self.live.k, k)
            if missing is None:
                # Once: a second snapshot would end at the same hole. The finished reply brings the whole text.
                if self.unfillable != (turn, attempt):
                    self.unfillable = (turn, attempt)
                    await self._send({"type": "resync"})
                return
            for text in missing:
                await self._send_delta(text)
        await self._send_delta(message["text"])

    def _begin(self, turn: str, attempt: int) -> bool:
        """Turn to a new turn or a later attempt; False where it has ended or this socket shows it or a later one."""
        if UUID(turn) not in self.owed or (turn == self.live.turn and attempt <= self.live.attempt):
            return False
        self.live = LiveReply(turn, attempt)
        return True

    async def _send_delta(self, text: str) -> None:
        live = self.live
        await self._send({"type": "reply.delta", "turn": live.turn, "attempt": live.attempt, "k": live.k, "text": text})
        live.k += 1

    # --- The watch: no answer is missed because an event was -------------------------------------

    def _await_answer(self, turn_id: UUID) -> None:
        self.owed.add(turn_id)
        self._start_watch()

    def _start_watch(self) -> None:
        if self.watch is None or self.watch.done():
            self.watch = asyncio.create_task(self._watch_owed_turns())

    async def _watch_owed_turns(self) -> None:
        seen_ended: set[UUID] = set()
        while self.owed:
            await asyncio.sleep(WATCH_INTERVAL_S)
            try:
                frames = await in_database(selectors.ending_frames)(list(self.owed))
            except DatabaseError as error:
                logger.error("the database does not answer: %s", error)
                continue
            for turn_id, frame in frames.items():
                # Seen ended twice and still owed here: its event is lost, not merely on its way.
                if turn_id in seen_ended and turn_id in self.owed:
                    self.owed.discard(turn_id)
                    await self._send(frame)
                seen_ended.add(turn_id)

    @property
    def _conversation(self) -> UUID:
        assert self.conversation_id is not None
        return self.conversation_id

    async def _send(self, frame: dict[str, Any]) -> None:
        message = frame.get("message")
        if isinstance(message, dict):
            self.seen_seq = max(self.seen_seq, message["seq"])
        await self.send(text_data=protocol.encode(frame))
