"""What customers get of the whole system, from their websocket to the model and back, as more and more of them come.

    python -m tests.benchmarks.chat [--quick] [--json]

A whole system is started in a folder of its own and asked the demo shop's own questions, each by a visitor of its own.

- `idle`: one question at a time; how long until the first words.
- `overhead`: eight chats ask without pause, then, with the system stopped, the bare engine answers the same prompts,
  eight at a time. The ratio of their tokens per second is what the rest of the system costs.
- `rate`: questions arrive by chance at a given mean rate (an open loop, Poisson), whether or not earlier ones are
  answered. A question counts as good where its first words came within a second and its tokens at most 100 ms apart on
  average; goodput is the share of good ones. Rates rise until it falls below 0.9. `load_cpu_share` is the load
  generator's own share of a core: near 1 it measures itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.benchmarks.bench_retrieval import DEMO
from tests.benchmarks.sockets import Site
from tests.e2e.stack import Stack

CHATS = 8
FIRST_WORDS_S, TOKEN_GAP_S, GOOD = 1.0, 0.1, 0.9
RATES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
PATIENCE_S = 120.0
ENDS = ("reply.finished", "turn.failed", "turn.cancelled")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is asked."""

    idle_questions: int
    questions_a_chat: int
    seconds_a_rate: float


FULL = Plan(idle_questions=40, questions_a_chat=10, seconds_a_rate=60.0)
QUICK = Plan(idle_questions=10, questions_a_chat=3, seconds_a_rate=10.0)


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a question. Moments are seconds of the monotonic clock; `first_words` is None where none came."""

    turn: str
    sent: float
    first_words: float | None
    ended: float
    answered: bool

    def is_good(self, tokens: int) -> bool:
        """Whether a customer would call it quick."""
        if not self.answered or self.first_words is None or self.first_words - self.sent > FIRST_WORDS_S:
            return False
        return (self.ended - self.first_words) / max(1, tokens - 1) <= TOKEN_GAP_S


async def ask(site: Site, cookie: str, text: str) -> Asked:
    """One visitor's question, until its end."""
    socket = await site.chat(cookie)
    try:
        sent, first_words = time.monotonic(), None
        await socket.send(json.dumps({"type": "message.send", "client_id": uuid.uuid4().hex, "text": text}))
        async with asyncio.timeout(PATIENCE_S):
            while True:
                frame: dict[str, Any] = json.loads(await socket.recv())
                if frame["type"] == "reply.delta" and first_words is None:
                    first_words = time.monotonic()
                if frame["type"] == "error":
                    return Asked("", sent, None, time.monotonic(), answered=False)
                if frame["type"] in ENDS:
                    ended = time.monotonic()
                    return Asked(frame["turn"], sent, first_words, ended, answered=frame["type"] == ENDS[0])
    finally:
        await socket.close()


class Load:
    """Asks the system, and looks up in its database what the model wrote."""

    def __init__(self, stack: Stack, seed: int = 0) -> None:
        self._site = Site(stack.url)
        self._database = stack.var_dir / "frontdesk.sqlite3"
        self._chance = random.Random(seed)
        intents = yaml.safe_load((DEMO / "intents.yaml").read_text(encoding="utf-8"))
        self._questions = [each["question"] for each in intents if each["mode"] == "generate" and each.get("articles")]

    async def one_by_one(self, count: int) -> list[Asked]:
        cookies = await self._cookies(count)
        return [await ask(self._site, cookie, self._question()) for cookie in cookies]

    async def without_pause(self, each: int) -> list[Asked]:
        """Several chats, each of which asks again as soon as it is answered."""

        async def chat(cookies: list[str]) -> list[Asked]:
            return [await ask(self._site, cookie, self._question()) for cookie in cookies]

        cookies = [await self._cookies(each) for _ in range(CHATS)]
        return [asked for chats in await asyncio.gather(*map(chat, cookies)) for asked in chats]

    async def arriving(self, rate: float, seconds: float) -> list[Asked]:
        """An open loop: so many questions a second on average, for so long."""
        gaps = [self._chance.expovariate(rate) for _ in range(max(1, round(rate * seconds)))]
        cookies = await self._cookies(len(gaps))
        tasks: list[asyncio.Task[Asked]] = []
        for gap, cookie in zip(gaps, cookies, strict=True):
            await asyncio.sleep(gap)
            tasks.append(asyncio.create_task(ask(self._site, cookie, self._question())))
        return list(await asyncio.gather(*tasks))

    def generated(self, asked: list[Asked]) -> dict[str, int]:
        """The tokens of each turn that the model wrote."""
        return {turn: timings["completion_tokens"] for turn, timings, _, _ in self.turns(asked)}

    def turns(self, asked: list[Asked]) -> Iterator[tuple[str, dict[str, Any], str, list[dict[str, Any]]]]:
        """(turn, timings, question, sources) of those that the model answered."""
        wanted = {uuid.UUID(each.turn).hex: each.turn for each in asked if each.turn}
        query = """
            select t.id, t.timings, m.text, t.sources from conversations_turn t
            join conversations_message m on m.id = t.message_id
        """
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            for found, timings, text, sources in connection.execute(query):
                measured = json.loads(timings)
                if found in wanted and "completion_tokens" in measured:
                    yield wanted[found], measured, text, json.loads(sources)

    def _question(self) -> str:
        question: str = self._chance.choice(self._questions)
        return question

    async def _cookies(self, count: int) -> list[str]:
        return await asyncio.to_thread(lambda: [self._site.cookie() for _ in range(count)])


async def idle(load: Load, plan: Plan) -> dict[str, Any]:
    """First words on an idle system; the prompts' shared beginning is warm."""
    await load.one_by_one(3)
    asked = await load.one_by_one(plan.idle_questions)
    waits = [1000 * (each.first_words - each.sent) for each in asked if each.first_words is not None]
    return {
        "benchmark": "chat",
        "case": "idle",
        "questions": len(waits),
        "ttft_ms_p50": round(statistics.median(waits), 1),
        "ttft_ms_p95": round(statistics.quantiles(waits, n=20)[-1], 1),
    }


async def busy(load: Load, plan: Plan) -> tuple[dict[str, Any], list[Any]]:
    """Eight chats without pause, and the turns they made."""
    asked = await load.without_pause(plan.questions_a_chat)
    seconds = max(each.ended for each in asked) - min(each.sent for each in asked)
    turns = list(load.turns(asked))
    tokens = sum(timings["completion_tokens"] for _, timings, _, _ in turns)
    case = {"benchmark": "chat", "case": f"{CHATS} chats without pause", "tokens_per_s": round(tokens / seconds, 1)}
    return case, turns


async def at_rate(load: Load, rate: float, seconds: float) -> dict[str, Any]:
    """The goodput of one arrival rate."""
    own = psutil.Process()
    cpu, began = sum(own.cpu_times()[:2]), time.monotonic()
    asked = await load.arriving(rate, seconds)
    share = (sum(own.cpu_times()[:2]) - cpu) / (time.monotonic() - began)
    tokens = load.generated(asked)
    good = sum(each.is_good(tokens.get(each.turn, 0)) for each in asked)
    waits = [1000 * (each.first_words - each.sent) for each in asked if each.first_words is not None]
    return {
        "benchmark": "chat",
        "case": "rate",
        "arrivals_per_s": rate,
        "questions": len(asked),
        "goodput": round(good / len(asked), 3),
        "ttft_ms_p50": round(statistics.median(waits), 1) if waits else None,
        "load_cpu_share": round(share, 2),
    }


def bare_engine(model: Path, turns: list[Any]) -> float:
    """Tokens per second of the engine alone on the turns' own prompts, eight at a time."""
    from chatbot.inference.engines import load_engine
    from chatbot.inference.prompt import SYSTEM_TEMPLATE, GroundingPassage, Utterance
    from chatbot.inference.sampling import SamplingParams

    engine = load_engine(model_dir=model, max_streams=CHATS)

    def write(turn: Any) -> int:
        _, timings, question, sources = turn
        prompt = engine.prompts.build(
            system=SYSTEM_TEMPLATE.format(shop="the shop"),
            guidance="",
            passages=[GroundingPassage(source["title"], source["passage"]) for source in sources],
            turns=[Utterance("user", question)],
        )
        generation = engine.submit(prompt, SamplingParams(max_tokens=timings["completion_tokens"]))
        return sum(len(chunk.token_ids) for chunk in generation)

    try:
        write(turns[0])
        began = time.monotonic()
        with ThreadPoolExecutor(CHATS) as pool:
            tokens = sum(pool.map(write, turns))
        return tokens / (time.monotonic() - began)
    finally:
        engine.close()


async def measure(stack: Stack, plan: Plan, tell: Any) -> tuple[dict[str, Any], list[Any]]:
    """Everything that needs the running system. Gives the figures so far and the turns for the bare engine."""
    load = Load(stack)
    first = await idle(load, plan)
    tell(first)
    chats, turns = await busy(load, plan)
    tell(chats)
    reached = 0.0
    for rate in RATES:
        case = await at_rate(load, rate, plan.seconds_a_rate)
        tell(case)
        if case["goodput"] < GOOD:
            break
        reached = rate
    figures = {
        "goodput_rate": reached,
        "stack_tokens_per_s": chats["tokens_per_s"],
        "ttft_ms_p95_idle": first["ttft_ms_p95"],
    }
    return figures, turns


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute or two, with wide margins")
    parser.add_argument("--json", action="store_true", help="nothing but JSON lines")
    options = parser.parse_args()
    if not options.json:
        print("Starting a system of its own …", file=sys.stderr)

    def tell(case: dict[str, Any]) -> None:
        print(json.dumps(case), flush=True)

    with tempfile.TemporaryDirectory(prefix="fd-chat-") as folder:
        with Stack(Path(folder)) as stack:
            figures, turns = asyncio.run(measure(stack, QUICK if options.quick else FULL, tell))
        alone = bare_engine(Path(folder) / "models" / "smollm2-135m-instruct", turns)
    ours = figures.pop("stack_tokens_per_s")
    tell({"benchmark": "chat", "case": f"bare engine, {CHATS} streams", "tokens_per_s": round(alone, 1)})
    tell({**figures, "overhead_vs_engine_8": round(ours / alone, 3)})
    return 0


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatbot.settings")
    sys.exit(main())
