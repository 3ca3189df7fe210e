"""What deleting leaves behind: reply streams, the broker's append-only file, free pages and logs of the database."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import redis
from django.apps import apps
from django.db import OperationalError, connection
from redis.exceptions import RedisError, ResponseError

from chatbot.conversations.connections import connect
from chatbot.conversations.models import Turn
from chatbot.conversations.reviews import batched
from chatbot.conversations.streams import STREAM_PREFIX, turn_of_key
from chatbot.exceptions import TracesRemain

logger = logging.getLogger(__name__)

# A file of gigabytes is rewritten in less.
PATIENCE_S = 120.0
_LOOK_AGAIN_S = 0.05
REWRITTEN_AT = "frontdesk:file-rewritten-at"


# --- The broker -----------------------------------------------------------------------------------


def scrub_broker() -> int:
    """Delete the streams of turns that are gone and have the broker write its file anew. Returns how many streams.

    Raises TracesRemain where the broker does not answer or cannot write.
    """
    try:
        with connect() as client:
            deleted = sum(_delete_orphans(client, keys) for keys in _stream_keys(client))
            _rewrite_file(client)
            return deleted
    except (RedisError, OSError) as error:
        raise TracesRemain(
            f"The broker does not answer, so words may be left in its file ({error}). Start Frontdesk, or your "
            "Redis, and this is made up for by itself."
        ) from error


def broker_file_age() -> timedelta:
    """How long ago `scrub_broker` had the broker's file written anew. Raises TracesRemain without a broker."""
    try:
        with connect() as client:
            written = cast("bytes | None", client.get(REWRITTEN_AT))
    except (RedisError, OSError) as error:
        raise TracesRemain(f"The broker does not answer ({error}).") from error
    return timedelta(seconds=time.time() - float(written)) if written else timedelta.max


def _stream_keys(client: redis.Redis) -> Iterator[list[Any]]:
    yield from batched(client.scan_iter(match=f"{STREAM_PREFIX}*", count=500))


def _delete_orphans(client: redis.Redis, keys: list[bytes]) -> int:
    turns: dict[bytes, UUID | None] = {key: turn_of_key(key) for key in keys}
    known = set(Turn.objects.filter(pk__in=[pk for pk in turns.values() if pk]).values_list("pk", flat=True))
    orphans = [key for key, turn in turns.items() if turn not in known]
    if orphans:
        client.delete(*orphans)
    return len(orphans)


def _rewrite_file(client: redis.Redis) -> None:
    """Its append-only file holds every delta ever appended until it is written anew; without one there is nothing."""
    deadline = time.monotonic() + PATIENCE_S
    while _persistence(client).get("aof_enabled"):
        # A rewriting that began before the streams were deleted would keep them.
        _wait_until_idle(client, deadline)
        try:
            client.bgrewriteaof()
        except ResponseError as refusal:
            if "in progress" in str(refusal):
                continue
            logger.warning("the broker keeps its append-only file until it rewrites it by itself: %s", refusal)
            return
        _wait_until_idle(client, deadline)
        if _persistence(client).get("aof_last_bgrewrite_status") != "ok":
            raise TracesRemain("The broker could not write its append-only file anew. Its log says why.")
        client.set(REWRITTEN_AT, time.time())
        return


def _wait_until_idle(client: redis.Redis, deadline: float) -> None:
    while True:
        info = _persistence(client)
        if not info.get("aof_rewrite_in_progress") and not info.get("aof_rewrite_scheduled"):
            return
        if time.monotonic() > deadline:
            raise TracesRemain(f"The broker has been rewriting its append-only file for over {PATIENCE_S:.0f} s.")
        time.sleep(_LOOK_AGAIN_S)


def _persistence(client: redis.Redis) -> dict[str, Any]:
    return dict(client.info("persistence"))


# --- The database ---------------------------------------------------------------------------------


def overwrite_what_is_deleted() -> None:
    """From now on SQLite overwrites with zeros what this thread's connection deletes."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA secure_delete=ON")


def scrub_database() -> None:
    """Have the database give up the pages that deleted rows stood on. Not for use inside a transaction.

    SQLite is rebuilt and its write-ahead log emptied, so that no byte is left. Postgres marks the rows' room as free
    and overwrites it in time.

    Raises TracesRemain where others kept it busy for too long or the disk is full.
    """
    if connection.vendor == "sqlite":
        _rebuild_sqlite()
    elif connection.vendor == "postgresql":
        tables = ", ".join(connection.ops.quote_name(table) for table in _tables())
        with connection.cursor() as cursor:
            cursor.execute(f"VACUUM {tables}")


def _rebuild_sqlite() -> None:
    deadline = time.monotonic() + PATIENCE_S
    # A statement of this very connection that nobody read to its end would be waited for in vain.
    connection.close()
    while True:
        try:
            with connection.cursor() as cursor:
                cursor.execute("VACUUM")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                busy = cursor.fetchone()[0]
            problem = "somebody reads from it" if busy else ""
        except OperationalError as error:
            problem = str(error)
        if not problem:
            return
        if ("locked" not in problem and "reads" not in problem) or time.monotonic() > deadline:
            raise TracesRemain(f"The database could not be rebuilt without the deleted rows: {problem}.")
        time.sleep(_LOOK_AGAIN_S)


def _tables() -> list[str]:
    """Those that may have held what was deleted."""
    models = [*apps.get_app_config("conversations").get_models(), *apps.get_app_config("training").get_models()]
    models += [apps.get_model(name) for name in ("intents.Example", "admin.LogEntry", "auditlog.LogEntry")]
    return sorted({model._meta.db_table for model in models})
