"""One at a time writes datasets: a freeze could otherwise keep what an erasure takes out of all others."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

_LOCK = ".lock"


@contextmanager
def dataset_lock() -> Iterator[None]:
    """Waits for its turn, and clears away what a killed writer left behind: drafts hold customers' words too."""
    folder = Path(settings.DATASETS_DIR)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for draft in folder.glob(".dataset-*"):
            shutil.rmtree(draft, ignore_errors=True)
        yield
