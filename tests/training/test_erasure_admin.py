"""Erasing in the admin: who may, what is said beforehand, and that receipts name nobody and stay as they are."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client

from chatbot.conversations.models import Conversation, Visitor
from chatbot.operations.staff import sync_groups
from chatbot.training.erasure import request_erasure
from chatbot.training.models import Erasure
from tests.conversations.records import Told

pytestmark = pytest.mark.django_db

VISITORS = "/admin/conversations/visitor/"
RECEIPTS = "/admin/training/erasure/"
HOSTILE = "<script>alert(1)</script>"


def member(group: str) -> Client:
    sync_groups()
    user = User.objects.create_user(f"{group}-robin", is_staff=True, is_superuser=group == "superuser")
    if group != "superuser":
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def operator() -> Client:
    return member("operator")


def erase(client: Client, *visitors: Visitor, confirmed: str = "") -> str:
    chosen = [str(visitor.pk) for visitor in visitors]
    data = {"action": "erase_selected", "_selected_action": chosen, "select_across": "0", "confirmed": confirmed}
    return client.post(VISITORS, data, follow=True).content.decode()


def test_it_says_what_goes_before_anything_goes(operator: Client) -> None:
    told, other = Told(external_id=HOSTILE), Told()
    told.answered("where is my parcel", "In the post.")
    visitor = told.conversation.visitor
    for page in (operator.get(f"{VISITORS}{visitor.pk}/erase/").content.decode(), erase(operator, visitor)):
        assert "Erase this person?" in page
        assert "<li>Messages: 2</li>" in page
        assert "It cannot be undone." in page
        assert HOSTILE not in page
    assert not Erasure.objects.exists()
    page = erase(operator, visitor, confirmed="yes")
    assert "1 person will be erased within seconds" in page
    assert "Waiting for the sweeper" in page
    asked = Erasure.objects.get()
    assert asked.visitor == visitor.pk
    assert asked.requested_by is not None
    assert asked.requested_by.username == "operator-robin"
    erase(operator, visitor, other.conversation.visitor, confirmed="yes")
    assert Erasure.objects.count() == 2


def test_a_visitors_page_leads_there(operator: Client) -> None:
    visitor = Told().conversation.visitor
    assert f"{VISITORS}{visitor.pk}/erase/" in operator.get(f"{VISITORS}{visitor.pk}/change/").content.decode()
    assert operator.get(f"{VISITORS}{uuid.uuid4()}/erase/").status_code == 404
    assert operator.get(f"{VISITORS}nobody/erase/").status_code == 404


def test_support_sees_receipts_and_erases_nobody() -> None:
    support, visitor = member("support"), Told().conversation.visitor
    page = support.get(f"{VISITORS}{visitor.pk}/change/").content.decode()
    assert "/erase/" not in page
    assert support.get(f"{VISITORS}{visitor.pk}/erase/").status_code == 403
    erase(support, visitor, confirmed="yes")
    assert not Erasure.objects.exists()
    assert support.get(RECEIPTS).status_code == 200


def test_not_even_a_superuser_deletes_a_visitor_past_the_datasets_or_changes_a_receipt() -> None:
    superuser, visitor = member("superuser"), Told().conversation.visitor
    assert superuser.post(f"{VISITORS}{visitor.pk}/delete/", {"post": "yes"}).status_code == 403
    receipt = request_erasure(visitor=visitor, requested_by=None)
    page = superuser.get(f"{RECEIPTS}{receipt.pk}/change/").content.decode()
    assert receipt.visitor_digest in page
    assert str(visitor.pk) not in page
    assert superuser.post(f"{RECEIPTS}{receipt.pk}/change/", {"problem": "x"}).status_code == 403
    assert superuser.post(f"{RECEIPTS}{receipt.pk}/delete/", {"post": "yes"}).status_code == 403


def test_too_many_at_once_are_refused(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatbot.training.admin.MOST_AT_ONCE", 1)
    page = erase(operator, Told().conversation.visitor, Told().conversation.visitor, confirmed="yes")
    assert "Choose at most 1 people at a time" in page
    assert not Erasure.objects.exists()


def test_djangos_log_keeps_no_title_of_what_is_deleted() -> None:
    told = Told()
    told.says("customer", "my secret is 12")
    path = f"/admin/conversations/conversation/{told.conversation.pk}/"
    superuser = member("superuser")
    superuser.post(f"{path}close/")
    superuser.post(f"{path}delete/", {"post": "yes"})
    assert not Conversation.objects.exists()
    entries = list(LogEntry.objects.values_list("object_repr", flat=True))
    assert entries == [f"Conversation {str(told.conversation.pk)[:8]}"] * 2
