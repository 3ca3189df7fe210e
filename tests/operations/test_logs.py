"""A log line is one line, whatever a stranger wrote into it."""

from __future__ import annotations

import json
import logging
import re
import sys

from hypothesis import given
from hypothesis import strategies as st

from chatbot.operations.logs import JsonFormatter, LineFormatter, escape


def record(message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    information = (type(error), error, error.__traceback__) if error is not None else None
    return logging.LogRecord("chatbot.test", logging.ERROR, __file__, 1, message, arguments, information)


@given(st.text())
def test_no_text_can_end_the_line_or_steer_a_terminal(text: str) -> None:
    line = LineFormatter().format(record("customer wrote %s", text))
    assert len(line.splitlines()) == 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", line)
    line.encode()


@given(st.text())
def test_a_json_line_is_one_object(text: str) -> None:
    line = JsonFormatter().format(record("customer wrote %s", text))
    assert len(line.splitlines()) == 1
    assert json.loads(line)["event"] == f"customer wrote {escape(text)}"


def test_ordinary_text_stays_as_it_is() -> None:
    assert escape("Käse für 3 € – bitte 👋") == "Käse für 3 € – bitte 👋"


def test_an_exception_is_folded_into_its_line() -> None:
    try:
        try:
            raise KeyError("inner\nline")
        except KeyError as inner:
            raise ValueError("outer\x1b[31m") from inner
    except ValueError:
        error = sys.exc_info()[1]
    line = LineFormatter().format(record("failed", error=error))
    assert len(line.splitlines()) == 1
    assert r"failed | ValueError: outer\x1b[31m (from KeyError: 'inner\nline')" in line
    assert "test_an_exception_is_folded_into_its_line" in line
