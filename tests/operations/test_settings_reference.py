"""`.env.example` is the reference of every variable, so it must name exactly those that the settings read."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_ONLY = {"POSTGRES_PASSWORD"}


def test_env_example_names_every_variable_and_no_other() -> None:
    read = re.findall(r'env(?:\.\w+)?\(\s*"([A-Z_]+)"', (ROOT / "chatbot/settings.py").read_text())
    lines = (ROOT / ".env.example").read_text().splitlines()
    listed = [match[1] for line in lines if (match := re.match(r"(?:# )?([A-Z_]+)=", line))]
    assert sorted({*read, *COMPOSE_ONLY}) == sorted(listed)


def test_only_the_settings_read_the_environment() -> None:
    # Handing the environment on to a child process, with one more folder to import from, is not reading it.
    readers = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "chatbot").rglob("*.py")
        if re.search(r"os\.environ(\.get\(|\[)(?!\"PYTHONPATH)|getenv", path.read_text())
    }
    assert readers <= {"chatbot/settings.py"}
