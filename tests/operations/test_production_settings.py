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

SERVER = {"ENGINE": "openai", "OPENAI_BASE_URL": "http://models:8000/v1", "OPENAI_MODEL": "m"}


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
        ({"ENGINE": "openai", "OPENAI_MODEL": "m"}, "OPENAI_BASE_URL"),
        ({"ENGINE": "openai", "OPENAI_BASE_URL": "http://models/v1"}, "OPENAI_MODEL"),
        ({**SERVER, "OPENAI_BASE_URL": "models:8000/v1"}, "OPENAI_BASE_URL"),
        ({**SERVER, "OPENAI_BASE_URL": "http://models:port/v1"}, "OPENAI_BASE_URL"),
        ({**SERVER, "OPENAI_BASE_URL": "http://user:hunter2@models/v1"}, "OPENAI_BASE_URL"),
        ({**SERVER, "OPENAI_API_KEY": "hunter2\nX-Header: 1"}, "OPENAI_API_KEY"),
        ({**SERVER, "OPENAI_CONTEXT_TOKENS": "many"}, "OPENAI_CONTEXT_TOKENS"),
        ({**SERVER, "OPENAI_CONTEXT_TOKENS": "100"}, "OPENAI_CONTEXT_TOKENS"),
        ({**SERVER, "OPENAI_READ_TIMEOUT_S": "0"}, "OPENAI_READ_TIMEOUT_S"),
        ({**SERVER, "OPENAI_CONNECT_TIMEOUT_S": "-1"}, "OPENAI_CONNECT_TIMEOUT_S"),
    ],
)
def test_an_unsafe_start_is_refused_in_one_sentence(tmp_path: Path, variables: dict[str, str], named: str) -> None:
    refused = check(tmp_path, **variables)
    assert refused.returncode != 0
    assert named in refused.stderr
    assert "hunter2" not in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_model_server_passes_the_deployment_check(tmp_path: Path) -> None:
    checked = check(tmp_path, **SERVER, OPENAI_API_KEY="sk-1")
    assert checked.returncode == 0, checked.stderr


def test_outside_production_a_secret_is_made_once_and_kept_private(tmp_path: Path) -> None:
    secret = tmp_path / "secret_key"
    check(tmp_path, PRODUCTION="false", SECRET_KEY="")
    made = secret.read_text()
    check(tmp_path, PRODUCTION="false", SECRET_KEY="")
    assert secret.read_text() == made
    assert len(made) >= 50
    assert secret.stat().st_mode & 0o077 == 0
