"""One running system per folder, and a free port for it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from chatbot.exceptions import StartupError

# The database, a log of the broker and one small release; less than this and every write is about to fail.
NEEDED_MIB = 64


def check_disk_has_room(directory: Path) -> None:
    """Returns if there is room to work.

    Raises:
        StartupError: the disk is as good as full.
    """
    free = shutil.disk_usage(directory).free // 2**20
    if free < NEEDED_MIB:
        raise StartupError(f"The disk that holds {directory} is full: {free} MiB are left, {NEEDED_MIB} are needed.")


@contextmanager
def sole_instance(path: Path, *, address: str) -> Iterator[None]:
    """Hold the folder's lock; the kernel lets go of it however the process ends.

    Raises:
        StartupError: another process holds it; says which, and where it serves.
    """
    # Not inherited by children: an orphan must not keep the folder locked.
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartupError(_describe_holder(file.read(), path)) from None
        file.truncate()
        json.dump({"pid": os.getpid(), "address": address}, file)
        file.flush()
        yield


def _describe_holder(written: str, path: Path) -> str:
    try:
        holder = json.loads(written)
        return (
            f"Frontdesk is already running in this folder: {holder['address']} (pid {holder['pid']}). "
            f"Stop it with Ctrl-C there, or with: kill {holder['pid']}"
        )
    except (ValueError, KeyError, TypeError):
        return f"Frontdesk is already starting in this folder ({path} is locked)."


def check_port_is_free(host: str, port: int) -> None:
    """Returns if a server can listen there.

    Raises:
        StartupError: it can't; says who has the port, where that can be known.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise StartupError(f"HOST={host} is not an address of this machine ({error.strerror}).") from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except PermissionError as error:
            raise StartupError(
                f"This user may not listen on port {port}. Choose one above 1023 with PORT=8000."
            ) from error
        except OSError as error:
            holder = _port_holder(port)
            if holder is None:
                raise StartupError(f"Can't listen on {host}:{port}: {error.strerror}.") from error
            raise StartupError(
                f"Port {port} is taken by {holder}. Stop that, or choose another port: PORT={port + 1}"
            ) from error


def _port_holder(port: int) -> str | None:
    try:
        listening = [
            connection
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        ]
    except psutil.AccessDenied:
        return "another program"
    if not listening:
        return None
    pid = next((connection.pid for connection in listening if connection.pid), None)
    if pid is None:
        return "another user's program"
    try:
        process = psutil.Process(pid)
        command = " ".join(process.cmdline()) or process.name()
        return f"pid {pid} ({command[:120]})"
    except psutil.Error:
        return f"pid {pid}"
