"""The supervisor with tiny stand-in processes: what dies is restarted, and nothing outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from chatbot.operations.supervisor import ProcessSpec, Supervisor, describe_exit, restart_delay

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 20.0

# Has a child of its own in the same group, as Celery's prefork pool and the engine have; tells both ids.
FAMILY = """
import os, subprocess, sys
child = subprocess.Popen(["sleep", "600"])
print("family", os.getpid(), child.pid, flush=True)
child.wait()
"""
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True:
    signal.pause()
"""


def python(source: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", source]


class Screen:
    """The lines that the supervisor showed, awaitable."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._more = asyncio.Event()

    def show(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        self._more.set()

    async def until(self, wanted: Callable[[str], bool]) -> str:
        seen = 0
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for _, line in self.lines[seen:]:
                    seen += 1
                    if wanted(line):
                        self.lines = self.lines[seen:]
                        return line
                self._more.clear()
                await self._more.wait()


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest_asyncio.fixture
async def supervisor(screen: Screen) -> AsyncIterator[Supervisor]:
    running = Supervisor(show=screen.show, directory=ROOT, grace_s=0.5)
    yield running
    await running.stop()
    running.close()


def wait_until_gone(*pids: int) -> None:
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE_S)
    # An orphan's zombie waits for init; it runs no more.
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


async def family(screen: Screen) -> tuple[int, int]:
    line = await screen.until(lambda line: line.startswith("family"))
    parent, child = line.split()[1:]
    return int(parent), int(child)


async def test_a_killed_process_is_restarted_at_once_and_takes_its_children_with_it(
    supervisor: Supervisor, screen: Screen
) -> None:
    await supervisor.start(ProcessSpec(name="worker", command=python(FAMILY)))
    parent, child = await family(screen)
    os.kill(parent, signal.SIGKILL)
    assert "killed by SIGKILL" in await screen.until(lambda line: "started again now" in line)
    next_parent, _ = await family(screen)
    assert next_parent != parent
    assert supervisor.pid("worker") == next_parent
    wait_until_gone(parent, child)


async def test_stopping_ends_the_children_too(supervisor: Supervisor, screen: Screen) -> None:
    await supervisor.start(ProcessSpec(name="worker", command=python(FAMILY)))
    pids = await family(screen)
    await supervisor.stop()
    wait_until_gone(*pids)


async def test_a_process_that_ignores_sigterm_is_killed_after_the_grace(supervisor: Supervisor, screen: Screen) -> None:
    pid = await supervisor.start(ProcessSpec(name="deaf", command=python(STUBBORN)))
    await screen.until(lambda line: line == "deaf")
    async with asyncio.timeout(PATIENCE_S):
        await supervisor.stop()
    wait_until_gone(pid)


async def test_a_failing_process_is_shown_and_restarted(supervisor: Supervisor, screen: Screen) -> None:
    command = python("import sys; sys.stderr.write('no end of line'); sys.exit(3)")
    await supervisor.start(ProcessSpec(name="broken", command=command))
    await screen.until(lambda line: line == "no end of line")
    assert "exit code 3" in await screen.until(lambda line: "started again now" in line)
    await screen.until(lambda line: "started again in 1 s" in line)


async def test_run_once_gives_the_exit_code(supervisor: Supervisor, screen: Screen) -> None:
    assert (
        await supervisor.run_once(ProcessSpec(name="once", command=python("print('hello'); raise SystemExit(7)"))) == 7
    )
    assert ("once", "hello") in screen.lines


def test_nothing_outlives_a_supervisor_that_is_killed() -> None:
    source = f"""
import asyncio, sys
from pathlib import Path
from chatbot.operations.supervisor import ProcessSpec, Supervisor

async def main():
    supervisor = Supervisor(show=lambda name, line: print(line, flush=True), directory=Path("."))
    await supervisor.start(ProcessSpec(name="worker", command=[sys.executable, "-I", "-S", "-c", {FAMILY!r}]))
    await asyncio.Event().wait()

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", source], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(part) for part in process.stdout.readline().split()[1:]]
        assert len(pids) == 2
        assert all(psutil.pid_exists(pid) for pid in pids)
        process.kill()
    wait_until_gone(*pids)


def test_restarts_are_spaced_ever_wider() -> None:
    assert [restart_delay(deaths) for deaths in (1, 2, 3, 4, 5, 6, 7, 50)] == [0, 1, 2, 4, 8, 10, 10, 10]


def test_exits_are_described_in_words() -> None:
    assert describe_exit(2) == "exit code 2"
    assert describe_exit(-9) == "killed by SIGKILL"
