"""Text to unit-length embeddings, with any sentence-transformers model folder.

Two back ends give the same vectors. OpenVINO serves: it loads in a second and answers in milliseconds. It reads a
graph that `prepare_openvino_encoder` exports once and compares with the original; where there is none, or OpenVINO
cannot run here, sentence-transformers serves from the same folder, slower to start and to answer.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chatbot.exceptions import ClassifierError, ModelFilesError

logger = logging.getLogger(__name__)

EXPORT_FOLDER = "openvino"
GRAPH_FILE = "encoder.xml"
SETTINGS_FILE = "encoder.json"

_WEIGHTS = {".safetensors", ".bin"}
_DESCRIPTIONS = {".json", ".txt", ".model"}
# Padding to a multiple of this keeps the number of distinct shapes small: OpenVINO builds kernels anew for each.
_LENGTH_STEP = 8
# Lengths compiled while loading, so that no customer waits for it. Nearly all messages are shorter than this.
_WARM_LENGTHS = tuple(range(_LENGTH_STEP, 65, _LENGTH_STEP))
# Characters; below this a text's length makes no difference to the time it takes.
_SHORT = 64
# A large model's trace takes a minute or two; an hour means that it hangs.
_EXPORT_TIMEOUT_S = 900


class _Backend(Protocol):
    dimension: int

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


class Encoder:
    """A frozen sentence encoder. Safe to use from several threads."""

    def __init__(self, path: Path, *, exports: Path | None = None, threads: int | None = None) -> None:
        """Load the model folder at `path`, and its OpenVINO graph from `exports`, by default the same folder.

        Raises ModelFilesError naming the file that is missing or damaged.
        """
        self.path = path
        self.digest = encoder_digest(path)
        self._backend = _load_backend(path, exports or path, self.digest, threads)

    @property
    def dimension(self) -> int:
        """The length of an embedding."""
        return self._backend.dimension

    @property
    def backend(self) -> str:
        """`"openvino"` or `"torch"`: what computes the embeddings."""
        return "openvino" if isinstance(self._backend, _OpenVINOBackend) else "torch"

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> NDArray[np.float32]:
        """Embeddings of `texts`: float32, shape [len(texts), dimension], rows of unit length, in the given order."""
        embeddings = np.empty((len(texts), self.dimension), dtype=np.float32)
        for batch in length_buckets([len(text) for text in texts], batch_size):
            embeddings[batch] = self._backend.encode([_clean(texts[index]) for index in batch])
        if not np.isfinite(embeddings).all():
            raise ClassifierError(f"The encoder at {self.path} gave embeddings that are not finite.")
        return embeddings


def length_buckets(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices of texts of `lengths`, every one once, in batches of at most `size` and of like length.

    All of a batch is padded to its longest text, so a batch ends where the next text is more than twice as long as its
    first: one essay does not make every “thanks” cost as much as it does.
    """
    buckets: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        bucket = buckets[-1] if buckets else None
        if bucket is None or len(bucket) == size or lengths[index] > max(_SHORT, 2 * lengths[bucket[0]]):
            buckets.append(bucket := [])
        bucket.append(index)
    return buckets


def encoder_digest(path: Path) -> str:
    """SHA-256 over everything in the folder that decides what an embedding is. Raises ModelFilesError."""
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.suffix in _WEIGHTS | _DESCRIPTIONS
        and file.name != "manifest.json"
        and EXPORT_FOLDER not in file.relative_to(path).parts
    ]
    if not any(file.suffix in _WEIGHTS for file in files):
        raise ModelFilesError("the encoder's weights are missing", path=path / "model.safetensors")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            contents = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(f"{file.relative_to(path).as_posix()}\0{contents}\n".encode())
    return digest.hexdigest()


def prepare_openvino_encoder(model_dir: Path, exports: Path | None = None) -> bool:
    """Export the graph that OpenVINO serves into `exports`, by default beside the weights, unless it is there already.

    Works in a process of its own: tracing needs torch, and what OpenVINO cannot run on this machine must not end ours.
    Returns whether the encoder can be served with OpenVINO; False is no error, only slower, and is remembered.
    """
    exports = exports or model_dir
    exports.mkdir(parents=True, exist_ok=True)
    digest = encoder_digest(model_dir)
    if openvino_encoder_was_tried(model_dir, exports):
        return _read_export(exports, digest) is not None
    package_parent = Path(__file__).resolve().parents[2]
    inherited = os.environ.get("PYTHONPATH")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(package_parent), *([inherited] if inherited else [])]),
    }
    command = [sys.executable, "-m", "chatbot.inference.encoder_export", str(model_dir), str(exports)]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_EXPORT_TIMEOUT_S, check=False
        )
        problem = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        problem = f"it took more than {_EXPORT_TIMEOUT_S} s"
    else:
        if done.returncode == 0:
            return True
    logger.warning("The encoder is served with torch, because its OpenVINO export failed: %s", problem)
    folder = exports / EXPORT_FOLDER
    folder.mkdir(exist_ok=True)
    (folder / SETTINGS_FILE).write_text(json.dumps({"digest": digest, "failed": problem}, indent=2))
    return False


def openvino_encoder_was_tried(model_dir: Path, exports: Path | None = None) -> bool:
    """Whether `prepare_openvino_encoder` would only repeat what it found before, or has nowhere to write it."""
    exports = exports or model_dir
    if not os.access(exports, os.W_OK):
        return True
    try:
        tried: object = json.loads((exports / EXPORT_FOLDER / SETTINGS_FILE).read_text())["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return tried == encoder_digest(model_dir)


def _clean(text: str) -> str:
    # Lone surrogates cannot be encoded as UTF-8, which every tokenizer wants.
    return text.encode("utf-8", "replace").decode("utf-8")


def _read_export(exports: Path, digest: str) -> dict[str, int] | None:
    """The export's settings, or None where there is none made from these weights."""
    folder = exports / EXPORT_FOLDER
    try:
        settings = json.loads((folder / SETTINGS_FILE).read_text())
        whole = settings["digest"] == digest and (folder / GRAPH_FILE).is_file()
        return {"dimension": int(settings["dimension"]), "max_length": int(settings["max_length"])} if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _load_backend(path: Path, exports: Path, digest: str, threads: int | None) -> _Backend:
    settings = _read_export(exports, digest)
    if settings is None:
        return _TorchBackend(path, threads)
    try:
        return _OpenVINOBackend(path, exports, threads=threads, **settings)
    except Exception as error:  # OpenVINO raises RuntimeError for all it dislikes, and ImportError where it is missing
        logger.warning("The encoder is served with torch, because OpenVINO could not load it: %s", error)
        return _TorchBackend(path, threads)


class _OpenVINOBackend:
    def __init__(self, path: Path, exports: Path, *, dimension: int, max_length: int, threads: int | None) -> None:
        from openvino import Core
        from tokenizers import Tokenizer

        self.dimension = dimension
        self._tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        self._tokenizer.enable_truncation(max_length)
        self._tokenizer.no_padding()
        configuration = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": "NO"}
        if threads:
            configuration["INFERENCE_NUM_THREADS"] = str(threads)
        model = Core().compile_model(str(exports / EXPORT_FOLDER / GRAPH_FILE), "CPU", configuration)
        self._request = model.create_infer_request()
        self._max_length = max_length
        # One request at a time: it uses every core already, and a queue of its own would only add waiting.
        self._lock = threading.Lock()
        for length in _WARM_LENGTHS:
            if length <= max_length:
                self._infer([[0] * length])

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._infer([encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))])

    def _infer(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        longest = max(map(len, rows))
        width = min(-(-longest // _LENGTH_STEP) * _LENGTH_STEP, self._max_length)
        ids = np.zeros((len(rows), width), dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        with self._lock:
            result = self._request.infer({"input_ids": ids, "attention_mask": mask})
            embeddings: NDArray[np.float32] = np.array(result[0], dtype=np.float32)
        return embeddings


class _TorchBackend:
    def __init__(self, path: Path, threads: int | None) -> None:
        import torch

        if threads:
            torch.set_num_threads(threads)
        self._model = load_sentence_transformer(path)
        self.dimension = int(self._model.get_embedding_dimension() or 0)
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        with self._lock:
            embeddings: NDArray[np.float32] = self._model.encode(
                list(texts), batch_size=len(texts), normalize_embeddings=True, show_progress_bar=False
            )
        return embeddings


def load_sentence_transformer(path: Path):  # type: ignore[no-untyped-def]  # the type would import torch
    """The folder as a sentence-transformers model on the CPU, from disk only. Raises ModelFilesError."""
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    # Bars for a read of 90 MB would break into the bar of whoever loads it.
    disable_progress_bar()
    try:
        return SentenceTransformer(
            str(path),
            device="cpu",
            local_files_only=True,
            # The only attention whose graph can be traced; on short texts it is as fast as any.
            model_kwargs={"attn_implementation": "eager"},
        ).eval()
    except Exception as error:
        raise ModelFilesError(f"not a readable sentence-transformers model ({error})", path=path) from error
