"""How many idle chats a web process holds, what each costs, and how fast a message reaches many of them.

    python -m tests.benchmarks.sockets [--connections 2000] [--quick] [--json]

A whole system is started in a folder of its own. Browsers' worth of websockets, each of a visitor of its own, say hello
and then are silent. `kib_each` is what the web process grew by, for each; `accepts_per_s` counts from the handshake to
`ready`, with as many handshakes at a time as a burst of visitors would bring. Then the tabs of one more visitor are
opened beside them, one of them sends a message, and `broadcast_ms_*` is how long each of the others waits for it.
`load_cpu_share` is the load generator's own share of a core while it connects: near 1 it measures itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import websockets

from tests.e2e.stack import Stack

HANDSHAKES_AT_A_TIME = 32
TABS = 50
MESSAGES = 20
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Site:
    """Where the sockets connect to."""

    url: str

    def cookie(self) -> str:
        """A new visitor's."""
        with urllib.request.urlopen(self.url) as page:
            cookie: str = page.headers["Set-Cookie"].split(";")[0]
            return cookie

    async def chat(self, cookie: str) -> Any:
        """A socket that was told `ready`."""
        socket = await websockets.connect(
            self.url.replace("http", "ws") + "/ws/chat/", additional_headers={"Cookie": cookie}, compression=None
        )
        await socket.send(json.dumps({"type": "hello", "protocol": 1}))
        await frame_of(socket, "ready")
        return socket


async def frame_of(socket: Any, kind: str) -> dict[str, Any]:
    """The next frame of this kind; others are passed over."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            frame: dict[str, Any] = json.loads(await socket.recv())
            if frame["type"] == kind:
                return frame


async def measure(stack: Stack, connections: int) -> dict[str, Any]:
    """Open the sockets, weigh them, and send through them."""
    site, web, own = Site(stack.url), web_process(stack), psutil.Process()
    # What the first few chats load once is no chat's own.
    warm = [await site.chat(site.cookie()) for _ in range(HANDSHAKES_AT_A_TIME)]
    cookies = await asyncio.to_thread(lambda: [site.cookie() for _ in range(connections)])
    gate = asyncio.Semaphore(HANDSHAKES_AT_A_TIME)

    async def connect(cookie: str) -> Any:
        async with gate:
            return await site.chat(cookie)

    before, cpu_before, started = web.memory_info().rss, sum(own.cpu_times()[:2]), time.perf_counter()
    idle = await asyncio.gather(*(connect(cookie) for cookie in cookies))
    seconds = time.perf_counter() - started
    cpu = sum(own.cpu_times()[:2]) - cpu_before
    grown = web.memory_info().rss - before
    waits = await broadcast(site)
    for socket in (*warm, *idle):
        await socket.close()
    return {
        "benchmark": "sockets",
        "connections": len(idle),
        "kib_each": round(grown / 1024 / len(idle), 1),
        "accepts_per_s": round(len(idle) / seconds, 1),
        "broadcast_ms_p50": round(1000 * statistics.median(waits), 1),
        "broadcast_ms_p95": round(1000 * statistics.quantiles(waits, n=20)[-1], 1),
        "broadcast_sockets": TABS,
        "load_cpu_share": round(cpu / seconds, 2),
        "web_rss_mib": round(web.memory_info().rss / 2**20),
    }


async def broadcast(site: Site) -> list[float]:
    """Seconds from sending a message in one tab until each other tab of the conversation shows it."""
    cookie = site.cookie()
    sender, *others = [await site.chat(cookie) for _ in range(TABS)]
    waits: list[float] = []
    for _ in range(MESSAGES):
        client_id = uuid.uuid4().hex
        frame = {"type": "message.send", "client_id": client_id, "text": "Thanks!"}
        started = time.perf_counter()

        async def seen(tab: Any, client_id: str = client_id, started: float = started) -> float:
            while (await frame_of(tab, "message.accepted"))["client_id"] != client_id:
                pass
            return time.perf_counter() - started

        await sender.send(json.dumps(frame))
        waits += await asyncio.gather(*(seen(tab) for tab in others))
        await frame_of(sender, "reply.finished")
    for tab in (sender, *others):
        await tab.close()
    return waits


def web_process(stack: Stack) -> psutil.Process:
    """The process that holds the sockets."""
    return next(process for process in stack.family() if any("uvicorn" in part for part in process.cmdline()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="300 connections")
    parser.add_argument("--json", action="store_true", help="nothing but JSON lines")
    options = parser.parse_args()
    if not options.json:
        print("Starting a system of its own …", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="fd-sockets-") as folder, Stack(Path(folder)) as stack:
        print(json.dumps(asyncio.run(measure(stack, 300 if options.quick else options.connections))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
