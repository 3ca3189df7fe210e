"""Conversations out of JSON lines, as OpenAI's chat format has them, checked line by line. Knows no database.

    {"messages": [{"role": "user", "content": "…", "intent": "…"}, {"role": "assistant", "content": "…"}],
     "id": "…", "created_at": "2026-03-01T09:30:00Z", "customer": "…"}

Only `messages` has to be there. `intent` is a label that somebody gave the user's message; null says that none fits.
"""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from chatbot.exceptions import FrontdeskError
from chatbot.intents.labels import intent_slug, is_out_of_scope
from chatbot.intents.text_files import text_lines

# Whoever imports the same file again finds what the first time made.
_NAMESPACE = uuid.UUID("0b7f6d6e-6f5c-4f0b-9a55-9a2c3a1d7f10")
MOST_MESSAGES, LONGEST_TEXT, LONGEST_NAME = 1000, 100_000, 200
_ROLES = {"user": "customer", "assistant": "bot", "system": "", "developer": ""}
_READ = frozenset({"messages", "id", "created_at", "customer"})
_READ_OF_MESSAGE = frozenset({"role", "content", "intent"})


class BadLine(FrontdeskError):
    """A line cannot be imported; says why, without quoting it."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message. `label` is the slug that its intent should have, empty for out of scope, None without a label."""

    role: str
    text: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class FoundConversation:
    """One line of the file. `id` follows from the line's own id, or else from all that it says."""

    line: int
    id: uuid.UUID
    visitor: uuid.UUID
    said: tuple[Said, ...]
    created_at: datetime | None = None

    @property
    def digest(self) -> bytes:
        """The same for the same words in the same order."""
        return said_digest((said.role, said.text) for said in self.said)


@dataclass(slots=True)
class NotKept:
    """What of good lines is not part of a conversation: how often each unknown field and system message occurred."""

    fields: Counter[str] = field(default_factory=Counter)
    system_messages: int = 0


def read_lines(path: Path, not_kept: NotKept) -> Iterator[tuple[int, FoundConversation | BadLine]]:
    """Each line that is not blank, with its number, as it is asked for. Raises ImportFailed where it is no text."""
    for number, line in enumerate(text_lines(path), start=1):
        if line.strip():
            try:
                yield number, _conversation(number, line, not_kept)
            except BadLine as problem:
                yield number, problem


def said_digest(said: Iterator[tuple[str, str]]) -> bytes:
    content = json.dumps(list(said), ensure_ascii=False)
    return hashlib.sha256(content.encode()).digest()[:16]


def _conversation(number: int, line: str, not_kept: NotKept) -> FoundConversation:
    content = _object(line)
    messages = content.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadLine("there is no list of messages")
    if len(messages) > MOST_MESSAGES:
        raise BadLine(f"there are more than {MOST_MESSAGES:,} messages")
    read = [_said(message) for message in messages]
    said = tuple(each for each in read if each.role)
    if not any(each.role == "customer" for each in said):
        raise BadLine("the user says nothing in it")
    created_at = _moment(content.get("created_at"))
    own_id, customer = _name(content, "id"), _name(content, "customer")
    key = f"id/{own_id}" if own_id else f"said/{said_digest((each.role, each.text) for each in said).hex()}"
    pk = uuid.uuid5(_NAMESPACE, key)
    not_kept.system_messages += len(read) - len(said)
    not_kept.fields.update(set(content) - _READ)
    not_kept.fields.update(f"messages.{name}" for message in messages for name in set(message) - _READ_OF_MESSAGE)
    visitor = uuid.uuid5(_NAMESPACE, f"customer/{customer}" if customer else f"of/{pk}")
    return FoundConversation(number, pk, visitor, said, created_at)


def _object(line: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadLine(f"it is not JSON ({error.msg})") from error
    except (RecursionError, ValueError) as error:
        raise BadLine("it is JSON that nobody can read") from error
    if not isinstance(content, dict):
        raise BadLine("it is not a JSON object")
    return content


def _said(message: object) -> Said:
    if not isinstance(message, dict):
        raise BadLine("a message is not an object with role and content")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise BadLine("a message has another role than user, assistant, system or developer")
    text = _text(message.get("content"))
    if not text.strip() and _ROLES[role]:
        raise BadLine("a message is empty")
    if "intent" not in message:
        return Said(_ROLES[role], text)
    if role != "user":
        raise BadLine("a message that is not the user's has an intent")
    return Said(_ROLES[role], text, _label(message["intent"]))


def _text(content: object) -> str:
    """A string, or the format's list of parts."""
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str):
        raise BadLine("the content of a message is not text")
    if len(content) > LONGEST_TEXT:
        raise BadLine(f"a message is longer than {LONGEST_TEXT:,} characters")
    return _storable(content)


def _label(label: object) -> str:
    if label is None:
        return ""
    if not isinstance(label, str):
        raise BadLine("an intent is not a name")
    if is_out_of_scope(label):
        return ""
    slug = intent_slug(label)
    if not slug:
        raise BadLine("an intent has no letters or digits in its name")
    return slug


def _name(content: dict[str, Any], key: str) -> str:
    value = content.get(key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadLine(f"{key} is neither a text nor a whole number")
    named = _storable(str(value)) if isinstance(value, str) or abs(value) < 10**LONGEST_NAME else ""
    if not named.strip() or len(named) > LONGEST_NAME:
        raise BadLine(f"{key} is empty or longer than {LONGEST_NAME} characters")
    return named


def _moment(value: object) -> datetime | None:
    """Seconds since 1970, or ISO 8601; without a time zone it is UTC."""
    if value is None:
        return None
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            moment = datetime.fromtimestamp(value, UTC)
        elif isinstance(value, str) and (parsed := parse_datetime(value.strip())) is not None:
            moment = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        else:
            raise BadLine("created_at is neither ISO 8601 nor seconds since 1970")
        if moment > timezone.now():
            raise BadLine("created_at lies in the future")
        if moment.year < 1970:
            raise BadLine("created_at lies before 1970")
    except (ValueError, OverflowError, OSError) as error:
        raise BadLine("created_at is no moment that there is") from error
    return moment


def _storable(text: str) -> str:
    if "\0" in text:
        raise BadLine("there is a NUL character in it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadLine("there is half a character (a lone surrogate) in it") from error
    return text
