"""The embedded broker: private, durable across a restart, and gone with whoever started it."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import psutil
import redis

from chatbot.operations.broker import EmbeddedBroker

ROOT = Path(__file__).resolve().parents[2]


def test_it_listens_on_a_private_socket_only(tmp_path: Path) -> None:
    socket = tmp_path / "run" / "v.sock"
    with EmbeddedBroker(socket=socket, data_dir=tmp_path / "data") as broker:
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        listening = psutil.Process(broker.pid).net_connections("inet")
        assert listening == []
        with redis.Redis(unix_socket_path=str(socket)) as client:
            assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_what_was_written_survives_a_restart(tmp_path: Path) -> None:
    for visit in range(2):
        with EmbeddedBroker(socket=tmp_path / "v.sock", data_dir=tmp_path / "data"):
            with redis.Redis(unix_socket_path=str(tmp_path / "v.sock")) as client:
                assert client.incr("visits") == visit + 1


def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    source = f"""
from pathlib import Path
from chatbot.operations.broker import EmbeddedBroker
with EmbeddedBroker(socket=Path({str(tmp_path / "v.sock")!r}), data_dir=Path({str(tmp_path / "data")!r})) as broker:
    print(broker.pid, flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", source], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        broker = psutil.Process(int(parent.stdout.readline()))
        assert "valkey-server" in broker.cmdline()[0]
        parent.kill()
    _, alive = psutil.wait_procs([broker], timeout=10)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
