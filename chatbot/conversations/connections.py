"""Connections to the broker that are kept: making one costs more than most of what is asked over it.

A kept connection is looked at before it is used, so that a broker that was restarted costs nobody an answer. All of
them give up quickly: nothing here is worth holding up a customer for.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache

import redis
import redis.asyncio
from channels_redis.utils import _wrap_close
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_TIMEOUT_S = 1.0


def connect() -> redis.Redis:
    """A blocking client, for threads. Closing it gives its connection back to the process's pool."""
    return redis.Redis(connection_pool=_pool(settings.REDIS_URL))


# By address, because tests change it. A pool knows when it finds itself in a forked child, and begins anew.
@lru_cache(maxsize=8)
def _pool(url: str) -> redis.ConnectionPool:
    # Redis' own retries wait for seconds, and all of its callers have a better way out.
    at_once = Retry(NoBackoff(), 0)
    return redis.ConnectionPool.from_url(url, socket_connect_timeout=CONNECT_TIMEOUT_S, socket_timeout=2, retry=at_once)


class _LoopClient:
    """The client of one event loop."""

    def __init__(self) -> None:
        self.client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=1,
            retry=AsyncRetry(NoBackoff(), 0),
        )

    async def flush(self) -> None:
        """What channels-redis calls when the loop is closed."""
        await self.client.aclose()


class _LoopClients:
    def __init__(self) -> None:
        self._layers: dict[asyncio.AbstractEventLoop, _LoopClient] = {}

    def of(self, loop: asyncio.AbstractEventLoop) -> redis.asyncio.Redis:
        if loop not in self._layers:
            self._layers[loop] = _LoopClient()
            _wrap_close(self, loop)
        return self._layers[loop].client


_loop_clients = _LoopClients()


def connect_loop() -> redis.asyncio.Redis:
    """The client of the running event loop, which ends with it. Not to be closed."""
    return _loop_clients.of(asyncio.get_running_loop())
