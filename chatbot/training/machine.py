"""One training at a time on a machine, whatever workers run on it: two would share its memory and end no sooner."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

SLOT = "training.lock"


@contextmanager
def machine_slot() -> Iterator[bool]:
    """Whether this process may train now. The lock goes with the process, however it ends."""
    with (Path(settings.VAR_DIR) / SLOT).open("w") as slot:
        try:
            fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
