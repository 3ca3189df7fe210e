"""The staff socket's half of the wire protocol, version 1: what an inbox page may say.

Pure, as the customers' half, whose kinds of fields it shares. `docs/protocol.md` describes every frame.
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from chatbot.conversations.protocol import ClientId, Counter, Frame, Ping, Text, by_type, read_frame

UserId = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]


class DeskHello(Frame):
    type: Literal["desk.hello"]
    protocol: Annotated[int, Field(strict=True)]


class OpenThread(Frame):
    type: Literal["thread.open"]
    conversation: UUID
    after_seq: Counter = 0


class LeaveThread(Frame):
    type: Literal["thread.leave"]


class Seen(Frame):
    type: Literal["thread.seen"]
    conversation: UUID
    seq: Counter


class Take(Frame):
    type: Literal["conversation.take"]
    conversation: UUID
    assignment: Counter
    take_over: bool = False


class Assign(Frame):
    type: Literal["conversation.assign"]
    conversation: UUID
    assignment: Counter
    to: UserId


class Release(Frame):
    type: Literal["conversation.release"]
    conversation: UUID
    assignment: Counter


class GiveBack(Frame):
    type: Literal["conversation.return"]
    conversation: UUID
    assignment: Counter


class Close(Frame):
    type: Literal["conversation.close"]
    conversation: UUID
    assignment: Counter


class Answer(Frame):
    type: Literal["message.send"]
    conversation: UUID
    assignment: Counter
    client_id: ClientId
    text: Text
    suggestion: UUID | None = None


class AddNote(Frame):
    type: Literal["note.add"]
    conversation: UUID
    client_id: ClientId
    text: Text


class Suggest(Frame):
    type: Literal["suggestion.request"]
    conversation: UUID


class AgentTyping(Frame):
    type: Literal["typing"]
    conversation: UUID


DeskFrame = (
    DeskHello
    | OpenThread
    | LeaveThread
    | Seen
    | Take
    | Assign
    | Release
    | GiveBack
    | Close
    | Answer
    | AddNote
    | Suggest
    | AgentTyping
    | Ping
)
FRAMES = by_type(DeskFrame)


def parse(text: str | None, binary: bytes | None = None) -> DeskFrame:
    """Read one websocket frame of an inbox page. Raises BadFrame as `protocol.parse` does."""
    return read_frame(text, binary, FRAMES)  # type: ignore[return-value]
