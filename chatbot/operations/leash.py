"""Runs a command that dies with its parent: `python -I -S leash.py PARENT_PID COMMAND [ARGUMENT ...]`.

The kernel sends the signal when the *thread* that started this process ends, so start it from a thread that lives as
long as the program: the main one. A script of its own, because running Python between fork and exec is unsafe once
threads exist.
"""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    # The parent may have died before the line above took effect; nobody would ever send the signal then.
    if os.getppid() != parent:
        sys.exit("leash: the parent has gone")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
