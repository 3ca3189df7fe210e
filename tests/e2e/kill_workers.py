"""Kill the replies worker in the middle of a reply, again and again, and count what was lost.

    python -m tests.e2e.kill_workers --kills 20

A chat over the real websocket asks; once the first words have come, the worker dies with -9. Afterwards the database
must hold one reply for each question. Prints one JSON object; exits 1 if a reply was lost, came twice or failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import websockets

from .stack import Stack

QUESTIONS = [
    "Please explain to me step by step how a return works",
    "How can I cancel my order?",
    "How do I change my delivery address?",
    "How can I track my parcel?",
]
# Far beyond what is promised, so that what is late is measured instead of cut off.
PATIENCE_S = 180.0


class Chat:
    """One customer on the wire."""

    def __init__(self, stack: Stack) -> None:
        with urllib.request.urlopen(stack.url) as page:
            self._cookie = page.headers["Set-Cookie"].split(";")[0]
        self._url = stack.url.replace("http", "ws") + "/ws/chat/"

    async def ask_and_kill(self, stack: Stack, text: str) -> tuple[float, bool]:
        """Seconds from the kill to the finished reply, and whether the kill came in the middle of it."""
        async with websockets.connect(self._url, additional_headers={"Cookie": self._cookie}) as socket:
            await socket.send(json.dumps({"type": "hello", "protocol": 1}))
            await self._until(socket, "ready")
            await socket.send(json.dumps({"type": "message.send", "client_id": uuid.uuid4().hex, "text": text}))
            first = await self._until(socket, "reply.delta", "reply.finished")
            worker = stack.replies_worker()
            assert worker is not None
            worker.kill()
            killed_at = time.monotonic()
            if first["type"] == "reply.finished":
                return 0.0, False
            ended = await self._until(socket, "reply.finished", "turn.failed", "turn.cancelled")
            assert ended["type"] == "reply.finished", ended
            return time.monotonic() - killed_at, True

    async def _until(self, socket: Any, *kinds: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                frame: dict[str, Any] = json.loads(await socket.recv())
                if frame["type"] in kinds:
                    return frame


async def kill_repeatedly(stack: Stack, kills: int) -> dict[str, Any]:
    """Ask and kill until that many kills have hit a reply in the middle."""
    chat = Chat(stack)
    waits: list[float] = []
    asked = 0
    while len(waits) < kills:
        wait, was_mid_reply = await chat.ask_and_kill(stack, random.choice(QUESTIONS))
        asked += 1
        if was_mid_reply:
            waits.append(wait)
            print(f"kill {len(waits)}/{kills}: answered {wait:.1f} s later", file=sys.stderr)
    return {"asked": asked, "waits": waits}


def count_replies(database: Path) -> tuple[int, int, int]:
    """Questions, questions without a reply, questions with more than one; straight from the database."""
    query = """
        select t.id, count(r.id) from conversations_turn t
        join conversations_conversation c on c.id = t.conversation_id and not c.is_demo
        left join conversations_message r on r.turn_id = t.id group by t.id
    """
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        counts = [count for _, count in connection.execute(query)]
    return len(counts), counts.count(0), sum(count > 1 for count in counts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fd-kill-") as folder, Stack(Path(folder)) as stack:
        measured = asyncio.run(kill_repeatedly(stack, arguments.kills))
        turns, lost, duplicated = count_replies(Path(folder) / "frontdesk.sqlite3")
    waits = measured["waits"]
    result = {
        "benchmark": "kill_workers",
        "kills_mid_reply": len(waits),
        "asked": measured["asked"],
        "turns": turns,
        "lost": lost,
        "duplicated": duplicated,
        "longest_wait_s": round(max(waits), 1),
        "median_wait_s": round(statistics.median(waits), 1),
    }
    print(json.dumps(result))
    return 1 if lost or duplicated or turns != measured["asked"] else 0


if __name__ == "__main__":
    sys.exit(main())
