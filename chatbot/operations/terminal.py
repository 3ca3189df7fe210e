"""What a person at the terminal sees: steps with their time, the logs of every process, the first passwords."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from chatbot.operations.logs import escape, paint_level

if TYPE_CHECKING:
    from chatbot.operations.staff import NewAccount

# Told apart on light and dark backgrounds alike; red and yellow are for trouble.
_PREFIX_COLORS = ("36", "32", "35", "34", "96", "92", "95", "94")
MILESTONE_S = 5.0
_LEVEL = re.compile(r"^\S+ (WARNING|ERROR|CRITICAL|DEBUG) ")


class Terminal:
    """Standard output. Colours and live lines only where it is a terminal; NO_COLOR is honoured."""

    def __init__(self, *, no_color: bool = False) -> None:
        self._live = sys.stdout.isatty()
        self._colored = self._live and not no_color
        self._console = Console(no_color=no_color, highlight=False, soft_wrap=True)
        self._prefixes: dict[str, str] = {}
        self._broken = False

    def say(self, line: str) -> None:
        """One line of our own."""
        self._write(line)

    def announce(self, line: str) -> None:
        """The line that the reader waits for."""
        self._write(f"\x1b[1;32m{line}\x1b[0m" if self._colored else line)

    def complain(self, line: str) -> None:
        """One line that says why this can't go on."""
        print(f"\x1b[1;31m{line}\x1b[0m" if self._colored else line, file=sys.stderr, flush=True)

    @contextmanager
    def step(self, doing: str, done: str) -> Iterator[None]:
        """Show that something is under way, and afterwards how long it took."""
        started = time.monotonic()
        if self._live:
            with self._console.status(f"{doing} …"):
                yield
        else:
            self._write(f"… {doing}")
            yield
        self._write(f"✓ {done} ({time.monotonic() - started:.1f} s)")

    @contextmanager
    def progress(self, doing: str, done: str) -> Iterator[Callable[[str, float | None], None]]:
        """A step that tells how far it is: yields a function of what it is doing, and the share (0 to 1) or None."""
        started = time.monotonic()
        if self._live:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            with Progress(*columns, console=self._console, transient=True) as bar:
                task = bar.add_task(doing, total=1.0)
                yield lambda message, share: bar.update(task, description=f"{doing}: {message}", completed=share)
        else:
            self._write(f"… {doing}")
            yield self._milestones()
        self._write(f"✓ {done} ({time.monotonic() - started:.1f} s)")

    def _milestones(self) -> Callable[[str, float | None], None]:
        """Where nothing can be redrawn, a line every few seconds is enough."""
        next_line = time.monotonic() + MILESTONE_S

        def report(message: str, share: float | None) -> None:
            nonlocal next_line
            if time.monotonic() >= next_line:
                next_line = time.monotonic() + MILESTONE_S
                self._write(f"  {message}" + (f" ({share:.0%})" if share is not None else ""))

        return report

    def log(self, name: str, line: str) -> None:
        """One line that a process wrote, behind the process's name."""
        line = escape(line)
        if not line.strip():
            return
        if not self._colored:
            self._write(f"{name:<11} | {line}")
            return
        color = self._prefixes.setdefault(name, _PREFIX_COLORS[len(self._prefixes) % len(_PREFIX_COLORS)])
        level = _LEVEL.match(line)
        self._write(f"\x1b[{color}m{name:<11} |\x1b[0m {paint_level(line, level[1]) if level else line}")

    def show_accounts(self, accounts: Sequence[NewAccount], address: str) -> None:
        """The first passwords, in a box that is hard to overlook."""
        table = Table.grid(padding=(0, 3))
        for account in accounts:
            table.add_row(account.username, Text(account.password, style="bold"), account.role)
        title = "Staff accounts – shown this once, stored only as hashes"
        self._console.print(Panel(table, title=title, subtitle=f"{address}/admin/", expand=False, padding=(1, 3)))

    def _write(self, line: str) -> None:
        if self._broken:
            return
        try:
            print(line, flush=True)
        except (BrokenPipeError, OSError):
            # Whoever read our output has gone. The shop stays open.
            self._broken = True
