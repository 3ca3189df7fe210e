from __future__ import annotations

from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    name = "chatbot.conversations"
    verbose_name = "Support"

    def ready(self) -> None:
        from auditlog.registry import auditlog
        from django.db.models.signals import post_delete

        from chatbot.conversations.attachments.services import remove_files_of
        from chatbot.conversations.models import Attachment, CannedReply, Review, ShadowTrial

        post_delete.connect(remove_files_of, sender=Attachment)

        auditlog.register(ShadowTrial, exclude_fields=["problem"])
        auditlog.register(CannedReply, exclude_fields=["updated_at"])

        # What reviewers write may quote customers, whose erasure must not be undone by a log.
        auditlog.register(
            Review,
            exclude_fields=["version", "reviewed_at"],
            mask_fields=["edited_reply", "note"],
        )
