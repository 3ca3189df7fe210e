"""What both engines promise, kept by the real engines on a tiny model."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from chatbot.exceptions import EngineBusy, EngineClosed, EngineError, PromptTooLong
from chatbot.inference.engines import Chunk, Engine, EngineKind, EngineStats, Generation, load_engine
from chatbot.inference.engines.base import TokenEngine
from chatbot.inference.engines.openvino import OpenVINOEngine
from chatbot.inference.prompt import Prompt, Utterance
from chatbot.inference.sampling import SamplingParams

STREAMS = 4
# What DESIGN §9 allows between a cancellation and the model's rest.
CANCEL_LIMIT_S = 0.1
# Long enough that it cannot end by itself within a test.
ENDLESS = SamplingParams(max_tokens=1500)


@pytest.fixture(scope="module", params=["openvino", "transformers"])
def engine(request: pytest.FixtureRequest, tiny_model: Path) -> Iterator[TokenEngine]:
    loaded = load_engine(model_dir=tiny_model, kind=request.param, max_streams=STREAMS, kv_cache_mib=32, threads=1)
    assert isinstance(loaded, TokenEngine)
    assert loaded.name == request.param
    yield loaded
    loaded.close()
    assert not loaded.alive


def ask(engine: Engine, text: str = "How can I cancel my order?") -> Prompt:
    return engine.prompts.build(system="You help.", guidance="", passages=[], turns=[Utterance("user", text)])


def read(generation: Generation) -> tuple[str, list[int]]:
    chunks = list(generation)
    return "".join(chunk.text for chunk in chunks), [index for chunk in chunks for index in chunk.token_ids]


def wait_until_idle(engine: TokenEngine, limit_s: float) -> float:
    """Seconds until the library underneath holds no request any more."""
    began = time.monotonic()
    while engine.in_model():
        assert time.monotonic() - began < limit_s, engine.in_model()
        time.sleep(0.002)  # the library announces nothing that could be awaited
    assert engine.stats() == EngineStats(running=0, waiting=0, kv_use=0.0)
    return time.monotonic() - began


def test_stream_equals_the_whole_text(engine: TokenEngine) -> None:
    generation = engine.submit(ask(engine), SamplingParams(max_tokens=60, temperature=1.0, seed=5))
    chunks: list[Chunk] = list(generation)
    ids = [index for chunk in chunks for index in chunk.token_ids]
    assert len(ids) == 60
    assert "".join(chunk.text for chunk in chunks) == engine.tokenizer.decode(ids).rstrip("\ufffd")
    assert len(chunks) > 10


def test_length_cap_and_timings(engine: TokenEngine) -> None:
    generation = engine.submit(ask(engine), SamplingParams(max_tokens=12))
    assert generation.finish_reason is None or generation.timings.completion_tokens <= 12
    _, ids = read(generation)
    timings = generation.timings
    assert (len(ids), timings.completion_tokens, generation.finish_reason) == (12, 12, "length")
    assert timings.prompt_tokens == len(ask(engine).token_ids)
    assert timings.queued_s is not None
    assert timings.ttft_s is not None
    assert timings.total_s is not None
    assert 0 <= timings.queued_s <= timings.ttft_s <= timings.total_s
    assert list(generation) == []


def test_what_the_prefix_cache_held_is_told_where_the_engine_can_tell(engine: TokenEngine) -> None:
    prompt = ask(engine, "Do you deliver to islands, and what does it cost? " * 4)
    held = []
    for _ in range(2):
        generation = engine.submit(prompt, SamplingParams(max_tokens=2))
        read(generation)
        held.append(generation.timings.cached_prompt_tokens)
    if engine.name == "openvino":
        assert held == [None, None]
        return
    first, second = held
    assert first is not None
    assert second is not None
    # Whole pages of 32 tokens, and never the prompt's last token, which makes the reply's first.
    assert first < second == (len(prompt.token_ids) - 1) // 32 * 32


def test_greedy_is_deterministic_alone_and_in_a_batch(engine: TokenEngine) -> None:
    alone = read(engine.submit(ask(engine), SamplingParams(max_tokens=10)))
    batch = [engine.submit(ask(engine), SamplingParams(max_tokens=10)) for _ in range(STREAMS)]
    assert [read(generation) for generation in batch] == [alone] * STREAMS


def test_sampling_differs_from_greedy(engine: TokenEngine) -> None:
    _, greedy = read(engine.submit(ask(engine), SamplingParams(max_tokens=30)))
    _, sampled = read(engine.submit(ask(engine), SamplingParams(max_tokens=30, temperature=2.0, top_p=0.95, seed=1)))
    assert greedy != sampled


def test_repetition_penalty_breaks_loops(engine: TokenEngine) -> None:
    _, plain = read(engine.submit(ask(engine), SamplingParams(max_tokens=40)))
    _, penalised = read(engine.submit(ask(engine), SamplingParams(max_tokens=40, repetition_penalty=2.0)))
    assert len(set(penalised)) > len(set(plain))


def test_stop_string_ends_the_reply_before_it(engine: TokenEngine) -> None:
    sampling = SamplingParams(max_tokens=80, temperature=1.0, seed=11)
    text, _ = read(engine.submit(ask(engine), SamplingParams(max_tokens=80)))
    stop = text.strip()[10:14]
    assert len(stop) == 4
    generation = engine.submit(ask(engine), SamplingParams(max_tokens=80, stop=("never seen", stop)))
    shortened, ids = read(generation)
    assert generation.finish_reason == "stop"
    assert shortened == text[: text.index(stop)]
    assert len(ids) < sampling.max_tokens
    wait_until_idle(engine, limit_s=1.0)


def test_cancel_reaches_the_model(engine: TokenEngine) -> None:
    generation = engine.submit(ask(engine), ENDLESS)
    next(generation)
    assert engine.in_model() == 1
    assert (engine.stats().kv_use or 0.0) > 0.0
    generation.cancel()
    assert wait_until_idle(engine, limit_s=5.0) < CANCEL_LIMIT_S
    generation.cancel()
    rest = list(generation)
    assert generation.finish_reason == "cancelled"
    assert generation.timings.completion_tokens < 1000
    assert all(isinstance(chunk, Chunk) for chunk in rest)


def test_cancel_from_another_thread_wakes_the_reader(engine: TokenEngine) -> None:
    generation = engine.submit(ask(engine), ENDLESS)
    started = threading.Event()

    def consume() -> float:
        for _ in generation:
            started.set()
        return time.monotonic()

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(consume)
        assert started.wait(10)
        cancelled = time.monotonic()
        generation.cancel()
        assert ended.result(10) - cancelled < CANCEL_LIMIT_S
    assert generation.finish_reason == "cancelled"


def test_a_reader_that_lets_go_stops_the_model(engine: TokenEngine) -> None:
    for _ in engine.submit(ask(engine), ENDLESS):
        break
    gc.collect()
    wait_until_idle(engine, limit_s=1.0)
    with engine.submit(ask(engine), ENDLESS) as generation:
        next(generation)
    assert generation.finish_reason == "cancelled"
    wait_until_idle(engine, limit_s=1.0)


def test_deadline_ends_running_and_waiting_replies(engine: TokenEngine) -> None:
    blockers = [engine.submit(ask(engine), ENDLESS) for _ in range(STREAMS)]
    waiting = engine.submit(ask(engine), SamplingParams(max_tokens=5, deadline_s=0.05))
    assert engine.stats().waiting == 1
    assert list(waiting) == []
    assert waiting.finish_reason == "deadline"
    assert waiting.timings.queued_s is None
    for blocker in blockers:
        blocker.cancel()
    running = engine.submit(ask(engine), SamplingParams(max_tokens=1500, deadline_s=0.2))
    began = time.monotonic()
    _, ids = read(running)
    assert running.finish_reason == "deadline"
    assert 0.1 < time.monotonic() - began < 1.0
    assert 0 < len(ids) < 1500
    wait_until_idle(engine, limit_s=1.0)


def test_sixteen_threads_get_their_own_replies(engine: TokenEngine) -> None:
    questions = [f"Question number {index}?" for index in range(16)]

    def answer(text: str) -> tuple[str, list[int]]:
        return read(engine.submit(ask(engine, text), SamplingParams(max_tokens=8)))

    one_by_one = [answer(text) for text in questions]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(answer, questions))
    assert all(len(ids) == 8 for _, ids in together)
    # Batches round differently, so a near tie may fall the other way; a mix-up of streams would hit nearly all.
    assert sum(left == right for left, right in zip(one_by_one, together, strict=True)) >= 13
    assert (engine.stats().running, engine.stats().waiting) == (0, 0)


def test_waiting_line_is_bounded_and_cancellable(engine: TokenEngine) -> None:
    accepted: list[Generation] = []

    def submit_for_ever() -> None:
        while True:
            accepted.append(engine.submit(ask(engine), ENDLESS))

    with pytest.raises(EngineBusy):
        submit_for_ever()
    assert len(accepted) > STREAMS
    for generation in accepted:
        generation.cancel()
    wait_until_idle(engine, limit_s=2.0)
    assert len(read(engine.submit(ask(engine), SamplingParams(max_tokens=3)))[1]) == 3


def test_prompts_fill_the_context_and_no_more(engine: TokenEngine) -> None:
    full = Prompt(tuple(ask(engine).token_ids[:1]) * engine.context_tokens, 0, 0)
    with pytest.raises(PromptTooLong):
        engine.submit(full, SamplingParams())
    nearly = Prompt(full.token_ids[:-3], 0, 0)
    _, ids = read(engine.submit(nearly, SamplingParams(max_tokens=50)))
    assert len(ids) <= 3


def test_a_long_prompt_does_not_starve_other_streams(engine: TokenEngine) -> None:
    short = engine.submit(ask(engine), SamplingParams(max_tokens=400))
    next(short)
    long_text = "how much is it? " * 120
    long = engine.submit(ask(engine, long_text), SamplingParams(max_tokens=4))
    assert len(read(long)[1]) == 4
    assert short.finish_reason is None or short.timings.completion_tokens == 400
    short.cancel()


@pytest.mark.parametrize("kind", ["openvino", "transformers"])
def test_what_does_not_fit_into_the_cache_waits_and_comes_whole(tiny_model: Path, kind: EngineKind) -> None:
    """The smallest cache holds one full conversation; four want three times as much."""
    engine = load_engine(model_dir=tiny_model, kind=kind, max_streams=STREAMS, kv_cache_mib=1, threads=1)
    assert isinstance(engine, TokenEngine)
    prompts = [ask(engine, f"{index} " + "how much is it? " * 200) for index in range(STREAMS)]
    assert sum(len(prompt.token_ids) for prompt in prompts) > 1.5 * engine.context_tokens
    generations = [engine.submit(prompt, SamplingParams(max_tokens=100)) for prompt in prompts]
    for generation in generations:
        assert len(read(generation)[1]) == 100
        assert generation.finish_reason == "length"
    wait_until_idle(engine, limit_s=1.0)
    engine.close()


def test_a_storm_of_cancellations_leaves_nothing(engine: TokenEngine) -> None:
    kept: list[Generation] = []
    for index in range(300):
        generation = engine.submit(ask(engine, f"Question {index}"), ENDLESS)
        if index % 3:
            generation.cancel()
            assert generation.finish_reason == "cancelled"
        else:
            kept.append(generation)
        if len(kept) == 2 * STREAMS:
            next(kept[0])
            for other in kept:
                other.cancel()
            kept.clear()
    for generation in kept:
        generation.cancel()
    wait_until_idle(engine, limit_s=5.0)
    assert len(read(engine.submit(ask(engine), SamplingParams(max_tokens=7)))[1]) == 7


def test_many_more_requests_than_streams_at_once(engine: TokenEngine) -> None:
    count = 25 * STREAMS
    with ThreadPoolExecutor(count) as pool:
        replies = list(
            pool.map(lambda index: read(engine.submit(ask(engine), SamplingParams(max_tokens=3))), range(count))
        )
    assert [len(ids) for _, ids in replies] == [3] * count


def test_a_long_prompt_is_read_in_parts_between_the_tokens_of_others(engine: TokenEngine) -> None:
    """No step reads more than 256 tokens, so a prompt of 1,600 takes several, in which others go on."""
    running = engine.submit(ask(engine), ENDLESS)
    next(running)
    before = running.timings.completion_tokens
    long = engine.submit(Prompt(ask(engine).token_ids[1:2] * 1600, 0, 0), SamplingParams(max_tokens=1))
    assert len(read(long)[1]) == 1
    assert running.timings.completion_tokens - before >= 3
    running.cancel()
    wait_until_idle(engine, limit_s=1.0)


# --- Looking up ---------------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [1, 3])
def test_looking_up_changes_no_reply(tiny_model: Path, streams: int) -> None:
    replies: list[list[list[int]]] = []
    for lookup_tokens in (0, 5):
        engine = OpenVINOEngine(tiny_model, max_streams=4, kv_cache_mib=16, threads=1, lookup_tokens=lookup_tokens)
        generations = [
            engine.submit(ask(engine, f"Again {index} and again {index}"), SamplingParams(max_tokens=80))
            for index in range(streams)
        ]
        replies.append([read(generation)[1] for generation in generations])
        engine.close()
    without, looked_up = replies
    assert all(len(ids) == 80 for ids in looked_up)
    assert looked_up == without


def test_guesses_that_are_right_come_together(tiny_model: Path) -> None:
    """A tiny random model soon goes in circles, which a lookup foresees."""
    engine = OpenVINOEngine(tiny_model, max_streams=2, kv_cache_mib=16, threads=1)
    generation = engine.submit(ask(engine), SamplingParams(max_tokens=300))
    chunks = [len(chunk.token_ids) for chunk in generation]
    assert sum(chunks) == 300
    assert max(chunks) > 1
    engine.close()


# --- Ends ---------------------------------------------------------------------------------------


def test_close_fails_what_runs(tiny_model: Path) -> None:
    engine = OpenVINOEngine(tiny_model, max_streams=1, kv_cache_mib=16, threads=1)
    running, waiting = (engine.submit(ask(engine), ENDLESS) for _ in range(2))
    next(running)
    pid = engine.pid
    engine.close()
    engine.close()
    for generation in (running, waiting):
        with pytest.raises(EngineClosed):
            list(generation)
        assert generation.finish_reason == "error"
    with pytest.raises(EngineClosed):
        engine.submit(ask(engine), SamplingParams())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_killed_child_fails_its_replies_and_marks_the_engine_dead(tiny_model: Path) -> None:
    engine = OpenVINOEngine(tiny_model, max_streams=1, kv_cache_mib=16, threads=1)
    running, waiting = (engine.submit(ask(engine), ENDLESS) for _ in range(2))
    next(running)
    os.kill(engine.pid, signal.SIGKILL)
    for generation in (running, waiting):
        with pytest.raises(EngineError, match="SIGKILL"):
            list(generation)
    assert not engine.alive
    with pytest.raises(EngineClosed):
        engine.submit(ask(engine), SamplingParams())
    engine.close()


def test_a_model_that_is_stuck_in_a_step_ends_its_engine(tiny_model: Path) -> None:
    """No step is as quick as this limit, so the first one counts as stuck; the proof has a limit of its own."""
    engine = OpenVINOEngine(tiny_model, max_streams=1, kv_cache_mib=16, threads=1, step_limit_s=1e-5)
    running = engine.submit(ask(engine), ENDLESS)
    with pytest.raises(EngineError, match="it was stuck"):
        list(running)
    assert not engine.alive
    engine.close()


def test_a_killed_worker_leaves_no_orphan(tiny_model: Path) -> None:
    program = (
        "from pathlib import Path; from chatbot.inference.engines.openvino import OpenVINOEngine as E\n"
        "from chatbot.inference.prompt import Utterance; from chatbot.inference.sampling import SamplingParams\n"
        f"e = E(Path({str(tiny_model)!r}), max_streams=1, kv_cache_mib=16, threads=1)\n"
        "p = e.prompts.build(system='', guidance='', passages=[], turns=[Utterance('user', 'Hi')])\n"
        "g = e.submit(p, SamplingParams(max_tokens=1500)); next(g); print(e.pid, flush=True); g.__next__(); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        child = psutil.Process(int(worker.stdout.readline()))
        worker.kill()
        child.wait(timeout=5)
    assert not child.is_running()


def test_a_dead_model_thread_fails_its_replies(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load_engine(model_dir=tiny_model, kind="transformers", max_streams=2, kv_cache_mib=16, threads=1)
    running = engine.submit(ask(engine), ENDLESS)
    next(running)

    def explode(*_args: object, **_options: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine._manager.batch_processor.model_runner, "_sample", explode)  # type: ignore[attr-defined]
    with pytest.raises(EngineError, match="out of memory"):
        list(running)
    with pytest.raises(EngineError):
        list(engine.submit(ask(engine), SamplingParams(max_tokens=3)))
    deadline = time.monotonic() + 5
    while engine.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not engine.alive
    engine.close()
