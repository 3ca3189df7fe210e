"""Rows of a dataset as token ids, in exactly the prompts that serving builds, with what is to be learned marked.

Pure: no torch, no Django.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from chatbot.inference.prompt import CONTEXT_TOKENS, EXAMPLES, SYSTEM_TEMPLATE, Ids, Utterance, serving_prompts
from chatbot.inference.tokens import ModelTokenizer
from chatbot.training.dataset_rows import ReplyRow, TranscriptRow

# A reply longer than serving ever writes teaches no more than its beginning.
MOST_REPLY_TOKENS = 512
# Where a row names no shop.
ANY_SHOP = "our shop"


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """`stem` and then `branch` are what the model reads; `learned` marks the ids of `branch` that it learns to say.

    Rows whose `stem` is the same may share it: it ends where the customer's question begins.
    """

    stem: Ids
    branch: Ids
    learned: tuple[bool, ...]

    def __post_init__(self) -> None:
        if len(self.learned) != len(self.branch):
            raise ValueError("every id of the branch is learned or not")
        if not self.stem and self.learned[:1] == (True,):
            raise ValueError("nothing stands before the first id, so it cannot be predicted")

    def __len__(self) -> int:
        return len(self.stem) + len(self.branch)

    @property
    def learned_count(self) -> int:
        """How many ids are learned."""
        return sum(self.learned)


class RowEncoder:
    """Encodes rows for one model. `shop` is for rows that name none; `with_examples` as the release will be served."""

    def __init__(self, tokenizer: ModelTokenizer, *, shop: str = ANY_SHOP, with_examples: bool = False) -> None:
        self._tokenizer = tokenizer
        self._shop = shop
        self._context_tokens = min(CONTEXT_TOKENS, tokenizer.context_length)
        self._prompts = serving_prompts(tokenizer, self._context_tokens, EXAMPLES if with_examples else ())
        self._end = self._end_of_turn()

    def prompt(self, row: ReplyRow) -> Ids:
        """What the engine is given to answer the row's text."""
        return self._prompts.build(
            system=self._system(row.shop),
            guidance=row.guidance,
            passages=row.passages,
            turns=[*row.history, Utterance("user", row.text)],
        ).token_ids

    def encode_reply(self, row: ReplyRow) -> EncodedRow:
        """The prompt, then the reply and the end of the turn, which alone are learned."""
        prompt = self.prompt(row)
        another = self.prompt(row.model_copy(update={"text": "!" if row.text.strip().startswith("?") else "?"}))
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(prompt[:-1], another, strict=False)))
        reply = tuple(self._tokenizer.encode_text(row.reply.strip()))
        # A reply that is cut does not end there.
        reply = reply[:MOST_REPLY_TOKENS] if len(reply) > MOST_REPLY_TOKENS else (*reply, self._end)
        tail = prompt[shared:]
        return EncodedRow(prompt[:shared], tail + reply, (False,) * len(tail) + (True,) * len(reply))

    def encode_transcript(self, row: TranscriptRow) -> EncodedRow:
        """A conversation as it went: what either side says, and the end of its turn, is learned; the frame is not."""
        (opening, _), (system, _), *pieces = self._prompts.conversation(self._system(""), row.messages)
        ids: list[int] = []
        learned: list[bool] = []
        for piece, is_text in pieces[:-1]:
            ids += piece
            learned += [is_text] * len(piece)
        ids.append(self._end)
        # The end of a turn is the first id of the frame that follows a text.
        learned = [
            said or (index == self._end and before)
            for index, said, before in zip(ids, [*learned, False], [False, *learned], strict=True)
        ]
        room = self._context_tokens - len(opening) - len(system)
        return EncodedRow(opening + system, tuple(ids[:room]), tuple(learned[:room]))

    def _system(self, shop: str) -> str:
        return SYSTEM_TEMPLATE.format(shop=shop or self._shop)

    def _end_of_turn(self) -> int:
        """The id with which the template ends what the assistant says."""
        pieces = self._prompts.conversation("", [Utterance("user", "?"), Utterance("assistant", "!")])
        ends = self._tokenizer.end_ids
        return next((index for index in pieces[-1][0] if index in ends), min(ends))
