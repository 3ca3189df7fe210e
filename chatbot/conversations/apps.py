from __future__ import annotations

from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    name = "chatbot.conversations"
    verbose_name = "Support"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from chatbot.conversations.models import CannedReply, Review, ShadowTrial

        auditlog.register(ShadowTrial, exclude_fields=["problem"])
        auditlog.register(CannedReply, exclude_fields=["updated_at"])

        # What reviewers write may quote customers, whose erasure must not be undone by a log.
        auditlog.register(
            Review,
            exclude_fields=["version", "reviewed_at"],
            mask_fields=["edited_reply", "note"],
        )
