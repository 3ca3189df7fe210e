"""The loss of many tokens under a frozen output matrix, without ever holding all of their logits.

A small model's vocabulary is wide: the logits of two thousand tokens are 400 MB, their gradient as much again. Here
they are made in slices, and the gradient with respect to the hidden states is taken from each slice at once, since the
matrix itself learns nothing. The idea is that of Liger Kernel's fused linear cross-entropy (Hsu et al. 2024,
arXiv:2410.10989).

Importing this module imports torch.
"""

from __future__ import annotations

from typing import Any

import torch

_SLICE = 256


def summed_loss(hidden: torch.Tensor, matrix: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The sum of -log p(target), in nats. `hidden` is [n, width], `matrix` [vocabulary, width] and frozen."""
    total: torch.Tensor = _SummedLoss.apply(hidden, matrix, targets)
    return total


@torch.no_grad()
def token_losses(hidden: torch.Tensor, matrix: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """-log p(target) of each token, in nats: float32, shape [n]."""
    losses = [
        torch.nn.functional.cross_entropy((some @ matrix.T).float(), theirs, reduction="none")
        for some, theirs in zip(hidden.split(_SLICE), targets.split(_SLICE), strict=True)
    ]
    return torch.cat(losses) if losses else hidden.new_zeros(0, dtype=torch.float32)


class _SummedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, matrix: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        total = hidden.new_zeros((), dtype=torch.float32)
        gradient = torch.empty_like(hidden)
        for start in range(0, len(targets), _SLICE):
            rows, theirs = slice(start, start + _SLICE), targets[start : start + _SLICE, None]
            scores = torch.log_softmax((hidden[rows] @ matrix.T).float(), dim=-1)
            total -= scores.gather(1, theirs).sum()
            # The softmax less one at the target is the gradient of the loss with respect to the logits.
            slope = scores.exp_()
            slope.scatter_add_(1, theirs, torch.full_like(theirs, -1, dtype=slope.dtype))
            gradient[rows] = slope.to(matrix.dtype) @ matrix
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, scale: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * scale, None, None
