"""Child processes that never outlive this one, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_HERE = Path(__file__).resolve().parent


def leashed(command: Sequence[str]) -> list[str]:
    """The command to run instead of `command` so that the kernel kills it when this process ends.

    Start it from the main thread: the kernel counts the end of the starting thread as the parent's death.
    """
    return [sys.executable, "-I", "-S", str(_HERE / "leash.py"), str(os.getpid()), *command]


def kill_group(group: int) -> None:
    """Kill what is left of a process group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # macOS answers EPERM for a group of zombies.
        pass


class Guardian:
    """A tiny process that kills the groups it was told of once this process is gone, even by SIGKILL."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_HERE / "guardian.py")],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def watch(self, group: int) -> None:
        self._tell(f"+{group}\n")

    def release(self, group: int) -> None:
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            # Somebody killed the guardian. The leashes of the direct children still hold.
            pass

    def close(self) -> None:
        """End the guardian; it kills what it still watches."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
