"""The Performance page: who may read it, and what it shows when much, little or nothing is known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from chatbot.conversations import presence
from chatbot.conversations.models import Turn
from chatbot.dashboard.templatetags.figures import rate, seconds
from chatbot.operations.staff import sync_groups
from tests.conversations.records import Told

pytestmark = pytest.mark.django_db

PAGE = "/dashboard/performance/"
TIMINGS = {"queued": 0.012, "customer_wait": 1.26, "tokens_per_second": 20.0}
HOSTILE = 'x"><script>alert(1)</script>'


def member(group: str | None) -> Client:
    """A signed-in member of the group, or of the staff alone."""
    sync_groups()
    user = User.objects.create_user(f"{group}-robin", is_staff=True)
    if group:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def operator() -> Client:
    return member("operator")


def ended(**fields: Any) -> Turn:
    told = Told()
    fields = {"finished_at": timezone.now(), "timings": TIMINGS, **fields}
    return told.turn(told.says("customer", "?"), **fields)


def read(client: Client, query: str = "") -> str:
    response = client.get(PAGE + query)
    assert response.status_code == 200
    return response.content.decode()


def row(page: str) -> list[tuple[str, str]]:
    """Value and text of the figures of the table's first row."""
    body = page.partition('id="measured"')[2].partition("<tbody>")[2]
    return re.findall(r'<td class="number">(?:<data value="([^"]*)">)?([^<]*)', body.partition("</tr>")[0])


@pytest.fixture
def engines(broker: Path) -> Iterator[None]:
    about = {"queue": "replies", "engine": "openvino", "host": HOSTILE, "running": 3, "waiting": 1, "kv_use": 0.254}
    presence.announce("one", {**about, "started_at": "1"})
    presence.announce("two", {**about, "started_at": "2", "kv_use": None})
    yield
    presence.withdraw("one")
    presence.withdraw("two")


# --- Who may read it ------------------------------------------------------------------------------


def test_strangers_are_sent_to_the_login(client: Client) -> None:
    response = client.get(PAGE)
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("admin:login"))


def test_staff_without_the_permission_are_refused_and_not_led_there() -> None:
    client = member(None)
    assert client.get(PAGE).status_code == 403
    assert PAGE not in client.get("/dashboard/").content.decode()


@pytest.mark.parametrize("group", ["support", "operator"])
def test_whoever_reads_the_dashboard_is_led_there_and_reads_it(group: str) -> None:
    client = member(group)
    assert f'<a href="{PAGE}">Performance</a>' in client.get("/dashboard/").content.decode()
    assert f'<a href="{PAGE}" aria-current="page">Performance</a>' in read(client)


def test_it_is_only_read_and_never_kept(operator: Client) -> None:
    assert operator.post(PAGE).status_code == 405
    assert "no-store" in operator.get(PAGE)["Cache-Control"]


# --- What it shows --------------------------------------------------------------------------------


def test_nothing_yet_says_so_and_loads_no_script(operator: Client) -> None:
    page = read(operator)
    assert "No turn ended in the last day" in page
    assert 'href="?range=month"' in page.partition('class="card"')[2]
    assert "<table" not in page
    assert "<script" not in page
    page = read(operator, "?range=month")
    assert reverse("chat") in page.partition('class="card"')[2]


def test_the_table_has_every_figure_for_the_eye_and_for_the_plots(operator: Client) -> None:
    ended()
    ended(status=Turn.Status.FAILED, timings={})
    page = read(operator)
    assert row(page) == [
        ("2", "2"),
        ("1", "1"),
        ("1.26", "1.3 s"),
        ("1.26", "1.3 s"),
        ("0.012", "12 ms"),
        ("0.012", "12 ms"),
        ("20", "20.0"),
    ]
    assert page.count('src="/static/assets/figures-') == 1
    assert re.search(r'<link[^>]*href="/static/assets/\S+\.css"', page)


def test_what_was_not_measured_is_a_dash_without_a_value(operator: Client) -> None:
    ended(timings={})
    assert row(read(operator))[2:] == [("", "–")] * 5


def test_the_table_says_how_its_rows_lie_in_time(operator: Client) -> None:
    ended(finished_at=timezone.now() - timedelta(days=3))
    page = read(operator, "?range=week")
    found = re.search(r'data-began="([^"]+)" data-step="(\d+)" data-steps="(\d+)" data-time-zone="UTC"', page)
    assert found
    began, step, steps = datetime.fromisoformat(found[1]), int(found[2]), int(found[3])
    assert step * steps == 7 * 24 * 3600
    moment = re.search(r'<time datetime="([^"]+)"', page)
    assert moment
    since = (datetime.fromisoformat(moment[1]) - began).total_seconds()
    assert since % step == 0
    assert 0 <= since / step < steps


@pytest.mark.parametrize(
    ("query", "name"), [("", "day"), ("?range=hour", "hour"), ("?range=" + "%22%3E%3Cb%3E", "day")]
)
def test_a_range_is_chosen_and_an_unknown_one_is_the_usual(operator: Client, query: str, name: str) -> None:
    page = read(operator, query)
    assert f'<a href="?range={name}" aria-current="true">Last {name}</a>' in page
    assert page.count('aria-current="true"') == 1
    assert '"><b>' not in page


def test_engines_and_what_they_cannot_tell(operator: Client, engines: None) -> None:
    page = read(operator)
    assert "25.4% used" in page
    assert "cannot tell" in page
    cells = re.findall(r'<td class="number">(\d+)</td>', page)
    assert cells == ["3", "1", "3", "1"]


def test_nothing_that_is_shown_becomes_markup(operator: Client, engines: None) -> None:
    ended()
    response = operator.get(PAGE)
    page = response.content.decode()
    assert "x&quot;&gt;&lt;script&gt;alert(1)" in page
    assert "<script>" not in page
    assert " style=" not in page
    assert "script-src 'self'" in response["Content-Security-Policy"]
    assert "style-src 'self'" in response["Content-Security-Policy"]


def test_no_worker_and_no_broker_are_two_things(operator: Client, settings: Settings, tmp_path: Path) -> None:
    assert "No replies worker has announced itself." in read(operator)
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    assert "The broker does not answer" in read(operator)


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "–"), (0.0, "0 ms"), (0.0414, "41 ms"), (0.9994, "999 ms"), (0.9996, "1.0 s"), (12.34, "12.3 s")],
)
def test_seconds_as_people_read_them(value: float | None, said: str) -> None:
    assert seconds(value) == said


def test_rates_have_one_decimal() -> None:
    assert (rate(19.96), rate(None)) == ("20.0", "–")
