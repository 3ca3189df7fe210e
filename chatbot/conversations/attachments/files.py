"""The bytes of attachments on disk, under names that nobody can guess and that say nothing.

A file is there before its row and goes after it, so that a crash in between leaves a file without a row, never a row
without its file. `remove_unowned` takes those away.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from django.conf import settings

PREVIEW = ".preview"
_NAME = re.compile(r"[0-9a-f]{32}")
_BATCH = 500


def keep(data: bytes, preview: bytes | None = None) -> str:
    """Write a file, and the preview beside it if there is one; the name to ask for it by."""
    stored = secrets.token_hex(16)
    if preview is not None:
        _write(_path(stored, PREVIEW), preview)
    _write(_path(stored), data)
    return stored


def read(stored: str) -> bytes:
    """The file. Raises FileNotFoundError."""
    return _path(stored).read_bytes()


def read_preview(stored: str) -> bytes:
    """The preview beside it. Raises FileNotFoundError."""
    return _path(stored, PREVIEW).read_bytes()


def remove(stored: str) -> None:
    """Delete a file and its preview; what is gone already is no fault."""
    for ending in ("", PREVIEW):
        _path(stored, ending).unlink(missing_ok=True)


def remove_unowned(owned: Callable[[set[str]], set[str]], *, older_than_s: float) -> int:
    """Delete files that no row owns and that are older than an upload can be; how many files there were.

    `owned` is called with names and returns those of them that rows have.
    """
    older = _older(time.time() - older_than_s)
    removed = 0
    while paths := list(islice(older, _BATCH)):
        kept = owned({path.name[:32] for path in paths})
        for path in paths:
            if path.name[:32] not in kept:
                path.unlink(missing_ok=True)
                removed += 1
    return removed


def _older(before: float) -> Iterator[Path]:
    for path in _folder().glob("*/*"):
        try:
            if path.stat().st_mtime < before:
                yield path
        except FileNotFoundError:
            continue


def _folder() -> Path:
    return Path(settings.MEDIA_ROOT) / "attachments"


def _path(stored: str, ending: str = "") -> Path:
    if not _NAME.fullmatch(stored):
        raise ValueError("not a name of a stored file")
    return _folder() / stored[:2] / (stored + ending)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.partial")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        # The row that follows is durable, so what it names has to be.
        os.fsync(file.fileno())
    draft.rename(path)
