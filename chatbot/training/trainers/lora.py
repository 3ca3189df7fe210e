"""A frozen generator with a LoRA adapter beside its matrices (Hu et al. 2021, arXiv:2106.09685), by peft.

Importing this module imports torch, transformers and peft.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from chatbot.exceptions import ModelFilesError
from chatbot.training.trainers.packing import Batch
from chatbot.training.trainers.precision import computes_in_bfloat16
from chatbot.training.trainers.token_loss import summed_loss, token_losses


class ReplyModel:
    """A generator that tells how likely a batch's learned tokens are. Without an adapter it can only be measured."""

    def __init__(self, model: Any, device: str) -> None:
        self._model = model
        self.device = device
        causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._body = causal.base_model
        self._matrix: torch.Tensor = causal.get_output_embeddings().weight

    @classmethod
    def load(cls, model_dir: Path, device: str | None = None) -> ReplyModel:
        """The folder's model, frozen; on the GPU where there is one. Raises ModelFilesError."""
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        disable_progress_bar()
        try:
            model = AutoModelForCausalLM.from_pretrained(
                model_dir,
                dtype=torch.bfloat16 if computes_in_bfloat16(device) else torch.float32,
                attn_implementation="sdpa",
                local_files_only=True,
            )
        except Exception as error:  # transformers raises nearly everything for files that it cannot read
            raise ModelFilesError(f"transformers cannot load the model ({error})", path=model_dir) from error
        return cls(model.requires_grad_(False).eval().to(device), device)

    @property
    def layers(self) -> int:
        """How many decoder layers the model has."""
        return int(self._body.config.num_hidden_layers)

    def with_adapter(
        self, *, rank: int, alpha: int, targets: Sequence[str], layers: Sequence[int], seed: int
    ) -> ReplyModel:
        """The same model with a fresh adapter, which changes nothing until it is trained.

        The adapter is kept in float32 whatever the model computes in: its steps are too small for bfloat16. Layers
        below the lowest adapted one need no backward pass.
        """
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            target_modules=list(targets),
            layers_to_transform=list(layers),
            bias="none",
            task_type="CAUSAL_LM",
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return ReplyModel(get_peft_model(self._model, config, autocast_adapter_dtype=True), self.device)

    def parameters(self) -> list[torch.nn.Parameter]:
        """What is trained, in a fixed order."""
        return [parameter for parameter in self._model.parameters() if parameter.requires_grad]

    def adapter(self) -> dict[str, torch.Tensor]:
        """The adapter's tensors under peft's names, in float32 on the CPU."""
        state = get_peft_model_state_dict(self._model)
        return {name: tensor.detach().to("cpu", torch.float32, copy=True) for name, tensor in state.items()}

    def set_adapter(self, tensors: dict[str, torch.Tensor]) -> None:
        """Put back what `adapter` gave."""
        set_peft_model_state_dict(self._model, tensors)

    def summed_loss(self, batch: Batch) -> torch.Tensor:
        """The sum over the batch's learned tokens, in nats, with gradients."""
        return summed_loss(self._predicting(batch), self._matrix, batch.targets)

    @torch.no_grad()
    def row_losses(self, batch: Batch, rows: int) -> NDArray[np.float64]:
        """Each row's sum over its learned tokens, in nats; shape [rows], 0 for rows that are not in the batch."""
        losses = token_losses(self._predicting(batch), self._matrix, batch.targets)
        weights = losses.double().cpu().numpy()
        return np.bincount(batch.rows, weights=weights, minlength=rows).astype(np.float64)

    def _predicting(self, batch: Batch) -> torch.Tensor:
        """The hidden states that predict the learned tokens: [n, width]."""
        with self._autocast():
            hidden = self._body(
                input_ids=batch.ids, position_ids=batch.positions, attention_mask=batch.mask, use_cache=False
            ).last_hidden_state
        return hidden.flatten(0, 1)[batch.predictors].to(self._matrix.dtype)

    def _autocast(self) -> AbstractContextManager[Any]:
        # The adapter's float32 would otherwise make all that it touches float32.
        return (
            torch.autocast(self.device, dtype=torch.bfloat16) if self._matrix.dtype == torch.bfloat16 else nullcontext()
        )
