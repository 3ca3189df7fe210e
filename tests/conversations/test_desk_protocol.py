"""The staff socket's frames are read as the golden copies say, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.conversations.desk import protocol
from chatbot.conversations.protocol import BadFrame

GOLDEN = sorted((Path(__file__).parent.parent / "frames" / "desk" / "client").glob("*.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_golden_frame_is_understood_in_full(path: Path) -> None:
    golden = json.loads(path.read_text())
    frame = protocol.parse(json.dumps(golden))
    assert json.loads(frame.model_dump_json(include=set(golden))) == golden


def test_there_is_a_golden_frame_for_every_type() -> None:
    assert {json.loads(path.read_text())["type"] for path in GOLDEN} == set(protocol.FRAMES)


def test_what_only_customers_say_is_not_understood() -> None:
    with pytest.raises(BadFrame) as refused:
        protocol.parse('{"type": "conversation.handoff"}')
    assert refused.value.code == "unknown_type"


values = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec=None)) | st.lists(st.integers())
fields = st.fixed_dictionaries(
    {"type": st.sampled_from([*protocol.FRAMES])},
    optional=dict.fromkeys(("protocol", "conversation", "assignment", "client_id", "text", "to", "seq"), values),
)


@given(fields.map(json.dumps))
def test_anything_is_either_a_frame_or_a_named_refusal(text: str) -> None:
    refused: BadFrame | None = None
    try:
        frame = protocol.parse(text)
    except BadFrame as problem:
        refused = problem
    if refused is None:
        assert type(frame) in protocol.FRAMES.values()
    else:
        assert refused.code
        assert str(refused)
