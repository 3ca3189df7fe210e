from __future__ import annotations

from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "chatbot.operations"

    def ready(self) -> None:
        # Every process sends tasks, so every process needs the Celery application, not only Celery's own.
        from chatbot import celery  # noqa: F401
