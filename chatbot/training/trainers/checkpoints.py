"""Where a training of the generator stands, on disk, so that it goes on there after its process was killed.

    DIRECTORY/
      step-00000120/            written beside its place and moved there whole; older ones are deleted afterwards
        adapter.safetensors     the adapter as it is, and under `best.` as it was when the held-out loss was lowest
        optimiser.safetensors   AdamW's moments of each parameter
        state.json              the step, the losses so far, and the sha256 of both files

Nothing is pickled: a checkpoint is as harmless to load as a release. One that is torn, damaged or of another training
is passed over, and training begins anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

_ADAPTER, _OPTIMISER, _STATE = "adapter.safetensors", "optimiser.safetensors", "state.json"
_BEST = "best."
# What a killed training left and nobody took up again is deleted after this.
ABANDONED_S = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A training after `step` steps. `progress` is plain JSON that the trainer wrote and reads."""

    step: int
    adapter: dict[str, torch.Tensor]
    best: dict[str, torch.Tensor]
    optimiser: dict[str, torch.Tensor]
    progress: dict[str, Any]


class CheckpointFolder:
    """The checkpoints of one training, told from others by `identity`: a digest of all that decides its result."""

    def __init__(self, directory: Path, identity: str) -> None:
        self._directory = directory
        self._identity = identity

    def save(self, checkpoint: Checkpoint) -> None:
        """Write it, durably, and delete the older ones. Raises OSError."""
        from safetensors.torch import save

        self._directory.mkdir(parents=True, exist_ok=True)
        adapter = {**checkpoint.adapter, **{f"{_BEST}{name}": tensor for name, tensor in checkpoint.best.items()}}
        contents = {_ADAPTER: save(adapter), _OPTIMISER: save(checkpoint.optimiser)}
        state = {
            "identity": self._identity,
            "step": checkpoint.step,
            "progress": checkpoint.progress,
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        }
        draft = Path(tempfile.mkdtemp(prefix=".draft.", dir=self._directory))
        try:
            for name, content in {**contents, _STATE: json.dumps(state).encode()}.items():
                with (draft / name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            place = self._directory / f"step-{checkpoint.step:08d}"
            shutil.rmtree(place, ignore_errors=True)
            os.rename(draft, place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        for other in self._directory.iterdir():
            if other != place:
                shutil.rmtree(other, ignore_errors=True)

    def load(self) -> Checkpoint | None:
        """The newest whole checkpoint of this training; None where there is none."""
        for place in sorted(self._directory.glob("step-*"), reverse=True):
            try:
                return self._read(place)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                logger.warning("%s is no checkpoint to go on from: %s", place, error)
        return None

    def delete(self) -> None:
        """Take the folder away, with all that is in it."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _read(self, place: Path) -> Checkpoint:
        from safetensors.torch import load

        state = json.loads((place / _STATE).read_bytes())
        if state["identity"] != self._identity:
            raise ValueError("it belongs to another training")
        contents = {name: (place / name).read_bytes() for name in (_ADAPTER, _OPTIMISER)}
        for name, content in contents.items():
            if hashlib.sha256(content).hexdigest() != state["files"][name]:
                raise ValueError(f"{name} is damaged")
        tensors = load(contents[_ADAPTER])
        return Checkpoint(
            step=int(state["step"]),
            adapter={name: tensor for name, tensor in tensors.items() if not name.startswith(_BEST)},
            best={name.removeprefix(_BEST): tensor for name, tensor in tensors.items() if name.startswith(_BEST)},
            optimiser=load(contents[_OPTIMISER]),
            progress=dict(state["progress"]),
        )


def delete_abandoned(parent: Path, *, older_than_s: float = ABANDONED_S) -> None:
    """Delete the folders of trainings that nobody has touched for so long."""
    for folder in parent.iterdir() if parent.is_dir() else ():
        if time.time() - folder.stat().st_mtime > older_than_s:
            shutil.rmtree(folder, ignore_errors=True)
