"""The compose files parse, start every process, and hold no password."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return content


def test_every_process_has_a_service(compose: dict[str, Any]) -> None:
    expected = {"migrate", "web", "replies", "training", "maintenance", "sweeper", "db", "redis"}
    assert set(compose["services"]) == expected


def test_processes_wait_for_the_migration_and_it_waits_for_the_database(compose: dict[str, Any]) -> None:
    for name in ("web", "replies", "training", "maintenance", "sweeper"):
        waits = compose["services"][name]["depends_on"]
        assert waits["migrate"] == {"condition": "service_completed_successfully"}
    assert compose["services"]["migrate"]["depends_on"]["db"] == {"condition": "service_healthy"}
    for name in ("web", "db", "redis"):
        assert compose["services"][name]["healthcheck"]["test"]


def test_there_is_no_default_password(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET", name):
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value)


def test_services_read_only_variables_that_are_documented(compose: dict[str, Any]) -> None:
    documented = set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    text = (ROOT / "docker-compose.yml").read_text()
    assert set(re.findall(r"\$\{([A-Z_]+)", text)) <= documented
    assert set(compose["services"]["web"]["environment"]) <= documented


def test_volumes_are_named(compose: dict[str, Any]) -> None:
    used = {volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", [])}
    assert used == set(compose["volumes"])


def test_the_gpu_file_only_changes_services_that_exist(compose: dict[str, Any]) -> None:
    gpu = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text())
    assert set(gpu["services"]) <= set(compose["services"])
    assert gpu["services"]["replies"]["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
