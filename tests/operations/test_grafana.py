"""The dashboard for Grafana names only what /metrics exports, and asks for it as its kind allows."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from chatbot.conversations import presence
from tests.conversations.records import Told

DASHBOARD = json.loads((Path(__file__).parents[2] / "docs" / "grafana.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
CHARTS = [panel for panel in PANELS if panel["type"] != "row"]
ASKED = [target["expr"] for panel in CHARTS for target in panel["targets"]]
WORKER = {"queue": "replies", "engine": "openvino", "host": "shop", "running": 1, "waiting": 0, "kv_use": 0.1}


@pytest.fixture
def exported(client: Client, transactional_db: None) -> dict[str, str]:
    """The kind of every sample that a web process exports once it has seen a turn, a worker and a request."""
    client.get("/metrics")
    told = Told()
    told.turn(told.says("customer", "?"), action="generate", finished_at=timezone.now())
    client.get("/help/")
    presence.announce("grafana", WORKER)
    text = client.get("/metrics").content.decode()
    presence.withdraw("grafana")
    return {sample.name: family.type for family in text_string_to_metric_families(text) for sample in family.samples}


def test_it_asks_only_for_what_is_exported_and_for_rates_only_of_what_never_goes_back(exported: dict[str, str]) -> None:
    for expression in ASKED:
        names = re.findall(r"\bfrontdesk_\w+", expression)
        assert names, expression
        rated = set(re.findall(r"\brate\((frontdesk_\w+)", expression))
        for name in names:
            assert name in exported, expression
            assert (name in rated) == (exported[name] in ("counter", "histogram")), expression


def test_every_metric_of_turns_and_engines_is_shown(exported: dict[str, str]) -> None:
    shown = " ".join(ASKED)
    families = {re.sub(r"_(bucket|sum|count|total|created)$", "", name) for name in exported}
    ours = {name for name in families if name.startswith(("frontdesk_turn_", "frontdesk_engine_"))}
    assert len(ours) == 17
    assert {name for name in ours if name not in shown} == set()


def test_its_data_source_is_a_variable() -> None:
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    asks = [panel["datasource"] for panel in CHARTS]
    asks += [target["datasource"] for panel in CHARTS for target in panel["targets"]]
    assert {source["uid"] for source in asks} == {f"${{{variable['name']}}}"}


def test_panels_have_their_own_place_and_number() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for one, other in combinations((panel["gridPos"] for panel in PANELS), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)
