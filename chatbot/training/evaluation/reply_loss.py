"""How surprised a generator is by the replies that people gave: the held-out loss, in nats a token.

Only the tokens of the replies count, and the end of each, after the very prompt that the release is served with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chatbot.inference.prompt import examples_for
from chatbot.inference.tokens import ModelTokenizer
from chatbot.inference.weights import MANIFEST
from chatbot.training.dataset_rows import ReplyRow
from chatbot.training.trainers.packing import collate, make_batches, pack_rows
from chatbot.training.trainers.reply_encoding import ANY_SHOP, EncodedRow, RowEncoder

if TYPE_CHECKING:
    from chatbot.training.trainers.lora import ReplyModel

# Without gradients a batch takes little memory.
PACK_TOKENS, BATCH_TOKENS = 512, 2048


@dataclass(frozen=True, slots=True)
class ReplyLoss:
    """`sums`, in nats, and `tokens` are of each row, in the order given; both of shape [rows]."""

    sums: NDArray[np.float64]
    tokens: NDArray[np.int64]

    @property
    def per_token(self) -> float:
        """The mean over all tokens of all replies; not a number where there are none."""
        return float(self.sums.sum() / self.tokens.sum()) if self.tokens.sum() else float("nan")

    def of(self, rows: NDArray[np.int64]) -> ReplyLoss:
        """That of some of the rows, by number."""
        return ReplyLoss(self.sums[rows], self.tokens[rows])

    @property
    def per_row(self) -> NDArray[np.float64]:
        """The mean over each row's tokens."""
        return self.sums / np.maximum(self.tokens, 1)


def held_out_loss(
    model_dir: Path,
    rows: Sequence[ReplyRow],
    *,
    shop: str = ANY_SHOP,
    progress: Callable[[float], None] | None = None,
) -> ReplyLoss:
    """The loss of the model in a prepared folder or a release's, after the prompts that it is served with.

    Imports torch and loads the model: for workers and commands only. Raises ModelFilesError.
    """
    from chatbot.training.trainers.lora import ReplyModel

    manifest = json.loads((model_dir / MANIFEST).read_bytes()) if (model_dir / MANIFEST).is_file() else {}
    encoder = RowEncoder(ModelTokenizer(model_dir), shop=shop, with_examples=bool(examples_for(manifest)))
    return loss_of(ReplyModel.load(model_dir), [encoder.encode_reply(row) for row in rows], progress)


def loss_of(
    model: ReplyModel, rows: Sequence[EncodedRow], progress: Callable[[float], None] | None = None
) -> ReplyLoss:
    """The loss of a model in memory. `progress` is told the share that is done."""
    sums = np.zeros(len(rows))
    batches = make_batches(pack_rows(rows, range(len(rows)), capacity=PACK_TOKENS), tokens=BATCH_TOKENS)
    for number, packs in enumerate(batches):
        sums += model.row_losses(collate(rows, packs).to(model.device), len(rows))
        if progress is not None:
            progress((number + 1) / len(batches))
    return ReplyLoss(sums, np.array([row.learned_count for row in rows], dtype=np.int64))
