"""Items of many threads in one call: what waits goes together, and no item suffers for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.inference.batching import Batcher
from chatbot.inference.encoder import length_buckets

WAIT_S = 20


class Gate:
    """Doubles numbers. The first call stands still until it is let go; every call is remembered."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.calls.append(list(items))
        self.begun.set()
        assert self.go.wait(WAIT_S)
        if any(item < 0 for item in items):
            raise ValueError("a negative number")
        return [2 * item for item in items]


def wait_until_in_line(batcher: Batcher[int, int], count: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while len(batcher._waiting) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_lone_item_is_computed_by_its_own_thread() -> None:
    threads: list[int] = []

    def compute(items: Sequence[str]) -> list[str]:
        threads.append(threading.get_ident())
        return [item.upper() for item in items]

    batcher = Batcher(compute)
    assert batcher("hello") == "HELLO"
    assert threads == [threading.get_ident()]


def test_what_waits_meanwhile_is_one_call() -> None:
    gate = Gate()
    batcher = Batcher(gate, max_batch=4)
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(batcher, 0)
        assert gate.begun.wait(WAIT_S)
        others = [pool.submit(batcher, number) for number in range(1, 8)]
        wait_until_in_line(batcher, 7)
        gate.go.set()
        assert first.result(WAIT_S) == 0
        assert [other.result(WAIT_S) for other in others] == [2 * number for number in range(1, 8)]
    assert [len(call) for call in gate.calls] == [1, 4, 3]
    assert sorted(item for call in gate.calls for item in call) == list(range(8))


def test_a_bad_item_costs_only_itself() -> None:
    gate = Gate()
    batcher = Batcher(gate)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(batcher, 1)
        assert gate.begun.wait(WAIT_S)
        others = [pool.submit(batcher, number) for number in (2, -3, 4)]
        wait_until_in_line(batcher, 3)
        gate.go.set()
        assert first.result(WAIT_S) == 2
        assert others[0].result(WAIT_S) == 4
        with pytest.raises(ValueError, match="negative"):
            others[1].result(WAIT_S)
        assert others[2].result(WAIT_S) == 8
    assert batcher(5) == 10


def test_a_result_too_few_is_an_error_and_no_wait_without_end() -> None:
    batcher: Batcher[int, int] = Batcher(lambda _items: [])
    with pytest.raises(ValueError, match="zip"):
        batcher(1)


def test_hundreds_of_threads_each_get_their_own_result() -> None:
    batcher: Batcher[int, int] = Batcher(lambda items: [3 * item for item in items], max_batch=5)
    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(batcher, range(500))) == [3 * number for number in range(500)]


@given(st.lists(st.integers(0, 3000), max_size=80), st.integers(1, 10))
def test_buckets_hold_every_text_once_and_none_much_longer_than_the_first(lengths: list[int], size: int) -> None:
    buckets = length_buckets(lengths, size)
    assert sorted(index for bucket in buckets for index in bucket) == list(range(len(lengths)))
    for bucket in buckets:
        inside = [lengths[index] for index in bucket]
        assert len(bucket) <= size
        assert max(inside) <= max(64, 2 * min(inside))
