"""What a person, or a file, sees of `serve`."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from chatbot.operations.staff import NewAccount
from chatbot.operations.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
LOG_SOURCE = """
from chatbot.operations.terminal import Terminal
terminal = Terminal(no_color=%r)
terminal.log("web", "12:00:00.000 ERROR   chatbot.x it broke")
terminal.announce("Frontdesk is ready: http://127.0.0.1:8000")
"""


def test_in_a_file_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    with terminal.step("Doing it", "Did it"):
        pass
    with terminal.progress("Training", "Trained") as report:
        report("half way", 0.5)
    terminal.log("web", "evil \x1b[2J\x07")
    terminal.log("web", "   ")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "… Doing it"
    assert lines[1].startswith("✓ Did it (0.")
    assert lines[2] == "… Training"
    assert lines[3].startswith("✓ Trained (0.")
    assert lines[4:] == [r"web         | evil \x1b[2J\x07"]


def test_a_failed_step_is_not_called_done(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with Terminal().step("Doing it", "Did it"):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        fail()
    assert "Did it" not in capsys.readouterr().out


def test_passwords_are_shown_with_whose_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().show_accounts([NewAccount("admin", "abcdefgh23456789", "everything")], "http://127.0.0.1:8000")
    shown = capsys.readouterr().out
    assert "admin   abcdefgh23456789   everything" in shown
    assert "http://127.0.0.1:8000/admin/" in shown


def output_on_a_terminal(*, no_color: bool) -> str:
    ours, theirs = pty.openpty()
    with open(theirs, "wb") as terminal:
        subprocess.run([sys.executable, "-c", LOG_SOURCE % no_color], cwd=ROOT, stdout=terminal, check=True, timeout=60)
    with open(ours, "rb") as screen:
        return os.read(screen.fileno(), 4096).decode()


def test_colours_on_a_terminal_only_where_they_are_wanted() -> None:
    colored = output_on_a_terminal(no_color=False)
    assert "\x1b[31m12:00:00.000 ERROR" in colored
    assert "\x1b[1;32mFrontdesk is ready" in colored
    assert "\x1b" not in output_on_a_terminal(no_color=True)
