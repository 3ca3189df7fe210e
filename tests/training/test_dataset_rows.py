"""Rows come back as they were written, and a damaged one is named by its field."""

from __future__ import annotations

import pytest

from chatbot.exceptions import DatasetError
from chatbot.inference.prompt import GroundingPassage, Utterance
from chatbot.training.dataset_rows import IntentRow, Origin, ReplyRow, read_row

REPLY = ReplyRow(
    id="7",
    text="Where is it? \u2028 </s>",
    reply="It left today.",
    passages=(GroundingPassage("Delivery", "Two days."),),
    history=(Utterance("user", "hello"), Utterance("assistant", "Hi!")),
    shop="Tea & Co",
    origin=Origin(conversation="c", turn="t"),
)


def test_a_reply_row_is_one_line_and_reads_back():
    line = REPLY.model_dump_json()
    assert "\n" not in line
    assert read_row(ReplyRow, line) == REPLY


def test_an_intent_row_reads_back():
    row = IntentRow(id="1", text="退款", intent="refund", origin=Origin(example=4))
    assert read_row(IntentRow, row.model_dump_json()) == row


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('{"id": "1", "text": "a"}', "intent"),
        ('{"id": "1", "text": "a", "intent": "b", "labl": 1}', "labl"),
        ('{"id": "1", "text": 3, "intent": "b"}', "text"),
        ("[", "JSON"),
    ],
)
def test_a_damaged_row_is_named_by_its_field(line: str, named: str):
    with pytest.raises(DatasetError, match=named):
        read_row(IntentRow, line)


def test_an_earlier_message_has_one_of_two_roles():
    line = REPLY.model_dump_json().replace('"assistant"', '"system"')
    with pytest.raises(DatasetError, match=r"history\.1\.role"):
        read_row(ReplyRow, line)
