"""Whether customers can be served now: the database, its tables, the broker, a live replies worker."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any

from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from redis.exceptions import RedisError

from chatbot.conversations.presence import live_workers

logger = logging.getLogger(__name__)

# A probe that takes longer is as good as none: load balancers and compose give up then.
CHECK_TIMEOUT_S = 2.0

# Threads of their own, so that a database that hangs holds up neither the page nor the other checks.
_pool = ThreadPoolExecutor(max_workers=6, thread_name_prefix="readiness")
_schema_is_current = False


@dataclass(frozen=True, slots=True)
class Check:
    """One condition. `detail` says what is wrong, or nothing."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """All conditions at one moment, and the workers that announced themselves."""

    checks: tuple[Check, ...]
    workers: tuple[dict[str, Any], ...]

    @property
    def ready(self) -> bool:
        return all(check.ok for check in self.checks)


def check_readiness() -> Readiness:
    """Ask everything at once; takes at most about two seconds."""
    database, schema = _pool.submit(_ask_database), _pool.submit(_ask_schema)
    workers = _pool.submit(live_workers)
    checks = [_settle("database", database), _settle("migrations", schema), _settle("broker", workers)]
    alive: list[dict[str, Any]] = []
    if checks[-1].ok:
        alive = [worker for worker in workers.result() if worker.get("queue") == "replies"]
        checks.append(_judge(alive))
    else:
        checks.append(Check("replies_worker", False, "unknown while the broker does not answer"))
    return Readiness(tuple(checks), tuple(alive))


def _judge(workers: Sequence[Mapping[str, Any]]) -> Check:
    """Whether one of the replies workers can answer: it lives, and so does the model server that it may depend on."""
    if not workers:
        return Check("replies_worker", False, "no replies worker has announced itself")
    problems = [str(worker.get("problem") or "") for worker in workers]
    return Check("replies_worker", "" in problems, "" if "" in problems else problems[0])


def _settle(name: str, answer: Future[Any]) -> Check:
    try:
        problem = answer.result(timeout=CHECK_TIMEOUT_S)
    except FutureTimeout:
        answer.cancel()
        return Check(name, False, f"no answer within {CHECK_TIMEOUT_S:g} s")
    except (DatabaseError, RedisError, OSError) as error:
        logger.warning("readiness: the %s does not answer: %s", name, error)
        # Error texts name hosts and users; the log has them, a public page needs only the kind.
        return Check(name, False, f"does not answer ({type(error).__name__})")
    return Check(name, False, problem) if isinstance(problem, str) and problem else Check(name, True)


def _ask_database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return ""
    finally:
        connection.close()


def _ask_schema() -> str:
    """Empty, or how many migrations wait. Once none do, none will while this process lives."""
    global _schema_is_current
    if _schema_is_current:
        return ""
    try:
        waiting = pending_migrations()
    finally:
        connection.close()
    _schema_is_current = not waiting
    return f"{waiting} migrations wait: python manage.py migrate" if waiting else ""


def pending_migrations() -> int:
    """How many migrations have not been applied."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
