"""How a text is seen in one pass of tuning: never twice the same, in batches of like length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Batches are cut from so many shuffled batches' worth of rows sorted by length: a third of the time is padding else.
_BUCKET_BATCHES = 16


@dataclass(frozen=True, slots=True)
class TokenisedTexts:
    """A text's tokens without the marks that its tokenizer puts around every text, and those marks."""

    bodies: list[list[int]]
    before: list[int]
    after: list[int]
    pad: int
    longest: int

    @classmethod
    def of(cls, model: SentenceTransformer, texts: Sequence[str]) -> TokenisedTexts:
        """As the model's own tokenizer cuts them, at most as long as the model reads."""
        tokenizer = model.tokenizer
        longest = int(model.max_seq_length or 512)
        encoded = tokenizer(list(texts), truncation=True, max_length=longest, return_special_tokens_mask=True)
        bodies = [
            [token for token, mark in zip(ids, marks, strict=True) if not mark]
            for ids, marks in zip(encoded["input_ids"], encoded["special_tokens_mask"], strict=True)
        ]
        before, after = _marks(tokenizer)
        return cls(bodies, before, after, int(tokenizer.pad_token_id or 0), longest)

    def row(self, body: list[int]) -> list[int]:
        """The body between its marks, cut to what the model reads."""
        return [*self.before, *body[: self.longest - len(self.before) - len(self.after)], *self.after]


class Views:
    """Draws views of texts: words left out, and other examples of the same intent put beside them."""

    def __init__(
        self,
        texts: TokenisedTexts,
        labels: NDArray[np.int64],
        generator: np.random.Generator,
        *,
        word_dropout: float,
        splicing: float,
    ) -> None:
        """`word_dropout` is the share of tokens left out of a view; `splicing` the share of views made of two texts."""
        self._texts, self._labels, self._generator = texts, labels, generator
        self._word_dropout, self._splicing = word_dropout, splicing
        self._peers = {int(label): np.flatnonzero(labels == label) for label in np.unique(labels)}

    @property
    def pad(self) -> int:
        """The token that makes the rows of a batch equally long."""
        return self._texts.pad

    def draw(self, row: int) -> list[int]:
        """Token ids of one view of the text."""
        body = self._texts.bodies[row]
        if self._splicing and self._generator.random() < self._splicing:
            other = self._texts.bodies[self._generator.choice(self._peers[int(self._labels[row])])]
            body = [*body, *other] if self._generator.random() < 0.5 else [*other, *body]
        if self._word_dropout:
            kept = self._generator.random(len(body)) >= self._word_dropout
            body = [token for token, keep in zip(body, kept, strict=True) if keep]
        return self._texts.row(body)

    def batches(self, size: int) -> Iterator[NDArray[np.int64]]:
        """Every row once, in batches of like length, in random order."""
        lengths = [len(body) for body in self._texts.bodies]
        order = self._generator.permutation(len(lengths))
        batches: list[NDArray[np.int64]] = []
        for start in range(0, len(order), size * _BUCKET_BATCHES):
            bucket = np.array(sorted(order[start : start + size * _BUCKET_BATCHES], key=lengths.__getitem__))
            batches += [bucket[first : first + size] for first in range(0, len(bucket), size)]
        for position in self._generator.permutation(len(batches)):
            yield batches[position]


def _marks(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The tokens that the tokenizer puts before and after every text."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    ids, body = encoded["input_ids"], [not mark for mark in encoded["special_tokens_mask"]]
    first, last = body.index(True), len(body) - body[::-1].index(True)
    return ids[:first], ids[last:]
