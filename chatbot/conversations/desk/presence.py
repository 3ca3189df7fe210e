"""Who has the inbox open: said by each of their sockets, kept by the broker, gone when that stops."""

from __future__ import annotations

import logging
import time

from redis.exceptions import RedisError

from chatbot.conversations.connections import connect

logger = logging.getLogger(__name__)

# Two of a socket's announcements may be lost before its agent counts as gone.
TTL_S = 45.0
_KEY = "frontdesk:desk:agents"


def announce(socket: str, agent_id: int) -> bool:
    """Say that the agent is there. Returns whether nobody knew so far."""
    now = time.time()
    try:
        with connect() as client:
            before = _present(client, now)
            client.zadd(_KEY, {f"{agent_id}:{socket}": now + TTL_S})
    except RedisError as error:
        logger.warning("nobody is told that an agent is there: the broker does not answer (%s)", error)
        return False
    return agent_id not in before


def withdraw(socket: str, agent_id: int) -> None:
    """This socket of the agent is closed."""
    try:
        with connect() as client:
            client.zrem(_KEY, f"{agent_id}:{socket}")
    except RedisError as error:
        logger.debug("the broker is gone; the agent's presence runs out by itself (%s)", error)


def present_agents() -> set[int]:
    """The ids of those who have the inbox open; empty where the broker does not answer."""
    try:
        with connect() as client:
            return _present(client, time.time())
    except RedisError:
        return set()


def _present(client: object, now: float) -> set[int]:
    client.zremrangebyscore(_KEY, 0, now)  # type: ignore[attr-defined]
    members: list[bytes] = client.zrange(_KEY, 0, -1)  # type: ignore[attr-defined]
    return {int(member.partition(b":")[0]) for member in members}
