"""Keeps a set of processes running: starts, watches, restarts and ends them, and prefixes what they log.

Every process leads a group of its own, so a Ctrl-C in the terminal reaches the supervisor alone, and ending a process
takes its grandchildren with it. A leash (the kernel) and a guardian (a process) end all if the supervisor is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chatbot.operations.processes import Guardian, kill_group, leashed

# A process that lived this long had come up well: its next death is met with an immediate restart again.
STEADY_S = 15.0
FIRST_DELAY_S = 1.0
# With a worker's own start of some 8 s this keeps "answered within 30 s" even where it dies again and again: with
# delays of up to 30 s, twenty kills in a row made customers wait for 40 s.
LONGEST_DELAY_S = 10.0
# What a busy worker needs to hand its turns back; after that, processes are killed.
GRACE_S = 10.0
READ_SIZE = 65536


def restart_delay(quick_deaths: int) -> float:
    """Seconds to wait before a restart: none the first time, then 1, 2, 4 … 10."""
    if quick_deaths <= 1:
        return 0.0
    return min(FIRST_DELAY_S * 2.0 ** (quick_deaths - 2), LONGEST_DELAY_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One process to keep running."""

    name: str
    command: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Managed:
    spec: ProcessSpec
    process: asyncio.subprocess.Process | None = None
    task: asyncio.Task[None] | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Runs processes until it is told to stop. Use it from the event loop of the main thread.

    Args:
        show: takes (name of the process, one line that it wrote).
        directory: where the processes run.
        grace_s: how long a process may take to end before it is killed.
    """

    def __init__(self, *, show: Callable[[str, str], None], directory: Path, grace_s: float = GRACE_S) -> None:
        self._show = show
        self._directory = directory
        self._grace_s = grace_s
        self._guardian = Guardian()
        self._managed: dict[str, _Managed] = {}

    async def start(self, spec: ProcessSpec) -> int:
        """Start a process and keep it running. Returns the first process's id."""
        managed = self._managed[spec.name] = _Managed(spec)
        managed.task = asyncio.create_task(self._keep_running(managed), name=f"supervise {spec.name}")
        started = asyncio.create_task(managed.started.wait())
        await asyncio.wait({managed.task, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if managed.task.done():
            managed.task.result()
        assert managed.process is not None
        return managed.process.pid

    def pid(self, name: str) -> int | None:
        """The id of the process that now runs under this name."""
        process = self._managed[name].process
        return process.pid if process is not None and process.returncode is None else None

    def names(self) -> list[str]:
        """Everything that was started, in that order."""
        return list(self._managed)

    async def run_once(self, spec: ProcessSpec, *, inherit_output: bool = False) -> int:
        """Run a process to its end, without restarting it. Returns its exit code, negative for a signal.

        With `inherit_output` it writes to our own terminal. Cancelling this call kills the process.
        """
        if inherit_output:
            process, output = await self._spawn_process(spec, None), None
        else:
            process, output = await self._spawn(spec)
        try:
            return await process.wait()
        finally:
            self._bury(process)
            if output is not None:
                await output

    async def stop(self, names: Sequence[str] | None = None) -> None:
        """End the named processes, or all: SIGTERM, then SIGKILL for what is left after the time of grace."""
        chosen = [self._managed[name] for name in (self._managed if names is None else names)]
        for managed in chosen:
            managed.stopping.set()
            if managed.process is not None and managed.process.returncode is None:
                managed.process.terminate()
        tasks = [managed.task for managed in chosen if managed.task is not None]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._grace_s)
        if late:
            self.kill([managed.spec.name for managed in chosen if managed.task in late])
            await asyncio.wait(late)

    def kill(self, names: Sequence[str] | None = None) -> None:
        """Kill the named processes' groups, or all, at once."""
        for managed in [self._managed[name] for name in (self._managed if names is None else names)]:
            managed.stopping.set()
            if managed.process is not None and managed.process.returncode is None:
                kill_group(managed.process.pid)

    def close(self) -> None:
        """Kill what is left and end the guardian."""
        self.kill()
        self._guardian.close()

    async def _keep_running(self, managed: _Managed) -> None:
        name = managed.spec.name
        quick_deaths = 0
        while not managed.stopping.is_set():
            born = time.monotonic()
            end = await self._run(managed)
            if managed.stopping.is_set():
                return
            quick_deaths = 1 if time.monotonic() - born > STEADY_S else quick_deaths + 1
            delay = restart_delay(quick_deaths)
            when = "now" if not delay else f"in {delay:.0f} s"
            self._show("serve", f"{name} ended ({end}); it is started again {when}")
            try:
                await asyncio.wait_for(managed.stopping.wait(), delay)
            except TimeoutError:
                pass

    async def _run(self, managed: _Managed) -> str:
        """One life of a process. Returns in words how it ended."""
        try:
            managed.process, output = await self._spawn(managed.spec)
        except OSError as error:
            if not managed.started.is_set():
                raise
            return f"could not be started: {error.strerror}"  # no memory or no file descriptor left for the moment
        managed.started.set()
        if managed.stopping.is_set():
            managed.process.terminate()
        code = await managed.process.wait()
        self._bury(managed.process)
        await output
        return describe_exit(code)

    async def _spawn(self, spec: ProcessSpec) -> tuple[asyncio.subprocess.Process, asyncio.Task[None]]:
        # A pipe of our own: asyncio's would make wait() hang for as long as a grandchild holds the other end.
        read_end, write_end = os.pipe()
        try:
            process = await self._spawn_process(spec, write_end)
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        return process, asyncio.create_task(self._copy_output(spec.name, read_end))

    async def _spawn_process(self, spec: ProcessSpec, output: int | None) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *leashed(spec.command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=self._directory,
            env={**os.environ, **spec.environment},
            start_new_session=True,
        )
        self._guardian.watch(process.pid)
        return process

    def _bury(self, process: asyncio.subprocess.Process) -> None:
        """A dead process may have left grandchildren, which would hold its socket, its memory and its output."""
        kill_group(process.pid)
        self._guardian.release(process.pid)

    async def _copy_output(self, name: str, descriptor: int) -> None:
        reader = asyncio.StreamReader()
        with os.fdopen(descriptor, "rb", buffering=0) as pipe:
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), pipe
            )
            try:
                rest = b""
                while chunk := await reader.read(READ_SIZE):
                    *lines, rest = (rest + chunk).split(b"\n")
                    # A line without an end is shown in pieces instead of being kept in memory.
                    if len(rest) > READ_SIZE:
                        lines, rest = [*lines, rest], b""
                    for line in lines:
                        self._show(name, line.decode(errors="replace").rstrip("\r"))
                if rest:
                    self._show(name, rest.decode(errors="replace"))
            finally:
                transport.close()


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
