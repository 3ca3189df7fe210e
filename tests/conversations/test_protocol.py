"""The protocol reads what it should, refuses what it should, and never falls over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.conversations import protocol
from chatbot.conversations.protocol import BadFrame, parse

FRAMES = Path(__file__).parent.parent / "frames"
CLIENT_FRAMES = sorted((FRAMES / "client").glob("*.json"))


def code_of(text: str | None, binary: bytes | None = None) -> str:
    with pytest.raises(BadFrame) as refused:
        parse(text, binary)
    return refused.value.code


def send_frame(**fields: Any) -> str:
    return json.dumps({"type": "message.send", "client_id": "c-1", "text": "hello"} | fields)


@pytest.mark.parametrize("path", CLIENT_FRAMES, ids=lambda path: path.stem)
def test_every_golden_client_frame_is_understood_in_full(path: Path) -> None:
    golden = json.loads(path.read_text())
    frame = parse(json.dumps(golden))
    assert json.loads(frame.model_dump_json(include=set(golden))) == golden


def test_there_is_a_golden_frame_for_every_type() -> None:
    assert {json.loads(path.read_text())["type"] for path in CLIENT_FRAMES} == set(protocol._FRAMES)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        ("[]", "invalid_frame"),
        ("null", "invalid_frame"),
        ('"hello"', "invalid_frame"),
        ("{}", "unknown_type"),
        ('{"type": 7}', "unknown_type"),
        ('{"type": ["hello"]}', "unknown_type"),
        ('{"type": "turn.explode"}', "unknown_type"),
        ('{"type": "hello"}', "invalid_frame"),
        ('{"type": "hello", "protocol": "1"}', "invalid_frame"),
        ('{"type": "hello", "protocol": 1, "after_seq": -1}', "invalid_frame"),
        ('{"type": "hello", "protocol": 1, "after_seq": 99999999999999999999}', "invalid_frame"),
        ('{"type": "hello", "protocol": 1, "conversation": "mine"}', "invalid_frame"),
        ('{"type": "turn.cancel", "turn": 4}', "invalid_frame"),
        ('{"type": "message.rate", "message": "0192c0de-0000-7000-8000-0000000000b2"}', "invalid_frame"),
        (send_frame(text="x" * 4001), "too_long"),
        (send_frame(text=" \n\t "), "invalid_frame"),
        (send_frame(text="a\x00b"), "invalid_frame"),
        ('{"type": "message.send", "client_id": "c", "text": "\\ud800"}', "invalid_frame"),
        (send_frame(text=["hello"]), "invalid_frame"),
        (send_frame(text="", attachments=[]), "invalid_frame"),
        (send_frame(text="", attachments=["mine"]), "invalid_frame"),
        (send_frame(text="", attachments=["0192c0de-0000-7000-8000-0000000000f1"] * 51), "invalid_frame"),
        (send_frame(client_id=""), "invalid_frame"),
        (send_frame(client_id="c" * 65), "invalid_frame"),
        (send_frame(client_id="../etc"), "invalid_frame"),
    ],
)
def test_bad_frames_are_named(text: str, code: str) -> None:
    assert code_of(text) == code


def test_binary_frames_are_refused() -> None:
    assert code_of(None, b"\x00") == "binary"


def test_an_error_carries_the_client_id_so_that_the_page_knows_which_send_failed() -> None:
    with pytest.raises(BadFrame) as refused:
        parse(send_frame(text="x" * 4001))
    assert refused.value.client_id == "c-1"


def test_text_is_trimmed_and_the_limit_counts_what_is_left() -> None:
    frame = parse(send_frame(text="  " + "é" * 4000 + "  "))
    assert isinstance(frame, protocol.SendMessage)
    assert frame.text == "é" * 4000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
fields = st.fixed_dictionaries(
    {"type": st.sampled_from([*protocol._FRAMES, "nonsense"])},
    optional=dict.fromkeys(
        ("protocol", "conversation", "turn", "attempt", "k", "client_id", "text", "rating", "message"), json_values
    ),
)


@given(st.one_of(st.text(), fields.map(json.dumps), json_values.map(json.dumps)))
def test_anything_is_either_a_frame_or_a_named_refusal(text: str) -> None:
    refused: BadFrame | None = None
    try:
        frame = parse(text)
    except BadFrame as problem:
        refused = problem
    if refused is None:
        assert type(frame) in protocol._FRAMES.values()
        return
    assert refused.code in {"invalid_json", "invalid_frame", "unknown_type", "too_long"}
    protocol.encode(protocol.error(refused.code, refused.detail, refused.client_id)).encode()
