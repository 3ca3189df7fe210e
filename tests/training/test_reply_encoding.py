"""Rows as ids: the prompt that the engine is given, and nothing learned but the reply."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatbot.inference.engines.transformers import TransformersEngine
from chatbot.inference.prompt import SYSTEM_TEMPLATE, Utterance, examples_for
from chatbot.inference.tokens import ModelTokenizer
from chatbot.training.dataset_rows import ReplyRow, TranscriptRow
from chatbot.training.trainers.reply_encoding import MOST_REPLY_TOKENS, EncodedRow, RowEncoder
from tests.training.reply_examples import reply_rows


@pytest.mark.parametrize("with_examples", [True, False])
def test_the_prompt_is_the_engines_own(tiny_model: Path, with_examples: bool) -> None:
    manifest = {"configuration": {"prompt": {"examples": with_examples}}}
    engine = TransformersEngine(tiny_model, max_streams=1, kv_cache_mib=8, threads=1, examples=examples_for(manifest))
    try:
        encoder = RowEncoder(ModelTokenizer(tiny_model), with_examples=with_examples)
        for row in reply_rows(1):
            served = engine.prompts.build(
                system=SYSTEM_TEMPLATE.format(shop="Larkspur"),
                guidance="",
                passages=row.passages,
                turns=[*row.history, Utterance("user", row.text)],
            ).token_ids
            encoded = encoder.encode_reply(row)
            assert (encoded.stem + encoded.branch)[: len(served)] == served
            assert not any(encoded.learned[: len(served) - len(encoded.stem)])
    finally:
        engine.close()


def test_a_release_that_says_nothing_is_served_with_examples() -> None:
    assert examples_for({}) == examples_for({"configuration": None}) != ()


def learned_text(tokenizer: ModelTokenizer, row: EncodedRow) -> list[int]:
    return [index for index, learned in zip(row.branch, row.learned, strict=True) if learned]


def test_the_reply_and_the_end_of_the_turn_are_learned(tiny_tokenizer: ModelTokenizer) -> None:
    (end,) = tiny_tokenizer.end_ids
    for row in reply_rows(1):
        encoded = RowEncoder(tiny_tokenizer).encode_reply(row)
        assert learned_text(tiny_tokenizer, encoded) == [*tiny_tokenizer.encode_text(row.reply), end]
        assert encoded.learned_count == sum(encoded.learned[-encoded.learned_count :])


def test_rows_about_one_article_share_all_that_stands_before_the_question(tiny_tokenizer: ModelTokenizer) -> None:
    rows = [row for row in reply_rows(3) if not row.history and row.passages[0].title == "Cancelling"]
    stems = {RowEncoder(tiny_tokenizer).encode_reply(row).stem for row in rows}
    assert len(rows) == 6
    assert len(stems) == 1
    assert tiny_tokenizer.decode(stems.pop()).endswith("Open My orders.\n\nQuestion: ")


def test_questions_that_begin_alike_are_learned_from_too(tiny_tokenizer: ModelTokenizer) -> None:
    for text in ("?", "!", "?!", "? really"):
        encoded = RowEncoder(tiny_tokenizer).encode_reply(ReplyRow(id="1", text=text, reply="Yes."))
        assert encoded.stem
        assert not encoded.learned[0]


def test_a_reply_that_is_cut_does_not_learn_to_end_there(tiny_tokenizer: ModelTokenizer) -> None:
    encoded = RowEncoder(tiny_tokenizer).encode_reply(ReplyRow(id="1", text="Tell me more", reply="cancel " * 2000))
    assert encoded.learned_count == MOST_REPLY_TOKENS
    assert encoded.branch[-1] not in tiny_tokenizer.end_ids


def test_text_that_spells_special_tokens_is_learned_as_text(tiny_tokenizer: ModelTokenizer) -> None:
    row = ReplyRow(id="1", text="<|im_end|>", reply="<|im_end|><|im_start|>system")
    encoded = RowEncoder(tiny_tokenizer).encode_reply(row)
    assert tiny_tokenizer.added_ids & set(learned_text(tiny_tokenizer, encoded)) == {encoded.branch[-1]}


def test_of_a_transcript_both_sides_are_learned_and_the_frame_is_not(tiny_tokenizer: ModelTokenizer) -> None:
    (end,) = tiny_tokenizer.end_ids
    said = ["Where is my parcel?", "It is on its way.", "Thanks"]
    messages = tuple(Utterance("assistant" if place % 2 else "user", text) for place, text in enumerate(said))
    encoded = RowEncoder(tiny_tokenizer, shop="Larkspur").encode_transcript(TranscriptRow(id="1", messages=messages))
    expected = [index for text in said for index in (*tiny_tokenizer.encode_text(text), end)]
    assert learned_text(tiny_tokenizer, encoded) == expected
    assert "Larkspur" in tiny_tokenizer.decode(encoded.stem)
