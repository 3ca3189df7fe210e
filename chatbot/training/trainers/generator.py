"""The generator's recipe: LoRA on chat-formatted rows, learning the replies alone, in one plain loop.

    rows → prompts as served → packs → batches → steps → the adapter with the lowest held-out loss

It takes encoded rows and gives back an adapter. It refuses to know where rows come from, and what becomes of the
adapter. The same seed gives the same adapter on the same machine. With several processes, as `accelerate launch` starts
them, each takes its part of every step's batches; what they have learned is summed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from chatbot.exceptions import GeneratorError
from chatbot.inference.weights import Progress
from chatbot.training.curves import Point, Record
from chatbot.training.evaluation.reply_loss import ReplyLoss, loss_of
from chatbot.training.trainers.checkpoints import Checkpoint, CheckpointFolder
from chatbot.training.trainers.generator_recipe import GeneratorRecipe
from chatbot.training.trainers.packing import Pack, collate, make_batches, pack_rows
from chatbot.training.trainers.reply_encoding import EncodedRow

if TYPE_CHECKING:
    import torch

    from chatbot.training.trainers.lora import ReplyModel

# A kill costs at most this much work.
CHECKPOINT_EVERY_S = 60.0
Step = list[list[Pack]]


@dataclass(frozen=True, slots=True)
class Tuned:
    """An adapter, the `steps` taken of `planned`, and the loss on all held-out rows before and after."""

    adapter: dict[str, torch.Tensor]
    steps: int
    planned: int
    best_step: int
    before: ReplyLoss
    after: ReplyLoss
    tokens: int
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        """Tokens of rows learned from in a second of training, the stems that rows share counted for each of them."""
        return self.tokens / self.seconds if self.seconds else 0.0


def tune(
    model: ReplyModel,
    rows: Sequence[EncodedRow],
    held_out: Sequence[EncodedRow],
    recipe: GeneratorRecipe,
    *,
    seed: int,
    checkpoints: CheckpointFolder | None = None,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    progress: Progress | None = None,
    record: Record | None = None,
) -> Tuned:
    """Train the adapter of `model` from where it stands, or from its last checkpoint. `model` is left with the best.

    Raises GeneratorError where there is nothing to learn or the loss is no longer a number.
    """
    if not any(row.learned_count for row in rows):
        raise GeneratorError("There is nothing to train on: no row has a reply.")
    if not any(row.learned_count for row in held_out):
        raise GeneratorError("There is nothing to measure on: no held-out row has a reply.")
    training = _Training(
        model,
        rows,
        held_out,
        recipe,
        seed,
        progress or (lambda _message, _share: None),
        record or (lambda _point: None),
    )
    return training.run(checkpoints, checkpoint_every_s)


def plan(rows: Sequence[EncodedRow], recipe: GeneratorRecipe, seed: int) -> list[Step]:
    """All steps of a training: each a list of batches of packs."""
    steps: list[Step] = []
    for epoch in range(recipe.epochs):
        chance = np.random.default_rng([seed, epoch])
        packs = pack_rows(rows, chance.permutation(len(rows)).tolist(), capacity=recipe.pack_tokens)
        batches = make_batches(packs, tokens=recipe.batch_tokens)
        taken = math.inf
        for number in chance.permutation(len(batches)).tolist():
            if taken >= recipe.step_tokens:
                steps.append([])
                taken = 0
            steps[-1].append(batches[number])
            taken += sum(len(rows[row]) for pack in batches[number] for row in pack.rows)
        if recipe.max_steps is not None and len(steps) >= recipe.max_steps:
            return steps[: recipe.max_steps]
    return steps


@dataclass(slots=True)
class _Seen:
    """What a training has found out so far; kept in its checkpoints."""

    lowest: float
    best_step: int = 0
    worse: int = 0
    tokens: int = 0
    seconds: float = 0.0


class _Training:
    def __init__(
        self,
        model: ReplyModel,
        rows: Sequence[EncodedRow],
        held_out: Sequence[EncodedRow],
        recipe: GeneratorRecipe,
        seed: int,
        progress: Progress,
        record: Record,
    ) -> None:
        import torch
        from accelerate import PartialState

        self._model, self._rows, self._held_out, self._recipe = model, rows, held_out, recipe
        self._progress, self._record = progress, record
        self._processes = PartialState()
        self._steps = plan(rows, recipe, seed)
        looks = min(recipe.looks, len(self._steps))
        self._look_after = {round(len(self._steps) * (look + 1) / looks) for look in range(looks)}
        chosen = np.random.default_rng(seed).permutation(len(held_out))[: recipe.most_watched]
        self._watched = np.sort(chosen)
        self._parameters = model.parameters()
        self._optimiser = torch.optim.AdamW(self._parameters, lr=recipe.learning_rate, weight_decay=0.0)
        self._initial = self._best = model.adapter()
        self._done = 0
        progress("Training: measuring the loss before", 0.0)
        self._before = loss_of(model, held_out)
        self._seen = _Seen(lowest=self._before.of(self._watched).per_token)
        record(Point(0, held_out_loss=self._seen.lowest))

    def run(self, checkpoints: CheckpointFolder | None, every_s: float) -> Tuned:
        saved_at = time.monotonic()
        if checkpoints is not None and (checkpoint := checkpoints.load()) is not None:
            self._resume(checkpoint)
        while self._done < len(self._steps) and not 0 < self._recipe.patience <= self._seen.worse:
            self._take(self._steps[self._done])
            if checkpoints is not None and time.monotonic() - saved_at >= every_s:
                self._save(checkpoints)
                saved_at = time.monotonic()
        if checkpoints is not None:
            self._save(checkpoints)
        self._model.set_adapter(self._best)
        self._progress("Training: measuring the loss after", 1.0)
        after = loss_of(self._model, self._held_out) if self._seen.best_step else self._before
        if after.per_token >= self._before.per_token:
            # The watched rows spoke for it, and all of them speak against it.
            self._model.set_adapter(self._initial)
            self._best, self._seen.best_step, after = self._initial, 0, self._before
        return Tuned(
            adapter=self._best,
            steps=self._done,
            planned=len(self._steps),
            best_step=self._seen.best_step,
            before=self._before,
            after=after,
            tokens=self._seen.tokens,
            seconds=self._seen.seconds,
        )

    def _take(self, step: Step) -> None:
        """One step of the optimiser, and a look at the held-out loss where it is time for one."""
        import torch

        began = time.perf_counter()
        rows = [row for batch in step for pack in batch for row in pack.rows]
        learned = sum(self._rows[row].learned_count for row in rows)
        rate = self._recipe.rate_at(self._done, len(self._steps))
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        loss = self._gradients(step, learned)
        if not math.isfinite(loss):
            raise GeneratorError("The training diverged: its loss is no longer a number. Lower the learning rate.")
        torch.nn.utils.clip_grad_norm_(self._parameters, self._recipe.gradient_norm)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self._done += 1
        tokens, seconds = sum(len(self._rows[row]) for row in rows), time.perf_counter() - began
        self._seen.tokens += tokens
        self._seen.seconds += seconds
        watched = self._look() if self._done in self._look_after else None
        self._record(
            Point(self._done, loss=loss, held_out_loss=watched, learning_rate=rate, tokens_per_s=tokens / seconds)
        )
        self._progress(
            f"Training: step {self._done} of {len(self._steps)}, loss {loss:.3f}, {tokens / seconds:.0f} tokens/s",
            self._done / len(self._steps),
        )

    def _gradients(self, step: Step, learned: int) -> float:
        """Leave the gradients of the step's mean loss in the parameters, and give that loss."""
        import torch
        from accelerate.utils import reduce

        device = self._model.device
        total = torch.zeros((), device=device)
        for packs in step[self._processes.process_index :: self._processes.num_processes]:
            loss = self._model.summed_loss(collate(self._rows, packs).to(device)) / learned
            loss.backward()
            total += loss.detach()
        if self._processes.num_processes > 1:
            # An adapter's gradients are small, so one sum of all of them costs less than hooks on each.
            parts = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self._parameters]
            summed = reduce(torch.cat([total.reshape(1), *(part.flatten() for part in parts)]), "sum")
            total = summed[0]
            pieces = summed[1:].split([part.numel() for part in parts])
            for parameter, piece in zip(self._parameters, pieces, strict=True):
                parameter.grad = piece.view_as(parameter).clone()
        return float(total)

    def _look(self) -> float:
        """The loss on the watched rows; the adapter is kept if it was never lower."""
        found = loss_of(self._model, [self._held_out[row] for row in self._watched]).per_token
        if found < self._seen.lowest:
            self._best = self._model.adapter()
            self._seen.lowest, self._seen.best_step, self._seen.worse = found, self._done, 0
        else:
            self._seen.worse += 1
        return found

    def _save(self, checkpoints: CheckpointFolder) -> None:
        if not self._processes.is_main_process:
            return
        optimiser = {
            f"{number}.{name}": tensor
            for number, state in self._optimiser.state_dict()["state"].items()
            for name, tensor in state.items()
        }
        checkpoints.save(
            Checkpoint(self._done, self._model.adapter(), self._best, optimiser, progress=asdict(self._seen))
        )

    def _resume(self, checkpoint: Checkpoint) -> None:
        self._model.set_adapter(checkpoint.adapter)
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, tensor in checkpoint.optimiser.items():
            number, _, name = key.partition(".")
            state.setdefault(int(number), {})[name] = tensor
        self._optimiser.load_state_dict({**self._optimiser.state_dict(), "state": state})
        self._best, self._done, self._seen = checkpoint.best, checkpoint.step, _Seen(**checkpoint.progress)
