"""Token buckets for customers' messages, one for each session and one for each address.

The buckets live in Redis, so that several web processes share them. Where Redis does not answer, messages pass: the
queue's own bound still holds, and turning customers away because of our broker would be the worse fault.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from redis.exceptions import RedisError

from chatbot.conversations.connections import connect_loop
from chatbot.exceptions import RateLimited

logger = logging.getLogger(__name__)

# More than anyone clicks, little enough for the database: each may write a row.
COMMANDS_PER_MINUTE = 240.0
COMMANDS_BURST = 80

# KEYS: buckets. ARGV: for each bucket its rate per second and its size. Takes one token from every bucket, or none
# from any; answers with the seconds until there is one in each. By Redis' own clock, so that processes agree.
_TAKE = """
local now = redis.call('TIME')
now = tonumber(now[1]) + tonumber(now[2]) / 1000000
local levels, wait = {}, 0
for i, key in ipairs(KEYS) do
    local rate, size = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local bucket = redis.call('HMGET', key, 'level', 'at')
    local level, at = tonumber(bucket[1]) or size, tonumber(bucket[2]) or now
    level = math.min(size, level + math.max(0, now - at) * rate)
    levels[i] = level
    if level < 1 then wait = math.max(wait, (1 - level) / rate) end
end
if wait > 0 then return tostring(wait) end
for i, key in ipairs(KEYS) do
    local rate, size = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    redis.call('HSET', key, 'level', levels[i] - 1, 'at', now)
    redis.call('EXPIRE', key, math.ceil(size / rate) + 1)
end
return '0'
"""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: it refills with `per_minute` tokens and holds `burst` at most."""

    key: str
    per_minute: float
    burst: int


def message_buckets(visitor_id: UUID, address: str) -> list[Bucket]:
    """The buckets that one message draws on."""
    return [
        Bucket(f"frontdesk:rate:session:{visitor_id}", settings.RATE_SESSION_PER_MINUTE, settings.RATE_SESSION_BURST),
        Bucket(f"frontdesk:rate:address:{address}", settings.RATE_ADDRESS_PER_MINUTE, settings.RATE_ADDRESS_BURST),
    ]


def upload_buckets(visitor_id: UUID, address: str) -> list[Bucket]:
    """What one upload draws on. An address may be a family's or an office's."""
    per_minute, burst = settings.RATE_UPLOADS_PER_MINUTE, settings.RATE_UPLOADS_BURST
    return [
        Bucket(f"frontdesk:rate:uploads:{visitor_id}", per_minute, burst),
        Bucket(f"frontdesk:rate:uploads-address:{address}", 4 * per_minute, 4 * burst),
    ]


def command_buckets(visitor_id: UUID) -> list[Bucket]:
    """What everything else draws on: switching conversations, rating, stopping."""
    return [Bucket(f"frontdesk:rate:commands:{visitor_id}", COMMANDS_PER_MINUTE, COMMANDS_BURST)]


async def take(buckets: list[Bucket]) -> None:
    """Take one token from each bucket.

    Raises:
        RateLimited: one of them is empty; nothing was taken.
    """
    if not buckets:
        return
    arguments = [value for bucket in buckets for value in (bucket.per_minute / 60, bucket.burst)]
    keys = [bucket.key for bucket in buckets]
    try:
        wait = float(await connect_loop().eval(_TAKE, len(keys), *keys, *arguments))
    except (RedisError, OSError) as error:
        logger.warning("rate limits are not applied: the broker does not answer (%s)", error)
        return
    if wait > 0:
        raise RateLimited("That was quick. Please wait a moment before you send more.", retry_after=wait)
