"""Production refuses to start with what would be unsafe, in one sentence. Each start is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "PRODUCTION": "true",
    "SECRET_KEY": "kJ8s-2mQ9x_Zr4vTn7wYb1cLd5fGh3pAe6uIoXq0tNsRkVyBzWj",
    "ALLOWED_HOSTS": "shop.example",
    "ALLOWED_ORIGINS": "https://shop.example",
    "REDIS_URL": "redis://localhost",
}


def check(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path), "ENV_FILE": os.devnull, **GOOD, **variables}
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_production_variables_pass_the_deployment_check(tmp_path: Path) -> None:
    checked = check(tmp_path)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY"),
        ({"SECRET_KEY": "a" * 80}, "SECRET_KEY"),
        ({"SECRET_KEY": "change-me-" + "abcdefghij" * 6}, "SECRET_KEY"),
        ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS"),
        ({"DEBUG": "true"}, "DEBUG"),
        ({"ENGINE": "magic"}, "ENGINE"),
    ],
)
def test_an_unsafe_start_is_refused_in_one_sentence(tmp_path: Path, variables: dict[str, str], named: str) -> None:
    refused = check(tmp_path, **variables)
    assert refused.returncode != 0
    assert named in refused.stderr
    assert "Traceback" not in refused.stderr


def test_outside_production_a_secret_is_made_once_and_kept_private(tmp_path: Path) -> None:
    secret = tmp_path / "secret_key"
    check(tmp_path, PRODUCTION="false", SECRET_KEY="")
    made = secret.read_text()
    check(tmp_path, PRODUCTION="false", SECRET_KEY="")
    assert secret.read_text() == made
    assert len(made) >= 50
    assert secret.stat().st_mode & 0o077 == 0
