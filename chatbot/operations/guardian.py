"""Kills whole process groups when the supervisor vanishes: `python -I -S guardian.py < PIPE`.

The pipe's other end is held by the supervisor alone. It writes `+GROUP` when it starts a process group and `-GROUP`
when it has seen its end; when the pipe closes, whatever is left is killed. This reaches grandchildren, which no
parent-death signal of the kernel's does: it is cleared by fork.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        group = int(line[1:])
        if line.startswith(b"+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass


if __name__ == "__main__":
    main()
