"""The registry in the admin: nothing can be edited, and a promotion asks for its reason."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from chatbot.releases.models import Kind, Promotion
from chatbot.releases.selectors import current_release
from chatbot.releases.services import promote_release
from tests.releases.shelf import store_classifier

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shelf")]
LIST = "/admin/releases/release/"


def choose(*releases: Any, **fields: str) -> dict[str, Any]:
    return {"action": "make_current", "_selected_action": [release.pk for release in releases], **fields}


def test_releases_are_shown_and_cannot_be_changed(admin_client: Client) -> None:
    release = store_classifier()
    assert release.name in admin_client.get(LIST).content.decode()
    page = admin_client.get(f"{LIST}{release.pk}/change/").content.decode()
    assert release.manifest_digest in page
    assert 'name="_save"' not in page
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(f"{LIST}{release.pk}/delete/", {"post": "yes"}).status_code == 403


def test_making_a_release_current_leads_to_the_page_with_its_gate(admin_client: Client) -> None:
    first, second = store_classifier(), store_classifier()
    promote_release(release=first, reason="first")
    asked = admin_client.post(LIST, choose(second))
    assert asked.status_code == 302
    assert asked["Location"] == f"/dashboard/releases/{second.pk}/promote/"
    assert current_release(Kind.CLASSIFIER) == first
    assert "first" in admin_client.get("/admin/releases/promotion/").content.decode()


def test_exactly_one_release_must_be_chosen(admin_client: Client) -> None:
    page = admin_client.post(LIST, choose(store_classifier(), store_classifier()), follow=True)
    assert "exactly one release" in page.content.decode()
    assert not Promotion.objects.exists()


def test_who_may_only_look_cannot_promote(client: Client) -> None:
    release = store_classifier()
    viewer = User.objects.create_user("viewer", password="correct horse battery", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_release"))
    client.force_login(viewer)
    page = client.get(LIST)
    assert page.status_code == 200
    assert b"Make current" not in page.content
    client.post(LIST, choose(release))
    assert not Promotion.objects.exists()
