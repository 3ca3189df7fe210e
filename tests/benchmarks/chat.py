"""What customers get of the whole system, from their websocket to the model and back, as more and more of them come.

    python -m tests.benchmarks.chat [--quick] [--json]

A whole system is started in a folder of its own and asked the demo shop's own questions, each by a visitor of its own.

- `idle`: one question at a time; how long until the first words are on the wire, and where that time goes.
- `8 chats without pause`: eight chats ask again as soon as they are answered. Then, with the system stopped, the bare
  engine writes the same replies: the same prompts and lengths, chat by chat, eight at a time. The ratio of their tokens
  per second is what the rest of the system costs. `cpu` tells which processes had how much of a core.
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
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.customers import Customers, Written, cpu_seconds, cpu_shares
from tests.e2e.stack import Stack

CHATS = 8
GOOD = 0.9
# Where an idle customer's wait goes, as the turn itself has stored it.
STAGES = ("queued", "classify", "retrieve", "first_token", "customer_wait")

Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is asked."""

    idle_questions: int
    questions_a_chat: int
    seconds_a_rate: float
    rates: tuple[float, ...]


FULL = Plan(40, 12, 60.0, (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0))
QUICK = Plan(20, 4, 8.0, (1.0, 2.0, 4.0, 8.0))


async def idle(customers: Customers, plan: Plan) -> dict[str, Any]:
    """First words on an idle system; the prompts' shared beginning is warm."""
    await customers.one_by_one(3)
    asked = await customers.one_by_one(plan.idle_questions)
    waits = [1000 * (each.first_words - each.sent) for each in asked if each.first_words is not None]
    timings = [written.timings for written in customers.written(asked).values()]
    return {
        "benchmark": "chat",
        "case": "idle",
        "questions": len(waits),
        "ttft_ms_p50": round(statistics.median(waits), 1),
        "ttft_ms_p95": round(statistics.quantiles(waits, n=20)[-1], 1),
        "stages_ms_p50": {
            stage: round(1000 * statistics.median(each[stage] for each in timings if stage in each), 1)
            for stage in STAGES
        },
    }


async def without_pause(stack: Stack, customers: Customers, plan: Plan) -> tuple[dict[str, Any], list[list[Written]]]:
    """Eight chats without pause, and what the model wrote for each of them, in order."""
    before = cpu_seconds(stack)
    chats = await customers.without_pause(CHATS, plan.questions_a_chat)
    after = cpu_seconds(stack)
    asked = [each for chat in chats for each in chat]
    seconds = max(each.ended for each in asked) - min(each.sent for each in asked)
    written = customers.written(asked)
    case = {
        "benchmark": "chat",
        "case": f"{CHATS} chats without pause",
        "replies": len(written),
        "tokens_per_s": round(sum(each.tokens for each in written.values()) / seconds, 1),
        "cpu": cpu_shares(before, after, seconds),
    }
    return case, [[written[each.turn] for each in chat if each.turn in written] for chat in chats]


async def at_rate(stack: Stack, customers: Customers, rate: float, seconds: float) -> dict[str, Any]:
    """The goodput of one arrival rate."""
    before, began = cpu_seconds(stack), time.monotonic()
    asked = await customers.arriving(rate, seconds)
    shares = cpu_shares(before, cpu_seconds(stack), time.monotonic() - began)
    written = customers.written(asked)
    good = sum(each.is_good(written[each.turn].tokens if each.turn in written else 0) for each in asked)
    waits = [1000 * (each.first_words - each.sent) for each in asked if each.first_words is not None]
    return {
        "benchmark": "chat",
        "case": "rate",
        "arrivals_per_s": rate,
        "questions": len(asked),
        "goodput": round(good / len(asked), 3),
        "refused": sum(each.end == "error" for each in asked),
        "ttft_ms_p50": round(statistics.median(waits), 1) if waits else None,
        "load_cpu_share": shares["load"],
    }


def bare_engine(model: Path, chats: list[list[Written]]) -> float:
    """Tokens per second of the engine alone on the same prompts, to the same lengths, chat by chat."""
    from django.conf import settings

    from chatbot.conversations.replies import NEXT_QUESTION
    from chatbot.inference.engines import load_engine
    from chatbot.inference.prompt import SYSTEM_TEMPLATE, GroundingPassage, Prompt, Utterance
    from chatbot.inference.sampling import SamplingParams
    from chatbot.intents.shop import load_shop

    engine = load_engine(
        model_dir=model,
        max_streams=settings.REPLY_STREAMS,
        kv_cache_mib=settings.KV_CACHE_MIB,
        lookup_tokens=settings.PROMPT_LOOKUP_TOKENS,
    )

    def prompt_of(written: Written) -> Prompt:
        return engine.prompts.build(
            system=SYSTEM_TEMPLATE.format(shop=load_shop().name),
            guidance=written.guidance,
            passages=[GroundingPassage(title, text) for title, text in written.passages],
            turns=[Utterance("user", written.question)],
        )

    def write(chat: list[tuple[Prompt, int]]) -> int:
        tokens = 0
        for prompt, length in chat:
            generation = engine.submit(prompt, SamplingParams(max_tokens=length, stop=NEXT_QUESTION))
            for _ in generation:
                pass
            tokens += generation.timings.completion_tokens
        return tokens

    prepared = [[(prompt_of(written), written.tokens) for written in chat] for chat in chats]
    assert all(
        len(prompt.token_ids) == written.timings["prompt_tokens"]
        for chat, plan in zip(chats, prepared, strict=True)
        for written, (prompt, _) in zip(chat, plan, strict=True)
    ), "the bare engine must be given what the system's own was given"
    try:
        # As warm as the system's engine was: its cache holds the beginning of every prompt.
        write(
            [
                (prompt, 1)
                for prompt, _ in {tuple(each[0].token_ids): each for chat in prepared for each in chat}.values()
            ]
        )
        began = time.monotonic()
        with ThreadPoolExecutor(CHATS) as pool:
            tokens = sum(pool.map(write, prepared))
        return tokens / (time.monotonic() - began)
    finally:
        engine.close()


async def measure(stack: Stack, plan: Plan, tell: Tell) -> tuple[dict[str, Any], list[list[Written]]]:
    """Everything that needs the running system. Gives the figures so far and what the bare engine is to write."""
    customers = Customers(stack)
    first = await idle(customers, plan)
    tell(first)
    chats, written = await without_pause(stack, customers, plan)
    tell(chats)
    reached = 0.0
    for rate in plan.rates:
        case = await at_rate(stack, customers, rate, plan.seconds_a_rate)
        tell(case)
        if case["goodput"] < GOOD:
            break
        reached = rate
    figures = {
        "goodput_rate": reached,
        "stack_tokens_per_s": chats["tokens_per_s"],
        "ttft_ms_p95_idle": first["ttft_ms_p95"],
    }
    return figures, written


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
            figures, written = asyncio.run(measure(stack, QUICK if options.quick else FULL, tell))
        alone = bare_engine(Path(folder) / "models" / "smollm2-135m-instruct", written)
    ours = figures.pop("stack_tokens_per_s")
    tell({"benchmark": "chat", "case": f"bare engine, {CHATS} streams", "tokens_per_s": round(alone, 1)})
    tell({**figures, "overhead_vs_engine_8": round(ours / alone, 3)})
    return 0


if __name__ == "__main__":
    import django

    # The system's own settings, not what the developer's file says.
    os.environ |= {"DJANGO_SETTINGS_MODULE": "chatbot.settings", "ENV_FILE": os.devnull}
    django.setup()
    sys.exit(main())
