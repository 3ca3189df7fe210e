from __future__ import annotations

from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    name = "chatbot.conversations"
    verbose_name = "Support"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from chatbot.conversations.models import Review

        auditlog.register(Review)
