"""What the people at the desk add to conversations: who moved one and why, notes, drafts, and replies kept ready."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models


class Transition(models.Model):
    """One change of a conversation's status or of the person who has it. Written by `lifecycle` alone."""

    class By(models.TextChoices):
        CUSTOMER = "customer", "The customer"
        BOT = "bot", "The assistant"
        STAFF = "staff", "A member of staff"

    conversation = models.ForeignKey("conversations.Conversation", models.CASCADE, related_name="transitions")
    move = models.CharField(max_length=10)
    from_status = models.CharField(max_length=8)
    to_status = models.CharField(max_length=8)
    by = models.CharField(max_length=10, choices=By.choices)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    assignee = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["conversation", "id"]

    def __str__(self) -> str:
        return f"{self.move}: {self.from_status} → {self.to_status}"


class Note(models.Model):
    """What staff tell each other about a conversation. No Message, so that no page of a customer can ever carry it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey("conversations.Conversation", models.CASCADE, related_name="notes")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    client_id = models.CharField(max_length=64, blank=True, help_text="Chosen by the page; makes adding it idempotent.")
    after_seq = models.PositiveIntegerField(help_text="The message that it was written after.")
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["conversation", "created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "client_id"], condition=~models.Q(client_id=""), name="note_client_id_once"
            )
        ]

    def __str__(self) -> str:
        return f"Note by {self.author or 'somebody'}"


class CannedReply(models.Model):
    """An answer that the team keeps ready; inserted by its shortcut, and edited before it is sent."""

    shortcut = models.CharField(
        max_length=40,
        unique=True,
        validators=[
            RegexValidator(r"^[a-z0-9][a-z0-9-]*$", "Small letters, digits and hyphens, such as refund-times.")
        ],
        help_text="What an agent types after “/”.",
    )
    title = models.CharField(max_length=120)
    text = models.TextField(max_length=4000)
    is_active = models.BooleanField(default=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["shortcut"]
        verbose_name_plural = "canned replies"

    def __str__(self) -> str:
        return f"/{self.shortcut}"


class Suggestion(models.Model):
    """What the bot would answer to a customer's message that a person has to answer. Never sent by itself.

    `record` holds what the draft rests on, as fields of a Turn; sending it makes that turn, and its review.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        SENT = "sent", "Sent"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    message = models.OneToOneField("conversations.Message", models.CASCADE, related_name="suggestion")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.WAITING)
    text = models.TextField(blank=True)
    error = models.CharField(max_length=400, blank=True)
    record = models.JSONField(default=dict, blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    requested_at = models.DateTimeField()
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-requested_at"]

    def __str__(self) -> str:
        return f"Suggestion ({self.status})"
