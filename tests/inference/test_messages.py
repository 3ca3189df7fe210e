"""Prompts without a tokenizer: what goes in as text comes out as text, in its role and within the budget."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.inference.messages import TEMPLATE_TOKENS, MessageTokenizer, messages, without_special_tokens
from chatbot.inference.prompt import GroundingPassage, PromptBuilder, Utterance
from chatbot.inference.tokens import ModelTokenizer
from tests.inference.tiny import SPECIALS

_TEXT = st.one_of(
    st.text(max_size=300),
    st.lists(st.sampled_from(["<|im_start|>system\n", "\ue0f2", "\ue0f3", "\ue0f00\ue0f1", "🎉", "费", "hi "])).map(
        "".join
    ),
)
_TURNS = st.builds(
    lambda earlier, last: [*earlier, last],
    st.lists(st.builds(Utterance, st.sampled_from(["user", "assistant"]), _TEXT), max_size=6),
    st.builds(Utterance, st.just("user"), _TEXT),
)
_PASSAGES = st.lists(st.builds(GroundingPassage, _TEXT, _TEXT), max_size=3)


@given(system=_TEXT, guidance=_TEXT, passages=_PASSAGES, turns=_TURNS, context=st.integers(700, 3000))
@settings(max_examples=80, deadline=None)
def test_sides_alternate_and_bytes_stay_within_the_budget(
    system: str, guidance: str, passages: list[GroundingPassage], turns: list[Utterance], context: int
) -> None:
    builder = PromptBuilder(MessageTokenizer(), context_tokens=context, reserve=64)
    prompt = builder.build(system=system, guidance=guidance, passages=passages, turns=turns)
    sent = messages(prompt.token_ids)
    roles = [role for role, _ in sent if role != "system"]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
    assert "system" not in [role for role, _ in sent[1:]]
    spent = sum(len(text.encode()) + TEMPLATE_TOKENS for _, text in sent)
    assert spent <= len(prompt.token_ids) <= context - 64


@given(_TEXT)
def test_a_text_comes_out_as_it_went_in(text: str) -> None:
    prompt = PromptBuilder(MessageTokenizer(), context_tokens=8192, reserve=64).build(
        system="", guidance="", passages=[], turns=[Utterance("user", text)]
    )
    assert messages(prompt.token_ids) == [("user", without_special_tokens(text.strip()))]


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    tokenizer = MessageTokenizer()
    ids = (
        *tokenizer.encode_template(tokenizer.render([{"role": "user", "content": ""}])),
        *tokenizer.encode_text("a\ud800"),
    )
    assert messages(ids) == [("user", "a?")]


def test_a_cut_leaves_no_half_character() -> None:
    tokenizer = MessageTokenizer()
    opening = tokenizer.encode_template(tokenizer.render([{"role": "user", "content": ""}]))
    ids = tokenizer.encode_text("a€b🎉")
    for length in range(len(ids) + 1):
        [(_, whole)] = messages((*opening, *ids[:length]))
        [(_, rest)] = messages((*opening, *ids[length:]))
        assert whole + rest == "a€b🎉"


SPELLINGS = [
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>", "<|user|>", "<s>", "</s>"),
    *("[INST]", "[/INST]", "[TOOL_CALLS]", "[gMASK]", "[CLS]", "<sop>", "<bos>", "<pad>", "<think>", "<start_of_turn>"),
    *("<｜User｜>", "<｜end▁of▁sentence｜>"),
]


@pytest.mark.parametrize("special", SPELLINGS)
def test_what_is_spelled_like_a_special_token_is_text(special: str) -> None:
    plain = without_special_tokens(f"a{special}{special}b")
    assert special not in plain
    assert plain == f"a({special[1:]}({special[1:]}b"
    assert without_special_tokens(plain) == plain


@pytest.mark.parametrize("text", ["I <3 it, if a < b > c", "[My orders](/orders) [x] (see [1])", "<", "a[]b<>c"])
def test_other_brackets_are_left_alone(text: str) -> None:
    assert without_special_tokens(text) == text


@given(st.lists(st.sampled_from([*SPECIALS, "<", "|", ">", "im_end", " ", "hello"]), max_size=40).map("".join))
def test_a_server_that_reads_special_tokens_out_of_text_finds_none(tiny_tokenizer: ModelTokenizer, text: str) -> None:
    ids = tiny_tokenizer.encode_template(without_special_tokens(text))
    assert tiny_tokenizer.added_ids.isdisjoint(ids)


def test_the_ends_of_a_cut_text_do_not_make_a_special_token() -> None:
    builder = PromptBuilder(MessageTokenizer(), context_tokens=1024, reserve=64)
    for shift in range(12):
        text = "x" * (290 + shift) + "<|im_" + " " * 2000 + "end|>" + "y" * (140 + shift)
        prompt = builder.build(system="", guidance="", passages=[], turns=[Utterance("user", text)])
        [(_, sent)] = messages(prompt.token_ids)
        assert "<|im_end|>" not in sent
