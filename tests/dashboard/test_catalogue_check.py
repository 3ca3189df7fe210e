"""The check's pages: who may see and start what, and that each state says what it is and what to do."""

from __future__ import annotations

import re
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chatbot.dashboard.progress import NOBODY
from chatbot.intents.models import Example, Intent
from chatbot.training.models import TrainingRun
from tests.dashboard.conftest import SignIn
from tests.releases.conftest import shelf
from tests.training.nudges import Broker
from tests.training.shop_catalogue import HOSTILE, SHARED, checked, confused, make_catalogue

__all__ = ["shelf"]

# A check's heartbeat is a thread with a connection of its own.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nudges")]

KIND = TrainingRun.Kind.CROSS_VALIDATION
INDEX = "/dashboard/catalogue-check/"
ASKED = {"preset": "fast", "folds": "4", "seed": "7"}
Status = TrainingRun.Status


def made(status: str = Status.RUNNING, **fields: Any) -> TrainingRun:
    fields = {"parameters": {"preset": "fast", "folds": 5, "seed": 0}, "started_at": timezone.now(), **fields}
    return TrainingRun.objects.create(kind=KIND, status=status, **fields)


def address(run: TrainingRun, page: str = "") -> str:
    return f"{INDEX}{run.pk}/{page}"


def read(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def main_of(page: str) -> str:
    """What stands below the header."""
    return page.partition("<main")[2]


# --- Who may do what ------------------------------------------------------------------------------


def test_strangers_are_sent_to_the_login(client: Client) -> None:
    run = made()
    for url in (INDEX, address(run), address(run, "progress/"), address(run, "confused/a/b/")):
        response = client.get(url)
        assert response.status_code == 302
        assert response["Location"].startswith(reverse("admin:login"))
    for url in (INDEX, address(run, "cancel/")):
        assert client.post(url, ASKED)["Location"].startswith(reverse("admin:login"))
    assert TrainingRun.objects.get() == run


def test_staff_without_the_permission_are_refused(sign_in: SignIn) -> None:
    run, client = made(), sign_in(None)
    for url in (INDEX, address(run), address(run, "progress/"), address(run, "confused/a/b/")):
        assert client.get(url).status_code == 403
    assert client.post(address(run, "cancel/")).status_code == 403
    assert "Catalogue check" not in read(client, "/dashboard/")


def test_support_reads_and_neither_starts_nor_cancels(sign_in: SignIn) -> None:
    make_catalogue()
    run, client = made(), sign_in("support")
    assert f'href="{INDEX}"' in main_of(read(client, "/dashboard/"))
    assert "<button" not in read(client, address(run))
    assert client.post(address(run, "cancel/")).status_code == 403
    run.refresh_from_db()
    assert not run.cancel_requested
    TrainingRun.objects.update(status=Status.DONE, result=confused())
    page = read(client, INDEX)
    assert "<form" not in page
    assert "Operators start them." in page
    assert client.post(INDEX, ASKED).status_code == 403
    assert TrainingRun.objects.count() == 1


def test_posts_need_their_token(sign_in: SignIn) -> None:
    run, client = made(), sign_in("operator", enforce_csrf_checks=True)
    assert client.post(INDEX, ASKED).status_code == 403
    assert client.post(address(run, "cancel/")).status_code == 403
    run.refresh_from_db()
    assert not run.cancel_requested


def test_looking_changes_nothing(operator: Client) -> None:
    make_catalogue()
    run = made()
    before = TrainingRun.objects.values().get()
    for url in (INDEX, address(run), address(run, "progress/")):
        read(operator, url)
    assert operator.get(address(run, "cancel/")).status_code == 405
    assert TrainingRun.objects.values().get() == before


# --- Starting -------------------------------------------------------------------------------------


def test_an_empty_catalogue_says_what_to_do(operator: Client) -> None:
    page = read(operator, INDEX)
    assert "There is nothing to check yet" in page
    assert reverse("admin:intents_intent_changelist") in page
    assert "Start the check" not in page


def test_the_first_check_is_offered_and_started(operator: Client, nudges: Broker) -> None:
    make_catalogue()
    page = read(operator, INDEX)
    assert "None yet." in page
    assert "The last one took" not in page
    response = operator.post(INDEX, ASKED)
    run = TrainingRun.objects.get()
    assert response["Location"] == address(run)
    assert run.parameters == {"preset": "fast", "folds": 4, "seed": 7}
    assert run.requested_by is not None
    assert run.requested_by.username == "operator-robin"
    assert nudges.told == [run.pk]


def test_the_estimate_is_how_long_the_last_one_took(operator: Client) -> None:
    make_catalogue()
    began = timezone.now() - timedelta(hours=1)
    made(Status.DONE, started_at=began, finished_at=began + timedelta(minutes=3), result=confused())
    page = read(operator, INDEX)
    assert page.count("The last one took about 3 minutes.") == 1


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [("folds", "1", "greater than or equal to 2"), ("folds", "x", "whole number"), ("preset", "best", "valid choice")],
)
def test_what_cannot_be_started_is_said(operator: Client, field: str, value: str, told: str) -> None:
    make_catalogue()
    response = operator.post(INDEX, {**ASKED, field: value})
    page = response.content.decode()
    assert told in page
    # What is wrong must not be folded away.
    assert ("<details open>" in page) == (field != "preset")
    assert not TrainingRun.objects.exists()


def test_a_second_check_waits_for_the_first(operator: Client) -> None:
    make_catalogue()
    run = made()
    page = operator.post(INDEX, ASKED, follow=True).content.decode()
    assert "only one runs at a time" in page
    assert address(run) in page
    assert "Start the check" not in page
    assert TrainingRun.objects.count() == 1


# --- Following ------------------------------------------------------------------------------------


def test_a_running_check_shows_how_far_it_is(operator: Client) -> None:
    run = made(message="Fold 2 of 5: epoch 1", share=0.25, started_at=timezone.now() - timedelta(minutes=1))
    page = read(operator, address(run))
    assert "Fold 2 of 5: epoch 1" in page
    assert '<progress max="1" value="0.2500"' in page
    assert "bout 3 minutes left" in page
    assert f'action="{address(run, "cancel/")}"' in page
    assert "<noscript>" in page
    progress = operator.get(address(run, "progress/"))
    assert "no-store" in progress["Cache-Control"]
    assert progress.json() == {
        "is_open": True,
        "message": "Fold 2 of 5: epoch 1",
        "share": 0.25,
        "note": "About 3 minutes left",
        "stages": [],
    }


@pytest.mark.parametrize("share", [None, 0.0])
def test_a_bar_moves_to_and_fro_until_there_is_a_share(operator: Client, share: float | None) -> None:
    run = made(message="Loading the encoder", share=share)
    assert '<progress max="1" aria-' in read(operator, address(run))
    assert operator.get(address(run, "progress/")).json()["share"] is None


def test_a_check_that_nobody_takes_says_so_after_a_while(operator: Client) -> None:
    run = made(Status.QUEUED, started_at=None)
    assert operator.get(address(run, "progress/")).json()["note"] == ""
    TrainingRun.objects.update(requested_at=timezone.now() - timedelta(minutes=1))
    assert operator.get(address(run, "progress/")).json()["note"] == NOBODY
    assert NOBODY in read(operator, address(run))


def test_cancelling_says_that_it_is_stopping_and_offers_it_once(operator: Client) -> None:
    run = made(message="Fold 2 of 5", lease_expires_at=timezone.now() + timedelta(minutes=1))
    page = operator.post(address(run, "cancel/"), follow=True).content.decode()
    assert "Stopping" in page
    assert "<button" not in page
    assert operator.get(address(run, "progress/")).json()["is_open"]
    TrainingRun.objects.update(status=Status.CANCELLED)
    assert not operator.get(address(run, "progress/")).json()["is_open"]
    assert "The check was cancelled" in read(operator, address(run))


def test_who_may_only_read_is_not_sent_to_start_another(sign_in: SignIn) -> None:
    client = sign_in("support")
    for status in (Status.FAILED, Status.CANCELLED):
        page = main_of(read(client, address(made(status, finished_at=timezone.now()))))
        assert "tart another</a>" not in page
        assert "tart another check</a>" not in page


def test_a_failure_is_shown_with_what_to_do_next(operator: Client) -> None:
    run = made(Status.FAILED, error="All 3 are of <b>refund</b>.", finished_at=timezone.now())
    page = main_of(read(operator, address(run)))
    assert "All 3 are of &lt;b&gt;refund&lt;/b&gt;." in page
    assert reverse("admin:intents_example_changelist") in page
    assert f'href="{INDEX}"' in page
    assert "<script" not in page


def test_earlier_checks_are_listed_with_their_outcome(operator: Client) -> None:
    done = made(Status.DONE, result={**confused(), "accuracy": 0.9412}, finished_at=timezone.now())
    failed = made(Status.FAILED, error="no memory", finished_at=timezone.now())
    page = read(operator, INDEX)
    assert page.index(address(failed)) < page.index(address(done))
    assert page.count("94.1%") == 1
    assert '<span class="state failed">Failed</span>' in page


def test_a_run_of_another_kind_or_none_is_not_found(operator: Client) -> None:
    run = made()
    TrainingRun.objects.update(kind="other")
    assert operator.get(address(run)).status_code == 404
    assert operator.post(address(run, "cancel/")).status_code == 404


# --- Reading --------------------------------------------------------------------------------------


def test_the_report_leads_to_what_is_to_be_mended(operator: Client, shelf: Path) -> None:
    intents = make_catalogue()
    run = checked()
    page = read(operator, address(run))
    planted = Example.objects.get(text=HOSTILE)
    link = reverse("admin:intents_example_change", args=[planted.pk])
    assert f'<a href="{link}"><bdi>please cancel order 12 &lt;b&gt;now⟨U+001B⟩</bdi></a>' in page
    assert reverse("admin:intents_intent_change", args=[intents["refund"].pk]) in page
    assert "Cancel &lt;i&gt;an order&lt;/i&gt;" in page
    for example in Example.objects.filter(text=SHARED):
        assert reverse("admin:intents_example_change", args=[example.pk]) in page
    accuracy = run.result["accuracy"]
    assert f"<dt>Recognised</dt><dd>{accuracy:.1%}</dd>" in page


def test_nothing_of_the_catalogue_becomes_markup(operator: Client, shelf: Path) -> None:
    make_catalogue()
    Intent.objects.filter(slug="refund").update(name='Refund"><img src=x>\u202e')
    run = checked()
    for url in (address(run), address(run) + "?all=1", address(run, "confused/refund/cancel_order/")):
        response = operator.get(url)
        page = response.content.decode()
        for harm in ("<b>now", "<i>an", "<img", "\x1b", "\u202e"):
            assert harm not in page
        assert "⟨U+202E⟩" in page
        # What the content security policy would block must not be there.
        assert " style=" not in page
        assert "<script" not in page
        assert "script-src 'self'" in response["Content-Security-Policy"]


def test_figures_that_could_not_be_measured_are_dashes(operator: Client) -> None:
    result = {**confused(("a", "b", 2)), "accuracy": 0.5, "oos_recall": None, "unmeasured_examples": 3}
    result["intents"][-1] |= {"judged": 0, "precision": None, "recall": None, "f1": None}
    page = read(operator, address(made(Status.DONE, result=result)))
    assert "<dt>Out of scope noticed</dt><dd>–</dd>" in page
    assert "3 could not be judged" in page
    assert '<bdi>calm</bdi></th><td class="number">–</td>' in page


def test_suggestions_are_shown_with_their_reasons(operator: Client) -> None:
    result = confused(("a", "b", 2), ("b", "a", 1))
    result["merge"] = [{"intents": ["a", "b"], "confused": 3, "rate": 0.15, "reason": "2 of 10 go one way"}]
    result["split"] = [{"intent": "a", "recall": 0.7, "lost_to": ["b", "calm"], "reason": "narrow it"}]
    run = made(Status.DONE, result=result)
    page = read(operator, address(run))
    assert "2 of 10 go one way." in page
    assert address(run, "confused/a/b/") in page
    assert address(run, "confused/b/a/") in page
    assert "Narrow it. Lost to: <bdi>b</bdi>, <bdi>calm</bdi>." in page


def test_that_the_catalogue_has_changed_is_said_where_it_has(operator: Client, shelf: Path) -> None:
    make_catalogue()
    run = checked()
    changed = "The catalogue has changed since."
    assert changed not in read(operator, address(run))
    Example.objects.filter(text=HOSTILE).delete()
    page = read(operator, address(run))
    assert changed in page
    assert "<em>an example that was deleted since</em>" in page
    assert "order 12 &lt;b&gt;" not in page


def test_links_into_the_catalogue_are_for_those_who_may_follow_them(sign_in: SignIn, shelf: Path) -> None:
    make_catalogue()
    run, client = checked(), sign_in(None)
    user = User.objects.get(username="None-robin")
    user.user_permissions.add(Permission.objects.get(codename="view_trainingrun"))
    page = main_of(read(client, address(run)))
    assert escape(HOSTILE[:25]) in page
    assert "/admin/intents/" not in page


# --- The confusion matrix ---------------------------------------------------------------------------


def table_of(page: str) -> str:
    return re.search(r'<div class="table matrix".*?</table>', page, re.DOTALL)[0]  # type: ignore[index]


def test_the_matrix_is_a_table_that_can_be_read_aloud(operator: Client) -> None:
    run = made(Status.DONE, result=confused(("a", "b", 3), ("b", "a", 2), ("a", "c", 1)))
    table = table_of(read(operator, address(run)))
    assert "<caption" in table
    assert re.findall(r'<th scope="row"><bdi>(.*?)</bdi>', table) == ["a", "b"]
    assert re.findall(r'<th scope="col"><span>(.*?)</span>', table) == ["a", "b", "other intents"]
    assert f'<a href="{address(run, "confused/a/b/")}">3<span class="spoken"> of a taken for b</span></a>' in table
    cells = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", table)]
    assert cells == ["6 right", "3 of a taken for b", "1", "2 of b taken for a", "8 right", "0"]
    # It scrolls by itself, so the keyboard must reach it.
    assert 'role="region"' in table
    assert 'tabindex="0"' in table


def test_all_intents_are_shown_when_asked_for(operator: Client) -> None:
    run = made(Status.DONE, result=confused(("a", "b", 3), ("a", "c", 1)))
    page = read(operator, address(run))
    assert 'href="?all=1#confusion"' in page
    assert "<bdi>calm</bdi>" not in table_of(page)
    whole = table_of(read(operator, address(run) + "?all=1"))
    assert re.findall(r'<th scope="row"><bdi>(.*?)</bdi>', whole) == ["a", "b", "c", "calm"]
    assert "other intents" not in whole


def test_nothing_confused_often_is_said_instead_of_an_empty_table(operator: Client) -> None:
    page = read(operator, address(made(Status.DONE, result=confused(("a", "b", 1)))))
    assert "No two intents were confused more than once." in page
    assert 'class="table matrix"' not in page


def test_a_cell_leads_to_its_examples(operator: Client, shelf: Path) -> None:
    make_catalogue()
    run = checked()
    page = read(operator, address(run, "confused/refund/cancel_order/"))
    [kept] = [
        pair for pair in run.result["confusions"] if (pair["intent"], pair["given"]) == ("refund", "cancel_order")
    ]
    listed = {int(pk) for pk in re.findall(r"/admin/intents/example/(\d+)/change/", page)}
    assert listed == {example["id"] for example in kept["examples"]}
    assert operator.get(address(run, "confused/refund/refund/")).status_code == 404
    assert operator.get(address(made(), "confused/refund/cancel_order/")).status_code == 404
