"""Token buckets, against a real broker."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from pytest_django import Settings

from chatbot.conversations.limits import Bucket, message_buckets, take
from chatbot.exceptions import RateLimited

pytestmark = pytest.mark.asyncio


def bucket(burst: int, per_minute: float = 0.001) -> Bucket:
    return Bucket(f"test:{uuid.uuid4()}", per_minute, burst)


async def test_a_bucket_gives_its_burst_and_then_says_how_long_to_wait() -> None:
    slow = bucket(3)
    for _ in range(3):
        await take([slow])
    with pytest.raises(RateLimited) as limited:
        await take([slow])
    assert limited.value.retry_after is not None
    assert 50_000 < limited.value.retry_after <= 60_000


async def test_a_bucket_refills() -> None:
    quick = bucket(1, per_minute=60_000)
    for _ in range(20):
        await take([quick])
        await asyncio.sleep(0.005)  # five tokens' worth of the broker's own clock, which cannot be awaited otherwise


async def test_an_empty_bucket_takes_nothing_from_the_others() -> None:
    empty, full = bucket(1), bucket(1)
    await take([empty])
    with pytest.raises(RateLimited):
        await take([empty, full])
    await take([full])


async def test_of_many_at_once_no_more_than_the_burst_pass() -> None:
    shared = bucket(5)
    results = await asyncio.gather(*(take([shared]) for _ in range(20)), return_exceptions=True)
    assert sum(result is None for result in results) == 5


async def test_without_a_broker_messages_pass(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    await take(message_buckets(uuid.uuid4(), "203.0.113.7"))
    assert "rate limits are not applied" in caplog.text
