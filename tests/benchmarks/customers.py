"""Customers' worth of load on a running system, and what became of it: over their websockets, and in its database."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import time
import uuid
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psutil
import yaml

from tests.benchmarks.bench_retrieval import DEMO
from tests.benchmarks.sockets import Site
from tests.e2e.stack import Stack

FIRST_WORDS_S, TOKEN_GAP_S = 1.0, 0.1
# Far beyond what any customer waits: what is late is measured, what never comes ends here.
PATIENCE_S = 300.0
ENDS = ("reply.finished", "turn.failed", "turn.cancelled")


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a question. Moments are seconds of the monotonic clock; `first_words` is None where none came.

    `end` is the type of the frame that ended it: one of ENDS, or `error`, where it was not taken; or `unanswered`.
    """

    turn: str
    sent: float
    first_words: float | None
    ended: float
    end: str

    def is_good(self, tokens: int) -> bool:
        """Whether a customer would call it quick."""
        if self.end != ENDS[0] or self.first_words is None or self.first_words - self.sent > FIRST_WORDS_S:
            return False
        return (self.ended - self.first_words) / max(1, tokens - 1) <= TOKEN_GAP_S


@dataclass(frozen=True, slots=True)
class Written:
    """What the model wrote for a turn, and out of what."""

    turn: str
    question: str
    guidance: str
    passages: tuple[tuple[str, str], ...]
    timings: dict[str, float]

    @property
    def tokens(self) -> int:
        return int(self.timings["completion_tokens"])


async def ask(socket: Any, text: str) -> Asked:
    """One question over a socket that is ready, until its end."""
    sent, first_words, turn = time.monotonic(), None, ""
    await socket.send(json.dumps({"type": "message.send", "client_id": uuid.uuid4().hex, "text": text}))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                frame: dict[str, Any] = json.loads(await socket.recv())
                if frame["type"] == "message.accepted":
                    turn = frame["turn"]
                if frame["type"] == "reply.delta" and first_words is None:
                    first_words = time.monotonic()
                if frame["type"] == "error":
                    return Asked("", sent, None, time.monotonic(), "error")
                if frame["type"] in ENDS:
                    ended = time.monotonic()
                    # A short reply may come whole with its end.
                    shown = ended if first_words is None and frame["type"] == ENDS[0] else first_words
                    return Asked(frame["turn"], sent, shown, ended, frame["type"])
    except TimeoutError:
        return Asked(turn, sent, first_words, time.monotonic(), "unanswered")


class Customers:
    """Visitors with the page open, each asking the demo shop's own questions."""

    def __init__(self, stack: Stack, seed: int = 0) -> None:
        self.site = Site(stack.url)
        self.chance = random.Random(seed)
        self._database = stack.var_dir / "frontdesk.sqlite3"
        intents = yaml.safe_load((DEMO / "intents.yaml").read_text(encoding="utf-8"))
        self._questions = [each["question"] for each in intents if each["mode"] == "generate" and each.get("articles")]

    def question(self) -> str:
        """One that the model answers."""
        question: str = self.chance.choice(self._questions)
        return question

    async def open(self, count: int) -> list[Any]:
        """Sockets of so many new visitors, told `ready`."""
        cookies = await asyncio.to_thread(lambda: [self.site.cookie() for _ in range(count)])
        return [await self.site.chat(cookie) for cookie in cookies]

    async def ask_once(self, socket: Any) -> Asked:
        """One question; then the page is closed."""
        try:
            return await ask(socket, self.question())
        finally:
            await socket.close()

    async def one_by_one(self, count: int) -> list[Asked]:
        return [await self.ask_once(socket) for socket in await self.open(count)]

    async def without_pause(self, chats: int, each: int) -> list[list[Asked]]:
        """Several chats, each of which asks again as soon as it is answered, every time as a new visitor."""

        async def chat(sockets: list[Any]) -> list[Asked]:
            return [await self.ask_once(socket) for socket in sockets]

        opened = [await self.open(each) for _ in range(chats)]
        return list(await asyncio.gather(*map(chat, opened)))

    async def arriving(self, rate: float, seconds: float) -> list[Asked]:
        """An open loop: so many questions a second on average, for so long."""
        gaps = [self.chance.expovariate(rate) for _ in range(max(1, round(rate * seconds)))]
        tasks: list[asyncio.Task[Asked]] = []
        for gap, socket in zip(gaps, await self.open(len(gaps)), strict=True):
            await asyncio.sleep(gap)
            tasks.append(asyncio.create_task(self.ask_once(socket)))
        return list(await asyncio.gather(*tasks))

    async def at_once(self, count: int) -> list[Asked]:
        """So many at the same moment."""
        return list(await asyncio.gather(*(self.ask_once(socket) for socket in await self.open(count))))

    # --- What the database has of it ----------------------------------------------------------------

    def written(self, asked: list[Asked]) -> dict[str, Written]:
        """By turn: what the model wrote for those of them that it answered."""
        wanted = {uuid.UUID(each.turn).hex: each.turn for each in asked if each.turn}
        titles = dict(
            self._rows("select p.id, a.title from knowledge_passage p join knowledge_article a on a.id = p.article_id")
        )
        found: dict[str, Written] = {}
        for key, timings, sources, text, guidance in self._rows(
            """
            select t.id, t.timings, t.sources, m.text, i.guidance from conversations_turn t
            join conversations_message m on m.id = t.message_id
            left join intents_intent i on i.id = t.intent_id
            """
        ):
            measured = json.loads(timings)
            if key in wanted and "completion_tokens" in measured:
                passages = tuple((titles[each["passage_id"]], each["passage"]) for each in json.loads(sources))
                found[wanted[key]] = Written(wanted[key], text, guidance or "", passages, measured)
        return found

    def open_turns(self) -> int:
        """Turns that still owe an answer."""
        ((count,),) = self._rows("select count(*) from conversations_turn where status in ('queued', 'running')")
        return int(count)

    def wrong_replies(self) -> int:
        """Turns with more than one reply, and turns that are done with none; the demo's own left out."""
        rows = self._rows(
            """
            select t.status, count(r.id) from conversations_turn t
            join conversations_conversation c on c.id = t.conversation_id and not c.is_demo
            left join conversations_message r on r.turn_id = t.id group by t.id
            """
        )
        return sum(count > 1 or (status == "done" and not count) for status, count in rows)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=20)) as connection:
            return connection.execute(query).fetchall()


# --- What it costs ------------------------------------------------------------------------------------

# What a process is, by a word of its command line; the first that fits.
_KINDS = {
    "openvino_host": "engine",
    "uvicorn": "web",
    "valkey": "broker",
    "sweep": "sweeper",
    "replies": "replies",
    "maintenance": "maintenance",
    "training": "training",
}


def processes(stack: Stack) -> dict[str, list[psutil.Process]]:
    """The system's processes by what they are, with the load generator itself as `load`."""
    found: dict[str, list[psutil.Process]] = defaultdict(list, load=[psutil.Process()])
    for process in stack.family():
        try:
            command = " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue
        found[next((kind for word, kind in _KINDS.items() if word in command), "other")].append(process)
    return dict(found)


def cpu_seconds(stack: Stack) -> dict[str, float]:
    """Processor seconds that each kind of process has used."""
    used: dict[str, float] = {}
    for kind, members in processes(stack).items():
        used[kind] = 0.0
        for process in members:
            try:
                used[kind] += sum(process.cpu_times()[:2])
            except psutil.NoSuchProcess:
                continue
    return used


def cpu_shares(before: dict[str, float], after: dict[str, float], seconds: float) -> dict[str, float]:
    """The share of one core that each kind of process had between the two."""
    return {kind: round((after[kind] - before.get(kind, 0.0)) / seconds, 2) for kind in sorted(after)}
