"""Replies out of the files that people have, and a split that leaks nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chatbot.exceptions import DatasetError, ImportFailed
from chatbot.inference.prompt import Utterance
from chatbot.training.dataset_rows import ReplyRow
from chatbot.training.reply_files import read_replies, split_replies
from tests.training.reply_examples import reply_rows


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_a_table_of_texts_and_replies(tmp_path: Path) -> None:
    rows = read_replies(write(tmp_path / "f.csv", "text,intent,reply", "hi,greet,Hello.", "no reply,x,"))
    assert [(row.id, row.text, row.reply) for row in rows] == [("line-2", "hi", "Hello.")]


def test_reply_rows_line_by_line(tmp_path: Path) -> None:
    rows = reply_rows(1)
    path = write(tmp_path / "f.jsonl", *[row.model_dump_json() for row in rows], "")
    assert read_replies(path) == rows


def test_a_conversation_gives_a_row_for_each_answer(tmp_path: Path) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Where is it?"},
        {"role": "assistant", "content": "On its way."},
        {"role": "user", "content": [{"type": "text", "text": "When?"}]},
        {"role": "assistant", "content": "Not to be learned.", "weight": 0},
        {"role": "user", "content": "Thanks"},
        {"role": "assistant", "content": "You are welcome."},
    ]
    first, last = read_replies(write(tmp_path / "f.jsonl", {"messages": messages}))
    assert (first.text, first.reply, first.history, first.guidance) == ("Where is it?", "On its way.", (), "Be brief.")
    assert (last.text, last.reply) == ("Thanks", "You are welcome.")
    assert last.history[:2] == (Utterance("user", "Where is it?"), Utterance("assistant", "On its way."))
    assert len(last.history) == 4


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "line 2: not JSON"),
        ({"messages": []}, "line 2: messages: there are none"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "line 2: messages: the role 'tool'"),
        ({"messages": [{"role": "user", "content": "x"}]}, "line 2: messages: the assistant answers nothing"),
        ({"messages": [{"role": "user", "content": 3}]}, "line 2: messages: the content is not text"),
        ({"id": "1", "text": "x"}, "line 2: reply: "),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, line: object, complaint: str) -> None:
    path = write(tmp_path / "f.jsonl", reply_rows(1)[0].model_dump_json(), line)
    with pytest.raises(DatasetError, match=f"f.jsonl, {complaint}"):
        read_replies(path)


def test_files_without_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="no row with a text and a reply"):
        read_replies(write(tmp_path / "f.csv", "text,reply", "hi,"))
    with pytest.raises(ImportFailed, match=r"names no .*reply"):
        read_replies(write(tmp_path / "f.csv", "text,intent", "hi,greet"))


def test_questions_about_one_article_stay_on_one_side() -> None:
    train, held_out = split_replies(reply_rows(4), seed=0)
    assert len(train) + len(held_out) == len(reply_rows(4))
    assert not {row.passages for row in train} & {row.passages for row in held_out}
    assert split_replies(reply_rows(4), seed=0) == (train, held_out)
    with pytest.raises(DatasetError, match="nothing to hold out"):
        split_replies([ReplyRow(id="1", text="hi", reply="Hello.")], seed=0)
