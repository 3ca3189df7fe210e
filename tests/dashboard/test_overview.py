"""The overview: for staff only, and every number on it real."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from chatbot.intents.models import Example, Intent
from chatbot.knowledge.models import Article
from chatbot.releases.services import promote_release
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
