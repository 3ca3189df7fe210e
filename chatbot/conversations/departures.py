"""What stays of a conversation that is deleted while its visitor is not: no word of it, only whose it was."""

from __future__ import annotations

from django.db import models


class Departure(models.Model):
    """A deleted conversation. Datasets may hold redacted rows of it, and erasing the visitor finds them by its id."""

    conversation = models.UUIDField(primary_key=True)
    visitor = models.ForeignKey("conversations.Visitor", models.CASCADE, related_name="departures")
    departed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-departed_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"Conversation {str(self.conversation)[:8]}"
