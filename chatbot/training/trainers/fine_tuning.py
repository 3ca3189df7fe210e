"""Fine-tuning a sentence encoder together with a linear head, in one plain loop.

It takes texts, labels and a head to start from, and gives back the tuned encoder and head. It refuses to know what is
held out, what the result is measured on and where it is kept.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chatbot.exceptions import ClassifierError
from chatbot.inference.encoder import load_sentence_transformer
from chatbot.inference.weights import Progress
from chatbot.training.curves import Point, Record
from chatbot.training.trainers.augmentation import TokenisedTexts, Views
from chatbot.training.trainers.heads import LinearHead
from chatbot.training.trainers.precision import computes_in_bfloat16

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)

_ENCODE_BATCH = 128
_GRADIENT_NORM = 1.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to tune. `word_dropout` and `splicing` say how a text is thinned, and how often it is seen with another
    example of its intent beside it (`augmentation.py`).

    `consistency` weighs R-Drop (Liang et al. 2021): every text is seen twice in a batch, under different dropout, and
    the two predictions are drawn together. 0 leaves the second view out, for half of the time.
    `finishing_epochs` are for a second call that goes on from what the first gave, on rows that it held back.
    `base_share` is for afterwards: how much of every weight is the base encoder's in the end, and how much tuned.
    """

    epochs: int
    finishing_epochs: int = 1
    encoder_learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    batch_size: int = 32
    label_smoothing: float = 0.05
    dropout: float = 0.1
    word_dropout: float = 0.0
    splicing: float = 0.0
    consistency: float = 0.0
    weight_decay: float = 0.01
    warm_up: float = 0.1
    # Flat between 0.1 and 0.5 with many examples and with few (docs/log.md).
    base_share: float = 0.25

    def __post_init__(self) -> None:
        if min(self.epochs, self.finishing_epochs, self.batch_size) < 1:
            raise ValueError("a recipe needs at least one epoch and one text a batch")
        shares = (self.word_dropout, self.splicing, self.dropout, self.warm_up, self.base_share)
        if not all(0 <= share < 1 for share in shares):
            raise ValueError("shares lie between 0 and 1")


class TunedEncoder:
    """A sentence-transformers model that was tuned, in memory."""

    def __init__(self, model: SentenceTransformer) -> None:
        self._model = model

    def copy(self) -> SentenceTransformer:
        """The model, to tune further."""
        return copy.deepcopy(self._model)

    def drawn_towards(self, base: Path, share: float) -> TunedEncoder:
        """A copy of which every weight is `share` the folder's and the rest its own.

        Two encoders of which one was tuned from the other have all the encoders between them for good ones, and often
        better (Wortsman et al. 2022, arXiv:2109.01903).
        """
        drawn = self.copy()
        theirs = load_sentence_transformer(base).state_dict()
        for name, weight in drawn.state_dict().items():
            if weight.is_floating_point():
                weight.lerp_(theirs[name].to(weight), share)
        return TunedEncoder(drawn)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings: float32, shape [len(texts), dimension], rows of unit length."""
        if not texts:
            return np.zeros((0, int(self._model.get_embedding_dimension() or 0)), dtype=np.float32)
        embeddings: NDArray[np.float32] = self._model.encode(
            list(texts), batch_size=_ENCODE_BATCH, normalize_embeddings=True, show_progress_bar=False
        )
        return embeddings

    def save(self, directory: Path) -> None:
        """Write a sentence-transformers folder."""
        self._model.save(str(directory), create_model_card=False, safe_serialization=True)


def fine_tune(
    *,
    start: Path | TunedEncoder,
    head: LinearHead,
    texts: Sequence[str],
    labels: NDArray[np.int64],
    recipe: Recipe,
    epochs: int,
    seed: int,
    progress: Progress | None = None,
    record: Record | None = None,
) -> tuple[TunedEncoder, LinearHead]:
    """Tune an encoder and a head by cross-entropy. The same seed gives the same result.

    `start` is a sentence-transformers folder or what an earlier call gave; neither it nor `head` is changed. Runs on
    the GPU where there is one, in bfloat16 where the processor computes in it. Raises ClassifierError where the loss is
    no longer a number, ModelFilesError where the folder is no sentence-transformers model.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.random.fork_rng(devices=[0] if device == "cuda" else []):
        torch.manual_seed(seed)
        model = (start.copy() if isinstance(start, TunedEncoder) else load_sentence_transformer(start)).to(device)
        linear = _linear(head, device)
        views = Views(
            TokenisedTexts.of(model, texts),
            labels,
            np.random.default_rng(seed),
            word_dropout=recipe.word_dropout,
            splicing=recipe.splicing,
        )
        _set_dropout(model, recipe.dropout)
        _freeze_word_embeddings(model)
        steps = epochs * math.ceil(len(texts) / recipe.batch_size)
        optimiser, schedule = _optimiser(model, linear, recipe, steps)
        targets = torch.as_tensor(labels, device=device)
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        meter = _Meter(steps, progress, record)
        model.train()
        for epoch in range(epochs):
            for batch in views.batches(recipe.batch_size):
                loss = _loss(model, linear, views, batch, targets[batch], recipe)
                if not torch.isfinite(loss):
                    raise ClassifierError("The training diverged: its loss is no longer a number.")
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, _GRADIENT_NORM)
                optimiser.step()
                schedule.step()
                meter.tick(epoch, epochs, loss, schedule.get_last_lr()[0])
        model.eval()
        tuned = LinearHead(
            linear.weight.detach().float().cpu().numpy().copy(), linear.bias.detach().float().cpu().numpy().copy()
        )
        return TunedEncoder(model), tuned


class _Meter:
    """Reports progress a few times a second at most, since reading the loss waits for the device."""

    def __init__(self, steps: int, progress: Progress | None, record: Record | None) -> None:
        self._steps, self._progress, self._record = steps, progress, record
        self._step, self._next = 0, 0.0

    def tick(self, epoch: int, epochs: int, loss: torch.Tensor, learning_rate: float) -> None:
        self._step += 1
        if time.monotonic() < self._next and self._step < self._steps:
            return
        self._next = time.monotonic() + 0.5
        value = float(loss.detach())
        if self._record is not None:
            self._record(Point(self._step, loss=value, learning_rate=learning_rate))
        if self._progress is not None:
            self._progress(f"epoch {epoch + 1} of {epochs}, loss {value:.3f}", self._step / self._steps)


def _loss(
    model: SentenceTransformer,
    linear: torch.nn.Linear,
    views: Views,
    batch: NDArray[np.int64],
    targets: torch.Tensor,
    recipe: Recipe,
) -> torch.Tensor:
    import torch
    from torch.nn import functional

    count = 2 if recipe.consistency > 0 else 1
    rows = [views.draw(int(row)) for _ in range(count) for row in batch]
    logits = linear(_embed(model, rows, views.pad))
    loss = functional.cross_entropy(logits, torch.cat([targets] * count), label_smoothing=recipe.label_smoothing)
    if count == 2:
        first, second = (functional.log_softmax(half, dim=-1) for half in logits.chunk(2))
        there = functional.kl_div(first, second, log_target=True, reduction="batchmean")
        back = functional.kl_div(second, first, log_target=True, reduction="batchmean")
        loss = loss + recipe.consistency * (there + back) / 2
    return loss


def _embed(model: SentenceTransformer, rows: list[list[int]], pad: int) -> torch.Tensor:
    """Unit-length embeddings of token ids, with gradients."""
    import torch

    width = max(1, *map(len, rows))
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[number, : len(row)] = 1
    device = model.device
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=computes_in_bfloat16(device.type)):
        features: dict[str, Any] = model({"input_ids": ids.to(device), "attention_mask": mask.to(device)})
    return torch.nn.functional.normalize(features["sentence_embedding"].float(), dim=-1)


def _linear(head: LinearHead, device: str) -> torch.nn.Linear:
    import torch

    linear = torch.nn.Linear(head.weights.shape[1], head.weights.shape[0])
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(head.weights))
        linear.bias.copy_(torch.from_numpy(head.bias))
    return linear.to(device)


def _set_dropout(model: SentenceTransformer, share: float) -> None:
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share


def _freeze_word_embeddings(model: SentenceTransformer) -> None:
    """Half of a small encoder's weights, of which a catalogue's words would move a few and tear them from the rest."""
    for module in model.modules():
        table = getattr(module, "get_input_embeddings", None)
        if table is not None and (words := table()) is not None:
            words.weight.requires_grad_(False)
            return


def _optimiser(model: SentenceTransformer, linear: torch.nn.Linear, recipe: Recipe, steps: int) -> tuple[Any, Any]:
    """AdamW with warm-up and linear decay."""
    import torch

    groups = [
        {"params": [p for p in model.parameters() if p.requires_grad], "lr": recipe.encoder_learning_rate},
        {"params": list(linear.parameters()), "lr": recipe.head_learning_rate},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=True)
    warm_up = max(1.0, recipe.warm_up * steps)

    def factor(step: int) -> float:
        return (step + 1) / warm_up if step < warm_up else max(0.0, (steps - step) / max(1.0, steps - warm_up))

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
