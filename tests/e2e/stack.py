"""A whole system of one's own: `manage.py serve` on a free port, in its own folder, as a newcomer would start it."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

CHECKOUT = Path(__file__).resolve().parents[2]
# A first start converts weights, trains and indexes on two busy cores.
FIRST_START_S = 300.0
STOP_S = 30.0
_READY = re.compile(r"Frontdesk is ready: (http://\S+)")
_ACCOUNT = re.compile(r"\b(admin|reviewer|operator)\s+([A-Za-z2-9]{16})\b")


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Stack:
    """A running system. `output` is everything that it has printed."""

    var_dir: Path
    extra_environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    output: list[str] = field(default_factory=list)
    passwords: dict[str, str] = field(default_factory=dict)
    start_seconds: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start, and return once the line with the address is there."""
        began = time.monotonic()
        self._lines: queue.Queue[str | None] = queue.Queue()
        # Nothing but what any shell has: what the developer exported must not decide a test.
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        environment |= {"VAR_DIR": str(self.var_dir), "ENV_FILE": os.devnull, "PYTHONUNBUFFERED": "1"}
        # A browser test writes faster than a person; what the limits do is tested where they are.
        environment |= {"RATE_SESSION_PER_MINUTE": "6000", "RATE_SESSION_BURST": "500"}
        environment |= {"RATE_ADDRESS_PER_MINUTE": "6000", "RATE_ADDRESS_BURST": "500"}
        self.process = subprocess.Popen(
            [sys.executable, str(CHECKOUT / "manage.py"), "serve", "--host", "127.0.0.1", "--port", str(self.port)],
            cwd=CHECKOUT,
            env=environment | self.extra_environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        deadline = time.monotonic() + FIRST_START_S
        while True:
            line = self._lines.get(timeout=max(0.1, deadline - time.monotonic()))
            if line is None:
                raise AssertionError("serve ended before it was ready:\n" + "\n".join(self.output[-40:]))
            for name, password in _ACCOUNT.findall(line):
                self.passwords[name] = password
            if _READY.search(line):
                self.start_seconds = time.monotonic() - began
                return self

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line.rstrip("\n"))
            self._lines.put(line)
        self._lines.put(None)

    def await_line(self, pattern: str, within_s: float = FIRST_START_S) -> str:
        """The first line of all the output that matches, once it is there."""
        deadline = time.monotonic() + within_s
        read = 0
        while True:
            lines = self.output[read:]
            read += len(lines)
            if found := next((line for line in lines if re.search(pattern, line)), None):
                return found
            # Only wakes: lines stand in the output before they stand here, and older ones may still do so.
            if self._lines.get(timeout=max(0.1, deadline - time.monotonic())) is None:
                raise AssertionError("serve ended:\n" + "\n".join(self.output[-40:]))

    def stop(self) -> int:
        """Ctrl-C, and the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_S)

    def kill(self) -> None:
        """The supervisor alone, with -9."""
        self.process.kill()
        self.process.wait(STOP_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def family(self) -> list[psutil.Process]:
        """The supervisor's descendants."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def replies_worker(self) -> psutil.Process | None:
        """The main process of the replies worker, if there is one at the moment."""
        for process in self.family():
            try:
                command = process.cmdline()
            except psutil.NoSuchProcess:
                continue
            if "celery" in command and "replies" in command and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def get_json(self, path: str) -> tuple[int, Any]:
        """GET a JSON page."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
