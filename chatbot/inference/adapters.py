"""LoRA adapters: merged into the model that they were trained on, with numpy alone.

OpenVINO ignores an adapter given to a GGUF model, so a tuned generator is served with the adapter's product added to
the base's matrices. What is read is what peft writes (`adapter_config.json`, `adapter_model.safetensors`); anything in
it that is more than plain LoRA is refused, since it would be merged wrongly. Imports neither torch nor peft.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatbot.exceptions import ModelFilesError
from chatbot.inference.gguf_files import ARCHITECTURES, write_gguf_q8
from chatbot.inference.weights import GGUF_NAME

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PREFIX = "base_model.model."
# What may be set in a configuration of peft's. Other options change what is added to a matrix, or train more than that,
# and each version of the library has some that the last had not.
_HARMLESS = {
    *(
        "peft_type",
        "task_type",
        "peft_version",
        "base_model_name_or_path",
        "revision",
        "inference_mode",
        "auto_mapping",
    ),
    *("r", "lora_alpha", "lora_dropout", "bias", "use_rslora", "init_lora_weights"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
    *("megatron_core", "qalora_group_size"),  # set even where they are not used
}
_NUMPY: Mapping[str, np.dtype[Any]] = {
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "F64": np.dtype(np.float64),
}


@dataclass(frozen=True, slots=True)
class Adapter:
    """What is to be added: `scale` · B · A for each matrix, by the matrix's name. A is [rank, in], B is [out, rank]."""

    scale: float
    pairs: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]

    @classmethod
    def read(cls, directory: Path) -> Adapter:
        """Read what peft wrote. Raises ModelFilesError where it is damaged, or more than plain LoRA."""
        import safetensors
        from safetensors.numpy import load_file

        try:
            config = json.loads((directory / CONFIG).read_bytes())
            odd = sorted(name for name, value in config.items() if value and name not in _HARMLESS)
            if config["peft_type"] != "LORA" or config.get("bias", "none") != "none" or odd:
                named = f", not {', '.join(odd)}" if odd else ""
                raise ModelFilesError(f"only plain LoRA can be merged{named}", path=directory / CONFIG)
            rank, alpha = int(config["r"]), float(config["lora_alpha"])
            scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
            tensors = load_file(directory / WEIGHTS)
        except FileNotFoundError as error:
            raise ModelFilesError("the file is missing", path=Path(error.filename or directory)) from None
        except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, safetensors.SafetensorError) as error:
            raise ModelFilesError(f"not a readable adapter ({error})", path=directory) from error
        return cls(scale, _paired(tensors, directory / WEIGHTS))

    def delta(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
        """What is added to the matrix of this name and shape; None where nothing is. Raises ValueError."""
        if name not in self.pairs:
            return None
        down, up = self.pairs[name]
        if (up.shape[0], down.shape[1]) != shape or up.shape[1] != down.shape[0]:
            raise ValueError(f"{name} is {shape}, and the adapter's part {(up.shape[0], down.shape[1])}")
        return self.scale * (up @ down)


def write_merged(base_dir: Path, adapter_dir: Path, out_dir: Path) -> None:
    """Fill `out_dir` with the base model and the adapter as one: safetensors in the base's precision, and Q8_0 GGUF.

    Sharded files stay sharded, so memory holds one of them at a time. Raises ModelFilesError where the adapter does
    not belong to the base.
    """
    adapter = Adapter.read(adapter_dir)
    for path in sorted(base_dir.iterdir()):
        # What describes the model is the base's own; its weights are written anew.
        if path.suffix in {".json", ".jinja"} and path.name != "manifest.json":
            shutil.copyfile(path, out_dir / path.name)
    merged: set[str] = set()
    for shard in sorted(base_dir.glob("*.safetensors")):
        merged |= _merge_file(shard, adapter, out_dir / shard.name)
    if missing := sorted(set(adapter.pairs) - merged):
        raise ModelFilesError(f"the base model has no {missing[0]}, which it adapts", path=adapter_dir / WEIGHTS)
    config = json.loads((out_dir / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") in ARCHITECTURES:
        gguf = base_dir / GGUF_NAME
        write_gguf_q8(out_dir, gguf if gguf.is_file() else None, out_dir / GGUF_NAME)


def _merge_file(source: Path, adapter: Adapter, target: Path) -> set[str]:
    """Write one file with the adapter's part added, and give the names of the matrices that changed."""
    import safetensors

    deserialize: Any = safetensors.deserialize
    changed: set[str] = set()
    entries: list[tuple[str, str, list[int], bytes]] = []
    try:
        for name, entry in deserialize(source.read_bytes()):
            data, dtype = entry["data"], entry["dtype"]
            delta = adapter.delta(name, tuple(entry["shape"]))
            if delta is not None:
                changed.add(name)
                data = _added(data, dtype, delta)
            entries.append((name, dtype, entry["shape"], data))
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ModelFilesError(f"the adapter cannot be merged ({error})", path=source) from error
    _write_safetensors(target, entries)
    return changed


def _write_safetensors(path: Path, entries: list[tuple[str, str, list[int], bytes]]) -> None:
    """The library's own writer takes arrays of numpy, which has no bfloat16; the format is a header and the bytes."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, dtype, shape, data in entries:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(data)]}
        end += len(data)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for _, _, _, data in entries:
            file.write(data)


def _added(data: bytes, dtype: str, delta: NDArray[np.float32]) -> bytes:
    """The bytes of a stored matrix with `delta` added, in the same precision."""
    if dtype == "BF16":
        # numpy has no bfloat16: it is the upper half of a float32, here rounded to the nearest even.
        whole = (np.frombuffer(data, dtype=np.uint16).astype(np.uint32) << 16).view(np.float32) + delta.ravel()
        bits = whole.view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()
    stored = np.frombuffer(data, dtype=_NUMPY[dtype]).reshape(delta.shape)
    return (stored.astype(np.float32) + delta).astype(_NUMPY[dtype]).tobytes()


def _paired(
    tensors: Mapping[str, NDArray[Any]], path: Path
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    halves: dict[str, dict[str, NDArray[np.float32]]] = {}
    for name, tensor in tensors.items():
        matrix, _, half = name.removeprefix(_PREFIX).rpartition(".lora_")
        if not name.startswith(_PREFIX) or half not in {"A.weight", "B.weight"} or tensor.ndim != 2:
            raise ModelFilesError(f"{name} is no part of a LoRA adapter", path=path)
        halves.setdefault(f"{matrix}.weight", {})[half[0]] = np.asarray(tensor, dtype=np.float32)
    if lone := next((name for name, found in halves.items() if len(found) != 2), None):
        raise ModelFilesError(f"half of the adapter's part for {lone} is missing", path=path)
    if not halves:
        raise ModelFilesError("the adapter is empty", path=path)
    return {name: (found["A"], found["B"]) for name, found in halves.items()}
