"""The overview: for staff only, and every number on it real."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from chatbot.conversations.models import Conversation, Message, Survey
from chatbot.intents.models import Example, Intent
from chatbot.knowledge.models import Article
from chatbot.releases.services import promote_release
from tests.conversations.records import Told, intent
from tests.dashboard.test_performance import member
from tests.releases.conftest import shelf
from tests.releases.shelf import store_classifier

__all__ = ["shelf"]

pytestmark = pytest.mark.django_db


def test_strangers_are_sent_to_the_login(client: Client) -> None:
    response = client.get("/dashboard/")
    assert response.status_code == 302
    assert "/admin/login/" in response["Location"]


def test_an_empty_system_says_what_to_do(admin_client: Client) -> None:
    page = admin_client.get("/dashboard/").content.decode()
    assert "python manage.py train_classifier" in page
    assert "python manage.py prepare_models" in page
    assert "Nothing has been promoted yet." in page


def test_releases_promotions_and_counts(admin_client: Client, shelf: Path) -> None:
    intent = Intent.objects.create(slug="refund", name="Refund")
    Example.objects.create(intent=intent, text="money back")
    Article.objects.create(slug="refunds", title="Refunds", body="Text.")
    promote_release(release=store_classifier(), reason="first <script>alert(1)</script>")
    response = admin_client.get("/dashboard/")
    page = response.content.decode()
    assert "classifier-0001" in page
    assert "By 5-fold cross-validation." in page
    assert "first &lt;script&gt;" in page
    assert "<script" not in page
    assert 'class="trouble"' in page
    facts = {fact.name: fact.value for fact in response.context["catalogue_facts"]}
    assert facts["Active intents"] == facts["Examples"] == facts["Articles not indexed"] == 1


# --- What came of the conversations -----------------------------------------------------------------


def happened(days_ago: int = 0, *, is_demo: bool = False, rating: str = "up", **fields: Any) -> None:
    at = timezone.now() - timedelta(days=days_ago)
    told = Told(is_demo=is_demo)
    turn = {"best": "refund", "timings": {"customer_wait": 0.25}, "finished_at": at, **fields}
    reply = told.answered("money back?", "Soon.", rating=rating, **turn)
    Conversation.objects.filter(pk=told.conversation.pk).update(created_at=at)
    Message.objects.filter(pk=reply.pk).update(created_at=at)


def read(client: Client, query: str = "") -> str:
    response = client.get("/dashboard/" + query)
    assert response.status_code == 200
    return response.content.decode()


def figures(page: str) -> list[str]:
    """The figures that stand first."""
    return re.findall(r"<dd>([^<]*)</dd>", page.partition('class="headline"')[2].partition("</dl>")[0])


def first_row(page: str) -> list[str]:
    body = page.partition('id="measured"')[2].partition("<tbody>")[2].partition("</tr>")[0]
    return re.findall(r'<td class="number">(?:<data value="[^"]*">)?([^<]*)', body)


def test_the_period_in_figures_in_a_table_and_by_intent(admin_client: Client) -> None:
    happened()
    happened(rating="down", is_miss=True)
    happened(400)
    assert figures(read(admin_client)) == ["2", "100.0%", "50.0%", "50.0%", "–", "250 ms"]
    for conversation, score in zip(Conversation.objects.order_by("-created_at")[:2], (5, 2), strict=True):
        Survey.objects.create(conversation=conversation, score=score)
    page = read(admin_client)
    assert figures(page) == ["2", "100.0%", "50.0%", "50.0%", "3.5 of 5", "250 ms"]
    assert "by 2 surveys" in page
    assert first_row(page) == ["2", "0", "100.0%", "50.0%", "1", "1", "250 ms", "250 ms"]
    assert page.count('src="/static/assets/figures-') == 1
    assert 'data-plot="first_token"' in page
    slug = intent("refund").slug
    assert f'href="/admin/conversations/conversation/?intent={slug}"' in page
    assert f'href="/admin/conversations/reviewitem/?intent={slug}"' in page


def test_an_empty_period_says_so_and_leads_to_the_chat_and_the_demo(admin_client: Client) -> None:
    page = read(admin_client)
    assert "Nothing happened in this period" in page
    assert "demo shop" not in page
    assert "<script" not in page
    happened(is_demo=True)
    page = read(admin_client)
    assert "look at the demo shop’s conversations" in page
    assert figures(read(admin_client, "?demo=on"))[0] == "1"


def test_a_period_is_chosen_by_its_days(admin_client: Client) -> None:
    happened(40)
    today = timezone.localdate()
    first = today - timedelta(days=59)
    page = read(admin_client, f"?first={first}&last={today}")
    assert figures(page)[0] == "1"
    assert "Week by week" in page
    assert 'data-step="604800"' in page
    quarter = today - timedelta(days=89)
    assert f'first={quarter:%Y-%m-%d}&amp;last={today:%Y-%m-%d}" aria-current="true">Last 90 days' in read(
        admin_client, f"?first={quarter}&last={today}"
    )


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?first=2026-02-30", "Enter a valid date."),
        ("?first=2026-03-02&last=2026-03-01", "The last day lies before the first."),
        ("?first=1999-01-01", "At most two years can be shown at once."),
        ("?last=0001-01-01", "That is before the calendar begins."),
        ("?first=%22%3E%3Cb%3E", "Enter a valid date."),
    ],
)
def test_what_is_no_period_is_said_and_the_usual_one_shown(admin_client: Client, query: str, said: str) -> None:
    page = read(admin_client, query)
    assert said in page
    assert 'aria-current="true">Last 30 days' in page
    assert '"><b>' not in page


@pytest.mark.parametrize("group", ["support", "operator", None])
def test_who_sees_what_came_of_conversations_and_is_led_to_reviewing(group: str | None) -> None:
    happened()
    page = read(member(group))
    assert ('id="outcomes"' in page) == (group is not None)
    assert ('<a href="/admin/conversations/reviewitem/">Review</a>' in page) == (group is not None)
