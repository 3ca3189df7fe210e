"""Release folders: written whole or not at all, and checked byte by byte before anything in them is loaded.

A folder holds safetensors, GGUF and JSON, and a `manifest.json`, written last, with the size and sha256 of every file.
Nothing that can run code when it is loaded is accepted, whatever the manifest says of it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from chatbot.exceptions import InvalidArtifact

MANIFEST = "manifest.json"
FORMAT = 1
# Everything a release may consist of. A list of what is dangerous would always lack something.
ALLOWED_SUFFIXES = frozenset({".safetensors", ".gguf", ".json", ".jsonl", ".txt", ".jinja", ".model", ".md"})
_LICENCE_NAMES = frozenset({"LICENSE", "LICENCE", "NOTICE"})


@contextmanager
def new_release_folder(target: Path, **manifest: Any) -> Iterator[Path]:
    """An empty folder to write the release's files into; becomes `target` when the block succeeds.

    `manifest` is stored beside the hashes: kind, base, dataset_digest, configuration, seed, metrics.
    Raises FileExistsError where `target` exists, InvalidArtifact where a file may not be part of a release.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield draft
        files = {name: _describe(draft / name) for name in _listed(draft, remedy=_remedy(manifest.get("kind")))}
        _write_durably(draft / MANIFEST, {"format": FORMAT, **manifest, "files": files})
        draft.chmod(0o755)
        # Renaming onto an empty folder would succeed.
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        os.rename(draft, target)
        _sync_folder(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def read_manifest(directory: Path, *, kind: str | None = None) -> tuple[dict[str, Any], str]:
    """The manifest and its sha256. Raises InvalidArtifact where it is missing or malformed."""
    path = directory / MANIFEST
    try:
        content = path.read_bytes()
        manifest = json.loads(content)
        files = manifest["files"]
        well_formed = isinstance(files, dict) and all(
            isinstance(entry["sha256"], str) and isinstance(entry["size"], int) for entry in files.values()
        )
    except FileNotFoundError:
        raise InvalidArtifact("the file is missing", path=path, remedy=_remedy(kind)) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidArtifact(f"not a readable manifest ({error})", path=path, remedy=_remedy(kind)) from error
    if not well_formed:
        raise InvalidArtifact("not a manifest: a file has no size or sha256", path=path, remedy=_remedy(kind))
    return manifest, hashlib.sha256(content).hexdigest()


def verify_release_folder(directory: Path, *, manifest_digest: str, kind: str | None = None) -> dict[str, Any]:
    """The manifest of a folder in which every byte is as it was registered.

    Raises InvalidArtifact naming the first file that is missing, changed, unknown, a link, or of a refused sort.
    """
    remedy = _remedy(kind)
    manifest, digest = read_manifest(directory, kind=kind)
    if digest != manifest_digest:
        raise InvalidArtifact("this is not the manifest that was registered", path=directory / MANIFEST, remedy=remedy)
    expected: Mapping[str, Mapping[str, Any]] = manifest["files"]
    for name in expected:
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts or "\\" in name or "\0" in name or str(parts) != name:
            raise InvalidArtifact(f"the manifest names {name!r}, outside the folder", path=directory, remedy=remedy)
    present = _listed(directory, remedy=remedy)
    for name in sorted(set(expected) - set(present)):
        raise InvalidArtifact("the file is missing", path=directory / name, remedy=remedy)
    for name in sorted(set(present) - set(expected)):
        raise InvalidArtifact("the file is not part of the release", path=directory / name, remedy=remedy)
    for name in present:
        actual = _describe(directory / name)
        if actual["size"] != expected[name]["size"]:
            problem = f"the file has {actual['size']} bytes instead of {expected[name]['size']}"
            raise InvalidArtifact(problem, path=directory / name, remedy=remedy)
        if actual["sha256"] != expected[name]["sha256"]:
            raise InvalidArtifact("the content is damaged (sha256 differs)", path=directory / name, remedy=remedy)
    return manifest


def _listed(directory: Path, *, remedy: str) -> list[str]:
    """Names of the files below `directory`, except the manifest. Raises InvalidArtifact at the first refused one."""
    names: list[str] = []
    for path in sorted(directory.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            raise InvalidArtifact("links and special files are refused", path=path, remedy=remedy)
        name = path.relative_to(directory).as_posix()
        if name == MANIFEST:
            continue
        if path.suffix.lower() not in ALLOWED_SUFFIXES and path.name not in _LICENCE_NAMES:
            raise InvalidArtifact("files of this sort are refused", path=path, remedy=remedy)
        names.append(name)
    return names


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"size": os.fstat(file.fileno()).st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _write_durably(path: Path, content: Mapping[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remedy(kind: str | None) -> str:
    if kind == "generator":
        return "python manage.py prepare_models, or python manage.py rollback generator"
    return "python manage.py train_classifier --promote, or python manage.py rollback classifier"
