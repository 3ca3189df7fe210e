"""How a log record becomes one line.

Whatever reaches a log may have been written by a stranger, so every character that could end the line or steer a
terminal is escaped, and a traceback is folded into the line it belongs to. Customers' texts are never logged.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import traceback

from django.conf import settings

# C0 and C1 controls, delete, the Unicode line and paragraph separators, and what turns the direction of text around.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_COLORS = {"WARNING": "33", "ERROR": "31", "CRITICAL": "1;31", "DEBUG": "2"}
# The innermost frames say what happened; the outermost ones are the same for every request.
MAX_FRAMES = 6


def escape(text: str) -> str:
    """The text with everything spelled out that could forge a second line or move a terminal's cursor."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def describe_exception(error: BaseException) -> str:
    """An exception in one line: its type, its text, and the innermost frames, latest last."""
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    trail = " > ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
    named = f"{type(error).__name__}: {error}"
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        named += f" (from {type(cause).__name__}: {cause})"
    return f"{named} [{trail}]" if trail else named


class LineFormatter(logging.Formatter):
    """For people: `12:00:00.123 INFO    chatbot.conversations.sweeper swept: 1 requeued`."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock}.{int(record.msecs):03d} {record.levelname:<7} {record.name} {escape(record.getMessage())}"
        error = _exception(record)
        if error is not None:
            line += f" | {escape(describe_exception(error))}"
        return paint_level(line, record.levelname) if _terminal_shows_colors() else line


class JsonFormatter(logging.Formatter):
    """For machines: one JSON object a line, times in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = {
            "time": f"{clock}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": escape(record.getMessage()),
            "process": record.process,
        }
        error = _exception(record)
        if error is not None:
            fields["exception"] = escape(describe_exception(error))
        return json.dumps(fields)


def paint_level(line: str, level: str) -> str:
    """The line in its level's terminal colour."""
    color = _COLORS.get(level)
    return f"\x1b[{color}m{line}\x1b[0m" if color else line


def _exception(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _terminal_shows_colors() -> bool:
    return sys.stderr.isatty() and not settings.NO_COLOR
