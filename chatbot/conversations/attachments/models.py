"""A file that a customer sent, or has uploaded to send."""

from __future__ import annotations

import uuid

from django.db import models


class Attachment(models.Model):
    """What is known of one file. Its bytes lie in `files` under `stored`, a random name that tells nothing."""

    class Kind(models.TextChoices):
        IMAGE = "image", "Picture"
        PDF = "pdf", "PDF"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # By which it belongs to a visitor: where a conversation moves to another, its files move along.
    conversation = models.ForeignKey("conversations.Conversation", models.CASCADE, related_name="attachments")
    message = models.ForeignKey(
        "conversations.Message",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="attachments",
        help_text="Empty until it is sent.",
    )
    position = models.PositiveSmallIntegerField(default=0, help_text="Order within the message.")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    name = models.CharField(max_length=120, help_text="What the customer called it. Shown, never used as a path.")
    media_type = models.CharField(max_length=40)
    size = models.PositiveIntegerField(help_text="Bytes on disk, its preview included.")
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    stored = models.CharField(max_length=32, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["position", "created_at"]
        indexes = [
            models.Index(fields=["created_at"], name="attachment_unsent", condition=models.Q(message__isnull=True))
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {str(self.id)[:8]}"
