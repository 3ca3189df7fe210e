"""The catalogue: intents, their examples, and what the bot may do for each."""

from __future__ import annotations

from django.apps import AppConfig


class IntentsConfig(AppConfig):
    name = "chatbot.intents"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from chatbot.intents.models import Example, Intent

        auditlog.register(Intent, exclude_fields=["updated_at"])
        auditlog.register(Example)
