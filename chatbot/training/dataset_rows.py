"""The rows of a dataset's files, one JSON object a line, as every stage of the learning loop reads and writes them.

Pure: no Django, no models, no files. `model_dump_json()` writes a row; `read_row` reads one.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from chatbot.exceptions import DatasetError
from chatbot.inference.prompt import GroundingPassage, Utterance


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Origin(_Part):
    """The records that a row came from, by id: erasing a visitor reaches the row through them."""

    conversation: str = ""
    turn: str = ""
    example: int | None = None


class IntentRow(_Part):
    """A redacted text and the intent that a person gave it; `intent` is empty where none of the catalogue fits."""

    id: str
    text: str
    intent: str
    language: str = ""
    origin: Origin = Origin()


class ReplyRow(_Part):
    """A redacted customer message with all that the bot had to answer it, and the reply that it should give."""

    id: str
    text: str
    reply: str
    passages: tuple[GroundingPassage, ...] = ()
    history: tuple[Utterance, ...] = ()
    guidance: str = ""
    shop: str = ""
    intent: str = ""
    language: str = ""
    origin: Origin = Origin()


class TranscriptRow(_Part):
    """A redacted conversation as it went, for adaptation to how customers and staff write.

    Replies that a reviewer corrected stand as corrected, and rejected ones are left out.
    """

    id: str
    messages: tuple[Utterance, ...]
    language: str = ""
    origin: Origin = Origin()


Row = TypeVar("Row", IntentRow, ReplyRow, TranscriptRow)


def read_row(kind: type[Row], line: str | bytes) -> Row:
    """The row that a line of JSON holds. Raises DatasetError in one sentence, which names the field at fault."""
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(step) for step in fault["loc"])
        raise DatasetError(f"{place + ': ' if place else ''}{fault['msg']}.") from error
