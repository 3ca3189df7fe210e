"""Which processes make up the whole system on one machine."""

from __future__ import annotations

import sys
from pathlib import Path

from django.conf import settings

from chatbot.operations.broker import broker_command
from chatbot.operations.supervisor import ProcessSpec

BROKER = "broker"
# Chat pages hold their sockets for ever; they reconnect when the process is replaced.
WEB_GRACE_S = 3
# The tasks carry ids as JSON and no pickles, which is what Celery warns root of.
_AS_ROOT = "ignore:You're running the worker with superuser privileges"
# The newer implementation does not yet hold a slow reader's frames back.
_OLD_WEBSOCKETS = "ignore:The `websockets` implementation is deprecated"
# Static files and exports are read from disk and database, which have no asynchronous way; a thread iterates over them.
_SYNCHRONOUS_FILES = "ignore:StreamingHttpResponse must consume synchronous iterators"


def broker_spec() -> ProcessSpec:
    """The embedded Valkey."""
    command = broker_command(socket=Path(settings.EMBEDDED_BROKER_SOCKET), data_dir=settings.VAR_DIR / "broker")
    return ProcessSpec(name=BROKER, command=command)


def preparation_spec() -> ProcessSpec:
    """The one-shot that prepares, trains and indexes, in a process that may import torch."""
    return ProcessSpec(name="prepare", command=_manage("prepare"))


def serving_specs(*, host: str, port: int) -> list[ProcessSpec]:
    """What customers need, the slowest to start first."""
    return [
        ProcessSpec(
            name="replies",
            command=_worker("replies", "--pool=threads", f"--concurrency={settings.REPLY_STREAMS}"),
        ),
        ProcessSpec(name="web", command=_web(host, port)),
    ]


def background_specs() -> list[ProcessSpec]:
    """What may start a little later: nobody waits for it yet."""
    return [
        ProcessSpec(name="sweeper", command=_manage("sweep")),
        # Pages wait for these tasks (indexing an article, explaining a prediction), so they do not wait for a training.
        ProcessSpec(name="maintenance", command=_worker("maintenance", "--pool=threads", "--concurrency=2")),
        # A child per run gives all of its memory back at the end.
        ProcessSpec(
            name="training",
            command=_worker("training", "--pool=prefork", "--concurrency=1", "--max-tasks-per-child=1"),
        ),
    ]


def _manage(*arguments: str) -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments]


def _worker(queue: str, *pool: str) -> list[str]:
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    return [
        *(sys.executable, "-W", _AS_ROOT, "-m", "celery", "--quiet", "-A", "chatbot", "worker"),
        *("-Q", queue, "-n", f"{queue}@%h", "-l", settings.LOG_LEVEL),
        *pool,
        *quiet,
    ]


def _web(host: str, port: int) -> list[str]:
    return [
        *(sys.executable, "-W", _OLD_WEBSOCKETS, "-W", _SYNCHRONOUS_FILES),
        *("-m", "uvicorn", "chatbot.asgi:application"),
        *("--host", host, "--port", str(port)),
        *("--lifespan", "off", "--no-access-log", "--no-server-header"),
        # Proxies are counted by settings.TRUSTED_PROXIES; uvicorn's own rule would trust anybody on this machine.
        "--no-proxy-headers",
        *("--timeout-graceful-shutdown", str(WEB_GRACE_S)),
        *("--ws", "websockets", "--ws-max-size", "65536", "--ws-max-queue", "8", "--ws-per-message-deflate", "false"),
    ]
