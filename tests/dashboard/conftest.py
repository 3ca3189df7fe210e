"""Members of staff who are signed in, and training workers who only listen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from chatbot.operations.staff import sync_groups
from chatbot.training import runs
from tests.training.nudges import Broker

SignIn = Callable[..., Client]


@pytest.fixture
def nudges(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """What training workers are told."""
    nudges = Broker()
    monkeypatch.setattr(runs, "current_app", nudges)
    return nudges


@pytest.fixture
def sign_in() -> SignIn:
    """Signs a new member of the group in."""

    def make(group: str | None, **options: Any) -> Client:
        sync_groups()
        user = User.objects.create_user(f"{group}-robin", is_staff=True)
        if group:
            user.groups.add(Group.objects.get(name=group))
        client = Client(**options)
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")
        return client

    return make


@pytest.fixture
def operator(sign_in: SignIn) -> Client:
    return sign_in("operator")
