from __future__ import annotations

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "chatbot.training"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from chatbot.training.models import Dataset, Evaluation

        auditlog.register(Dataset, exclude_fields=["manifest", "former_digests"])
        auditlog.register(Evaluation, exclude_fields=["report"])
