"""One private world for a test run: a folder to write in, a database and a broker of its own.

SQLite by default; `TEST_DATABASE_URL=postgres://…` runs the same suite on Postgres. Neither the checkout's `.env` nor a
Redis that happens to be running is ever touched.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
# Short, since the broker's socket lives below it and unix socket paths end at 108 bytes.
WORLD = Path(tempfile.mkdtemp(prefix="frontdesk-test-"))
_TEST_DATABASE_URL = os.environ.get("TEST_DATABASE_URL", "")
atexit.register(shutil.rmtree, WORLD, ignore_errors=True)


def _settle_environment() -> None:
    """Before Django reads its settings: what the developer's shell or `.env` says must not decide a test."""
    for line in (CHECKOUT / ".env.example").read_text().splitlines():
        name = line.removeprefix("# ").partition("=")[0]
        if name.isupper():
            os.environ.pop(name, None)
    os.environ |= {
        "ENV_FILE": os.devnull,
        "VAR_DIR": str(WORLD),
        "DATABASE_URL": _TEST_DATABASE_URL or f"sqlite:///{WORLD / 'unused.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "chatbot.settings",
        "NO_PROXY": "127.0.0.1",
    }


_settle_environment()

import django  # noqa: E402
from django.conf import settings  # noqa: E402

# A file and not memory: threads then meet the same locks as in production. Named for the process, so that two runs on
# one Postgres do not meet.
_name = f"test_frontdesk_{os.getpid()}" if _TEST_DATABASE_URL else str(WORLD / "test.sqlite3")
settings.DATABASES["default"]["TEST"] = {"NAME": _name}
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one costs 0.3 s a login
django.setup()


@pytest.fixture(scope="session", autouse=True)
def broker() -> Iterator[Path]:
    """The path of the socket of this run's own broker."""
    from chatbot.operations.broker import EmbeddedBroker

    socket = Path(settings.EMBEDDED_BROKER_SOCKET)
    with EmbeddedBroker(socket=socket, data_dir=WORLD / "broker"):
        yield socket
