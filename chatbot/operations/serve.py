"""`manage.py serve`: from nothing running to a ready chat, and back to nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connections

from chatbot.conversations.presence import forget_workers
from chatbot.exceptions import FrontdeskError, StartupError
from chatbot.operations import stack
from chatbot.operations.broker import wait_until_ready
from chatbot.operations.instance import check_disk_has_room, check_port_is_free, sole_instance
from chatbot.operations.preparation import collect_static_files, missing_model_steps, prepare_database
from chatbot.operations.staff import NewAccount, create_first_accounts, sync_groups
from chatbot.operations.supervisor import Supervisor, describe_exit
from chatbot.operations.terminal import Terminal

READY_POLL_S = 0.4
# Models load in seconds; after this the reader wants to know what is still missing.
PATIENCE_S = 30.0
BACKGROUND_DELAY_S = 20.0
EXIT_STARTUP = 1
EXIT_FORCED = 130


class Serve:
    """One run of the whole system in one terminal."""

    def __init__(self, *, host: str, port: int, terminal: Terminal) -> None:
        self._host = host
        self._port = port
        self._terminal = terminal
        self._address = f"http://{_for_people(host)}:{port}"
        self._stop_requested = asyncio.Event()

    def run(self) -> int:
        """Serve until told to stop. Returns the exit code."""
        try:
            with sole_instance(settings.VAR_DIR / "serve.lock", address=self._address):
                check_disk_has_room(settings.VAR_DIR)
                check_port_is_free(self._host, self._port)
                return asyncio.run(self._serve())
        except (FrontdeskError, DatabaseError, OSError) as error:
            self._terminal.complain(f"Frontdesk can't start: {_one_line(error)}")
            return EXIT_STARTUP

    async def _serve(self) -> int:
        supervisor = Supervisor(show=self._show, directory=settings.BASE_DIR)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal, number, supervisor)
        try:
            started = asyncio.create_task(self._start(supervisor))
            stopped = asyncio.create_task(self._stop_requested.wait())
            await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if started.done():
                started.result()
                await stopped
            else:
                started.cancel()
                with suppress(asyncio.CancelledError):
                    await started
            self._terminal.say("Stopping …")
            return 0
        finally:
            # The broker goes last: workers hand their unfinished turns back through it.
            await supervisor.stop([name for name in supervisor.names() if name != stack.BROKER])
            await supervisor.stop()
            supervisor.close()
            self._terminal.say("Stopped.")

    def _on_signal(self, number: int, supervisor: Supervisor) -> None:
        if self._stop_requested.is_set() and number == signal.SIGINT:
            supervisor.close()
            os._exit(EXIT_FORCED)
        self._stop_requested.set()

    async def _start(self, supervisor: Supervisor) -> None:
        if settings.USES_EMBEDDED_BROKER:
            pid = await supervisor.start(stack.broker_spec())
            await asyncio.to_thread(wait_until_ready, socket=Path(settings.EMBEDDED_BROKER_SOCKET), pid=pid)
            await asyncio.to_thread(forget_workers)
        needs_models = await asyncio.to_thread(self._prepare_database)
        if needs_models:
            code = await supervisor.run_once(stack.preparation_spec(), inherit_output=True)
            if code:
                raise StartupError(f"Preparing the models failed ({describe_exit(code)}); the reason stands above.")
        accounts = await asyncio.to_thread(_create_accounts)
        for spec in stack.serving_specs(host=self._host, port=self._port):
            await supervisor.start(spec)
        ready = asyncio.create_task(self._wait_until_ready())
        await asyncio.wait({ready}, timeout=BACKGROUND_DELAY_S)
        for spec in stack.background_specs():
            await supervisor.start(spec)
        await ready
        if accounts:
            self._terminal.show_accounts(accounts, self._address)
        self._terminal.announce(f"Frontdesk is ready: {self._address}  (Ctrl-C stops it)")

    def _show(self, name: str, line: str) -> None:
        # True of servers with data larger than memory; ours holds a few MiB.
        if name != stack.BROKER or "overcommit" not in line:
            self._terminal.log(name, line)

    def _prepare_database(self) -> bool:
        try:
            prepare_database(self._terminal)
            collect_static_files(self._terminal)
            return bool(missing_model_steps())
        finally:
            connections.close_all()

    async def _wait_until_ready(self) -> None:
        asked = time.monotonic()
        while problem := await asyncio.to_thread(self._unreadiness):
            if time.monotonic() - asked > PATIENCE_S:
                self._terminal.say(f"Still starting: {problem}")
                asked = time.monotonic()
            await asyncio.sleep(READY_POLL_S)

    def _unreadiness(self) -> str:
        """Empty once /readyz is green, else what it says."""
        probe = http.client.HTTPConnection(_to_connect(self._host), self._port, timeout=5)
        try:
            probe.request("GET", "/readyz")
            answer = json.load(probe.getresponse())
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"the web process does not answer yet ({error})"
        finally:
            probe.close()
        return "; ".join(f"{name}: {check['detail']}" for name, check in answer["checks"].items() if not check["ok"])


def _create_accounts() -> list[NewAccount]:
    try:
        sync_groups()
        return create_first_accounts()
    finally:
        connections.close_all()


def _to_connect(host: str) -> str:
    """An address that reaches a server listening on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


def _for_people(host: str) -> str:
    reachable = _to_connect(host)
    return f"[{reachable}]" if ":" in reachable else reachable


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
