"""Help articles, the passages they are cut into, and retrieval with sources."""

from __future__ import annotations

from django.apps import AppConfig


class KnowledgeConfig(AppConfig):
    name = "chatbot.knowledge"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from chatbot.knowledge.models import Article

        auditlog.register(Article, exclude_fields=["body_digest", "indexed_digest", "index_error", "updated_at"])
