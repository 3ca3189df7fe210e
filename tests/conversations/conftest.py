"""What conversation tests share: a conversation to write in, and an ear on what is published."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from chatbot.conversations import services
from chatbot.conversations.models import Conversation, Turn
from chatbot.conversations.publisher import publisher


@pytest.fixture
def conversation(db: None) -> Conversation:
    return services.start_conversation(visitor_id=uuid.uuid4())


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The frames that were published, in order; they still go out."""
    frames: list[dict[str, Any]] = []
    send = publisher.send

    def listen(group: str, message: dict[str, Any]) -> None:
        frames.append(message.get("frame", message))
        send(group, message)

    monkeypatch.setattr(publisher, "send", listen)
    return frames


def expire_lease(turn: Turn) -> None:
    """As the clock does to a worker that has stopped renewing."""
    Turn.objects.filter(pk=turn.pk, status=Turn.Status.RUNNING).update(
        lease_expires_at=timezone.now() - timedelta(seconds=1)
    )
