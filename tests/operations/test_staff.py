"""The first accounts and what their groups may do."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from chatbot.operations.staff import create_first_accounts, sync_groups

pytestmark = pytest.mark.django_db


def test_the_first_start_makes_one_account_per_role_and_no_later_one_does() -> None:
    sync_groups()
    accounts = create_first_accounts()
    assert [account.username for account in accounts] == ["admin", "reviewer", "operator"]
    assert len({account.password for account in accounts}) == 3
    for account in accounts:
        user = get_user_model().objects.get(username=account.username)
        assert user.is_staff
        assert account.password not in user.password
        assert user.check_password(account.password)
    assert create_first_accounts() == []


def test_support_reads_reviews_and_acts_on_conversations_and_changes_nothing_else() -> None:
    sync_groups()
    granted = set(Group.objects.get(name="support").permissions.values_list("codename", flat=True))
    assert {"view_conversation", "view_message", "view_turn", "view_release", "add_review", "change_review"} <= granted
    changing = {codename for codename in granted if not codename.startswith("view_")}
    acting = {"add_review", "change_review", "change_conversation", "export_conversation", "answer_conversation"}
    canned = {"add_cannedreply", "change_cannedreply", "delete_cannedreply"}
    assert changing == acting | canned | {"add_replyvote"}


def test_operators_write_the_catalogue_and_nobody_changes_transcripts() -> None:
    sync_groups()
    granted = set(Group.objects.get(name="operator").permissions.values_list("codename", flat=True))
    assert {"change_intent", "add_example", "change_article", "add_promotion"} <= granted
    assert not granted & {"change_message", "delete_message", "change_turn", "delete_conversation"}


@pytest.mark.parametrize(
    ("permission", "groups"),
    [
        ("conversations.view_reviewitem", {"support", "operator"}),
        ("conversations.add_review", {"support", "operator"}),
        ("conversations.change_review", {"support", "operator"}),
        ("conversations.delete_review", set()),
        ("conversations.change_message", set()),
        ("conversations.delete_conversation", set()),
        ("conversations.delete_visitor", set()),
        ("intents.add_intent", {"operator"}),
        ("training.add_trainingrun", {"operator"}),
        ("releases.view_release", {"support", "operator"}),
        ("releases.add_promotion", {"operator"}),
        ("releases.change_promotion", set()),
        ("releases.delete_release", set()),
        ("training.erase_visitor", {"operator"}),
        ("training.view_erasure", {"support", "operator"}),
        ("auth.change_user", set()),
        ("auth.view_user", set()),
        ("auditlog.delete_logentry", set()),
    ],
)
def test_who_may_do_what(permission: str, groups: set[str]) -> None:
    sync_groups()
    may = set()
    for name in ("support", "operator"):
        user = get_user_model()._default_manager.create_user(name, is_staff=True)
        user.groups.add(Group.objects.get(name=name))
        if user.has_perm(permission):
            may.add(name)
    assert may == groups


def test_what_an_administrator_granted_is_kept() -> None:
    sync_groups()
    group = Group.objects.get(name="support")
    extra = Group.objects.get(name="operator").permissions.get(codename="change_intent")
    group.permissions.add(extra)
    sync_groups()
    assert extra in group.permissions.all()
