"""The people who work here: groups with their permissions, and the first accounts."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q

# Six words' worth of chance (about 83 bits), without the letters that look alike on paper.
PASSWORD_LENGTH = 16
PASSWORD_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

READABLE_APPS = ("intents", "knowledge", "releases", "conversations", "training", "embedding")
# To change a conversation means to act on it: answer as a person, give it back to the bot, close it.
ACTING = Q(codename__in=("add_review", "change_review", "change_conversation", "export_conversation"))
# What an operator sees to is the machine; people who answer customers are the support team.
ANSWERING = Q(content_type__app_label="conversations", codename="answer_conversation")
# The replies that the team keeps ready are written by those who use them.
ANSWERING |= Q(content_type__app_label="conversations", content_type__model="cannedreply")
EVERYDAY = Q(content_type__app_label="conversations") & ACTING
# Whoever answers customers can tell a good reply from a bad one.
VOTING = Q(content_type__app_label="training", codename="add_replyvote")
VIEWING = Q(content_type__app_label__in=READABLE_APPS, codename__startswith="view_")
# Operators write the catalogue and the articles and run training; transcripts stay unchangeable for everybody.
OPERATING = Q(content_type__app_label__in=("intents", "knowledge", "training", "embedding"))
PROMOTING = Q(content_type__app_label="releases", codename__startswith="add_")

GROUPS = {
    "support": VIEWING | EVERYDAY | ANSWERING | VOTING,
    "operator": VIEWING | EVERYDAY | OPERATING | PROMOTING,
}


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account that was just made. The password is known here and nowhere else."""

    username: str
    password: str
    role: str


@transaction.atomic
def sync_groups() -> None:
    """Make the groups, and add permissions they lack. What an administrator added is kept."""
    for name, wanted in GROUPS.items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.add(*Permission.objects.filter(wanted))


@transaction.atomic
def create_first_accounts() -> list[NewAccount]:
    """On a database without any account, make one for each role. Returns them with their passwords, else nothing."""
    users = get_user_model()._default_manager
    if users.exists():
        return []
    admin = NewAccount("admin", _password(), "everything")
    reviewer = NewAccount("reviewer", _password(), "reads and reviews transcripts")
    operator = NewAccount("operator", _password(), "trains and promotes models")
    users.create_superuser(admin.username, password=admin.password)
    for account, group in ((reviewer, "support"), (operator, "operator")):
        user = users.create_user(account.username, password=account.password, is_staff=True)
        user.groups.add(Group.objects.get(name=group))
    return [admin, reviewer, operator]


def _password() -> str:
    return "".join(secrets.choice(PASSWORD_ALPHABET) for _ in range(PASSWORD_LENGTH))
