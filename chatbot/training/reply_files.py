"""Replies to learn from, or to be measured on, out of the files that people have.

    .jsonl   a ReplyRow a line, or a conversation as OpenAI's fine-tuning format has it: {"messages": […]}
    .csv     the columns `text` and `reply`; others are not looked at

Whatever is wrong becomes one sentence that names the file and the line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from chatbot.exceptions import DatasetError, ImportFailed
from chatbot.inference.normalisation import normalise
from chatbot.inference.prompt import Utterance
from chatbot.intents.tables import OVERFULL, Table
from chatbot.intents.text_files import text_lines
from chatbot.intents.wording import RowProblems
from chatbot.training.dataset_rows import ReplyRow, read_row

# Held out of a file that comes without a second one to measure on.
HELD_OUT_SHARE, MOST_HELD_OUT = 0.1, 200


def read_replies(path: Path) -> list[ReplyRow]:
    """The file's rows that have a text and a reply. Raises ImportFailed or DatasetError."""
    rows = list(_from_json_lines(path)) if path.suffix.lower() in {".jsonl", ".ndjson"} else _from_table(path)
    if not rows:
        raise ImportFailed(f"{path}: there is no row with a text and a reply.")
    return rows


def split_replies(rows: list[ReplyRow], *, seed: int) -> tuple[list[ReplyRow], list[ReplyRow]]:
    """Rows to train on and rows to measure on.

    What belongs together stays on one side: a conversation, all questions about the same articles, one text said
    twice. Raises DatasetError where all of it belongs together.
    """
    groups: dict[object, list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(row.origin.conversation or row.passages or normalise(row.text), []).append(number)
    if len(groups) < 2:
        raise DatasetError("There is nothing to hold out: all rows belong to one conversation or article.")
    wanted = min(MOST_HELD_OUT, max(1, round(len(rows) * HELD_OUT_SHARE)))
    held_out: set[int] = set()
    for number in np.random.default_rng(seed).permutation(len(groups) - 1).tolist():
        if len(held_out) >= wanted:
            break
        held_out |= set(list(groups.values())[number])
    train = [row for number, row in enumerate(rows) if number not in held_out]
    return train, [rows[number] for number in sorted(held_out)]


def _from_table(path: Path) -> list[ReplyRow]:
    table = Table(path)
    text, reply = table.column("text"), table.column("reply")
    rows, problems = [], RowProblems(str(path))
    for row in table.rows():
        if row.overfull:
            problems.add(row.line, OVERFULL)
        elif row.cells[text].strip() and row.cells[reply].strip():
            rows.append(ReplyRow(id=f"line-{row.line}", text=row.cells[text], reply=row.cells[reply]))
    problems.raise_if_any()
    return rows


def _from_json_lines(path: Path) -> Iterator[ReplyRow]:
    for number, line in enumerate(text_lines(path), start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            if isinstance(content, dict) and "messages" in content:
                yield from _from_conversation(content["messages"], f"line-{number}")
            else:
                yield read_row(ReplyRow, line)
        except json.JSONDecodeError as error:
            raise DatasetError(f"{path}, line {number}: not JSON ({error.msg}).") from error
        except DatasetError as error:
            raise DatasetError(f"{path}, line {number}: {error}") from error


def _from_conversation(messages: object, row_id: str) -> Iterator[ReplyRow]:
    """A row for each reply of the assistant that answers the user; one with `weight` 0 is not to be learned."""
    if not isinstance(messages, list) or not messages:
        raise DatasetError("messages: there are none.")
    said: list[Utterance] = []
    guidance = ""
    found = False
    for message in messages:
        role, text = _message(message)
        if role == "system":
            guidance = text
        elif role == "user":
            said.append(Utterance("user", text))
        else:
            asked = said[-1] if said and said[-1].role == "user" else None
            if asked is not None and text.strip():
                found = True
                if message.get("weight", 1):
                    yield ReplyRow(
                        id=f"{row_id}-{len(said)}",
                        text=asked.text,
                        reply=text,
                        history=tuple(said[:-1]),
                        guidance=guidance,
                    )
            said.append(Utterance("assistant", text))
    if not found:
        raise DatasetError("messages: the assistant answers nothing.")


def _message(message: object) -> tuple[str, str]:
    if not isinstance(message, Mapping):
        raise DatasetError("messages: each has a role and a content.")
    role = {"developer": "system"}.get(str(message.get("role")), message.get("role"))
    if role not in ("system", "user", "assistant"):
        raise DatasetError(f"messages: the role {role!r} is none of system, user and assistant.")
    return role, _text(message.get("content"))


def _text(content: Any) -> str:
    """A string, or the format's list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, Mapping) and part.get("type") == "text" for part in content):
        return "".join(str(part.get("text", "")) for part in content)
    raise DatasetError("messages: the content is not text.")
