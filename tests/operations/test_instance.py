"""A second system in one folder, and a port that is taken, are told in one clear line."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from chatbot.exceptions import StartupError
from chatbot.operations.instance import check_disk_has_room, check_port_is_free, sole_instance

ROOT = Path(__file__).resolve().parents[2]


def test_a_second_instance_is_refused_and_told_where_the_first_one_is(tmp_path: Path) -> None:
    lock = tmp_path / "serve.lock"
    with sole_instance(lock, address="http://127.0.0.1:8000"):
        with pytest.raises(StartupError, match=f"already running.*http://127.0.0.1:8000.*pid {os.getpid()}"):
            with sole_instance(lock, address="http://127.0.0.1:8001"):
                pass
    with sole_instance(lock, address="http://127.0.0.1:8002"):
        assert "8002" in lock.read_text()


def test_a_killed_instance_leaves_the_folder_free(tmp_path: Path) -> None:
    lock = tmp_path / "serve.lock"
    source = f"""
from pathlib import Path
from chatbot.operations.instance import sole_instance
with sole_instance(Path({str(lock)!r}), address="http://here"):
    print("held", flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", source], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        first.kill()
    with sole_instance(lock, address="http://there"):
        pass


def test_a_busy_port_names_its_holder() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(StartupError, match=rf"Port {port} is taken by pid {os.getpid()} .*PORT={port + 1}"):
            check_port_is_free("127.0.0.1", port)
    check_port_is_free("127.0.0.1", port)


def test_a_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(StartupError, match=r"HOST=no\.such\.host\.invalid"):
        check_port_is_free("no.such.host.invalid", 8000)


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_disk_has_room(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=3 * 2**20))
    with pytest.raises(StartupError, match="is full: 3 MiB are left"):
        check_disk_has_room(tmp_path)


def test_a_var_folder_that_cannot_be_written_is_named() -> None:
    environment = {"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, "VAR_DIR": "/proc/frontdesk"}
    serve = subprocess.run(
        [sys.executable, "manage.py", "serve"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert serve.returncode == 1
    assert serve.stderr.startswith("Frontdesk is not configured: VAR_DIR=/proc/frontdesk can't be written")
    assert serve.stderr.count("\n") == 1


def test_serve_says_in_one_line_that_another_one_runs(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "ENV_FILE": os.devnull,
        "VAR_DIR": str(tmp_path),
    }
    with sole_instance(tmp_path / "serve.lock", address="http://127.0.0.1:8000"):
        second = subprocess.run(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert second.returncode == 1
    assert second.stdout == ""
    assert second.stderr.count("\n") == 1
    assert "already running in this folder: http://127.0.0.1:8000" in second.stderr
