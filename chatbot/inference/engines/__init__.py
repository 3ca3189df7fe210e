"""Generation engines. `load_engine` picks one for a model on disk, `openai` reaches a server; `Engine` is for all."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any, Literal

from chatbot.exceptions import EngineError, ModelFilesError
from chatbot.inference.engines.base import Engine, EngineStats
from chatbot.inference.engines.stream import Chunk, FinishReason, Generation, Timings
from chatbot.inference.prompt import examples_for
from chatbot.inference.weights import verify_model_dir

__all__ = ["Chunk", "Engine", "EngineKind", "EngineStats", "FinishReason", "Generation", "Timings", "load_engine"]

EngineKind = Literal["auto", "openvino", "transformers"]

logger = logging.getLogger(__name__)


def load_engine(
    *,
    model_dir: Path,
    kind: EngineKind = "auto",
    max_streams: int = 8,
    kv_cache_mib: int = 512,
    threads: int | None = None,
    lookup_tokens: int = 5,
) -> Engine:
    """Load the generator in `model_dir` and return once it has answered a first prompt. Takes seconds.

    `auto` is transformers on a machine with an NVIDIA GPU, otherwise OpenVINO, and transformers again where OpenVINO
    cannot prove itself. `lookup_tokens` is how many tokens OpenVINO guesses from the prompt while few replies are
    written; 0: none. Raises ModelFilesError or EngineError.
    """
    options: dict[str, Any] = {
        "max_streams": max_streams,
        "kv_cache_mib": kv_cache_mib,
        "threads": threads,
        "examples": examples_for(verify_model_dir(model_dir)),
    }
    if kind == "transformers" or (kind == "auto" and _has_gpu()):
        return _load_transformers(model_dir, options)

    from chatbot.inference.engines.openvino import OpenVINOEngine

    try:
        return OpenVINOEngine(model_dir, lookup_tokens=lookup_tokens, **options)
    except (EngineError, ModelFilesError) as error:
        if kind == "openvino":
            raise
        logger.warning("Serving with transformers, several times slower, because: %s", error)
    return _load_transformers(model_dir, options)


def _load_transformers(model_dir: Path, options: dict[str, Any]) -> Engine:
    from chatbot.inference.engines.transformers import TransformersEngine

    return TransformersEngine(model_dir, **options)


def _has_gpu() -> bool:
    """Whether torch could use a GPU, told without importing it: that takes seconds which OpenVINO does not need."""
    return Path("/dev/nvidiactl").exists() and importlib.util.find_spec("torch") is not None
