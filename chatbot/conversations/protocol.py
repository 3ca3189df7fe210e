"""The wire protocol, version 1: what a browser may say, and how its words are read.

Pure: it knows neither the database nor the socket. `docs/protocol.md` describes every frame, and the golden frames in
`tests/frames/` hold this module and the browser's to the same text.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

VERSION = 1
MAX_TEXT = 4000
# Of a frame that can be read; how many a message may have is a setting.
MAX_ATTACHMENTS = 50
# Above this the server closes with 1009 before a frame reaches us; uvicorn is started with the same figure.
MAX_FRAME_BYTES = 65_536
# A browser that keeps sending nonsense is broken or hostile; one slip is neither.
MAX_BAD_FRAMES = 5

CLOSE_BAD_FRAMES = 4400
CLOSE_GOING_DOWN = 4408


class BadFrame(Exception):
    """A frame that cannot be read. `code` and `detail` go back to the browser."""

    def __init__(self, code: str, detail: str, client_id: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.client_id = client_id


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("the text contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the text contains half of a surrogate pair") from None
    return text


ClientId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT), AfterValidator(_storable)
]
# Of a message that may be files alone.
OptionalText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_TEXT), AfterValidator(_storable)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), AfterValidator(_storable)]
Comment = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000), AfterValidator(_storable)]
Counter = Annotated[int, Field(ge=0, le=2**31 - 1, strict=True)]


class Frame(BaseModel):
    # Unknown fields are ignored, so that a newer browser can talk to an older server.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Hello(Frame):
    type: Literal["hello"]
    protocol: Annotated[int, Field(strict=True)]
    conversation: UUID | None = None
    after_seq: Counter = 0
    turn: UUID | None = None
    attempt: Counter = 0
    k: Counter = 0


class SendMessage(Frame):
    type: Literal["message.send"]
    client_id: ClientId
    text: OptionalText
    attachments: Annotated[tuple[UUID, ...], Field(max_length=MAX_ATTACHMENTS)] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.text and not self.attachments:
            raise PydanticCustomError("empty", "a message needs some text or a file")
        return self


class CancelTurn(Frame):
    type: Literal["turn.cancel"]
    turn: UUID


class RetryTurn(Frame):
    type: Literal["turn.retry"]
    turn: UUID


class RateMessage(Frame):
    type: Literal["message.rate"]
    message: UUID
    rating: Literal["up", "down"] | None
    reason: Reason = ""


class NewConversation(Frame):
    type: Literal["conversation.new"]


class RequestHandoff(Frame):
    type: Literal["conversation.handoff"]


class ReturnToBot(Frame):
    type: Literal["conversation.return"]


class EndConversation(Frame):
    type: Literal["conversation.end"]


class RateConversation(Frame):
    type: Literal["conversation.rate"]
    score: Annotated[int, Field(ge=1, le=5, strict=True)]
    comment: Comment = ""


class LeaveEmail(Frame):
    type: Literal["conversation.email"]
    # Whether it is an address is the services' to say; a wrong one deserves words, not a bad frame.
    email: Annotated[str, StringConstraints(strip_whitespace=True, max_length=254), AfterValidator(_storable)]


class Typing(Frame):
    type: Literal["typing"]


class Ping(Frame):
    type: Literal["ping"]


ClientFrame = (
    Hello
    | SendMessage
    | CancelTurn
    | RetryTurn
    | RateMessage
    | NewConversation
    | RequestHandoff
    | ReturnToBot
    | EndConversation
    | RateConversation
    | LeaveEmail
    | Typing
    | Ping
)


def by_type(frames: Any) -> dict[str, type[Frame]]:
    """The frames of a union by what their `type` says."""
    return {frame.model_fields["type"].annotation.__args__[0]: frame for frame in frames.__args__}


_FRAMES = by_type(ClientFrame)


def parse(text: str | None, binary: bytes | None = None) -> ClientFrame:
    """Read one websocket frame of a customer's page.

    Raises:
        BadFrame: for binary frames, invalid JSON, unknown types and fields that do not fit.
    """
    return read_frame(text, binary, _FRAMES)  # type: ignore[return-value]


def read_frame(text: str | None, binary: bytes | None, frames: dict[str, type[Frame]]) -> Frame:
    """Read one websocket frame that is one of `frames`. Raises BadFrame."""
    if text is None:
        raise BadFrame("binary", "Frames must be text.")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise BadFrame("invalid_json", "The frame is not valid JSON.") from None
    if not isinstance(data, dict):
        raise BadFrame("invalid_frame", "The frame must be a JSON object.")
    client_id = _echoable_client_id(data.get("client_id"))
    kind = data.get("type")
    frame = frames.get(kind) if isinstance(kind, str) else None
    if frame is None:
        raise BadFrame("unknown_type", "The frame has no type that this server knows.", client_id)
    try:
        return frame.model_validate(data)
    except ValidationError as error:
        raise _explained(error, client_id) from None


def _echoable_client_id(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= 64 and value.isascii() and value.isprintable() else None


def _explained(error: ValidationError, client_id: str | None) -> BadFrame:
    problem = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in problem["loc"])
    if field == "text" and problem["type"] == "string_too_long":
        return BadFrame("too_long", f"A message can have {MAX_TEXT:,} characters at most.", client_id)
    if problem["type"] == "empty" or (field == "text" and problem["type"] == "string_too_short"):
        return BadFrame("invalid_frame", "A message needs some text.", client_id)
    return BadFrame("invalid_frame", f"{field}: {problem['msg']}", client_id)


def encode(frame: dict[str, Any]) -> str:
    """The text of one frame for the socket."""
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


def error(code: str, detail: str, client_id: str | None = None, retry_after: float | None = None) -> dict[str, Any]:
    """An `error` frame."""
    frame: dict[str, Any] = {"type": "error", "code": code, "detail": detail}
    if client_id is not None:
        frame["client_id"] = client_id
    if retry_after is not None:
        frame["retry_after"] = round(retry_after, 1)
    return frame
