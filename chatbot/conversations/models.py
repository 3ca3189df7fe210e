"""Who talks, what was said, and what is still owed.

A Turn is the outbox: while it is not terminal, an answer is owed to the customer. Text is immutable once stored.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from chatbot.conversations.attachments.models import Attachment
from chatbot.conversations.departures import Departure
from chatbot.conversations.desk.models import CannedReply, Note, Suggestion, Transition
from chatbot.conversations.legibility import legible
from chatbot.conversations.surveys.models import Survey
from chatbot.intents.models import Intent
from chatbot.releases.models import Release
from chatbot.sites.models import Site

__all__ = [
    "Attachment",
    "CannedReply",
    "Conversation",
    "Departure",
    "Message",
    "Note",
    "PredictionExplanation",
    "Review",
    "ReviewItem",
    "Suggestion",
    "Survey",
    "Transition",
    "Turn",
    "Visitor",
]


class Visitor(models.Model):
    """A customer's browser, known by a signed cookie that carries this id."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey(Site, models.SET_NULL, null=True, blank=True, related_name="visitors")
    external_id = models.CharField(max_length=200, blank=True, db_index=True)
    name = models.CharField(max_length=200, blank=True, help_text="As the site vouches for.")
    email = models.CharField(max_length=200, blank=True, help_text="As the site vouches for.")
    agreed_to_training = models.BooleanField(null=True, blank=True, help_text="Empty: not asked, or no answer yet.")
    created_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["site", "external_id"], condition=~Q(external_id=""), name="visitor_identity_once"
            )
        ]

    def __str__(self) -> str:
        return legible(self.name or self.external_id) or f"Visitor {str(self.id)[:8]}"


class Conversation(models.Model):
    """One thread between a visitor and the shop."""

    class Status(models.TextChoices):
        BOT = "bot", "Bot answers"
        WAITING = "waiting", "Waiting for a person"
        HUMAN = "human", "With a person"
        CLOSED = "closed", "Closed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    visitor = models.ForeignKey(Visitor, models.CASCADE, related_name="conversations")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.BOT)
    title = models.CharField(max_length=120, blank=True, help_text="The start of the customer's first message.")
    language = models.CharField(max_length=8, blank=True, help_text="Of the customer's latest message, as detected.")
    last_seq = models.PositiveIntegerField(default=0)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Who of the team has it.",
    )
    assignment = models.PositiveIntegerField(default=0, editable=False, help_text="Grows whenever hands change.")
    waiting_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When a person was asked for; the place in the queue."
    )
    seen_seq = models.PositiveIntegerField(default=0, editable=False, help_text="How far its assignee has read.")
    contact_email = models.EmailField(blank=True, help_text="Left by the customer to be answered there.")
    is_demo = models.BooleanField(default=False, help_text="Came with the demo shop.")
    is_imported = models.BooleanField(default=False, help_text="Held elsewhere, and brought here to be learned from.")
    training_consent = models.BooleanField(
        default=True, help_text="May be used for training once reviewed and redacted."
    )
    excluded_from_training = models.BooleanField(
        default=False, help_text="A reviewer keeps it out of training, whatever the customer agreed to."
    )
    handed_over_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When a person was first asked for, or took over."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-updated_at"]
        indexes = [
            models.Index(fields=["visitor", "-updated_at"], name="conversation_of_visitor"),
            # With what the Overview counts by.
            models.Index(
                fields=["created_at", "is_imported", "is_demo", "last_seq", "handed_over_at"], name="conversation_begun"
            ),
            # The desk: few of all conversations at any time, and asked for with every change of one.
            models.Index(
                fields=["waiting_since"], name="conversation_at_desk", condition=Q(status__in=["waiting", "human"])
            ),
        ]
        permissions = [
            ("export_conversation", "Can export conversations"),
            ("answer_conversation", "Can answer customers in the inbox"),
        ]

    def __str__(self) -> str:
        return legible(self.title) or f"Conversation {str(self.id)[:8]}"


class Turn(models.Model):
    """The work of answering one customer message, and afterwards the record of how it was answered.

    `attempt` guards every write of a worker: who lost the lease can no longer finish. `next_nudge_at` says when the
    sweeper tells a worker again that this turn waits.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    OPEN: ClassVar = (Status.QUEUED, Status.RUNNING)
    TERMINAL: ClassVar = (Status.DONE, Status.FAILED, Status.CANCELLED)

    class Action(models.TextChoices):
        ANSWER = "answer", "Approved answer"
        GENERATE = "generate", "Written by the model"
        CLARIFY = "clarify", "Asked what was meant"
        HANDOFF = "handoff", "Handed over"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="turns")
    message = models.ForeignKey("Message", models.CASCADE, related_name="turns", help_text="What the customer wrote.")
    number = models.PositiveIntegerField(help_text="Order within the conversation.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    is_retry = models.BooleanField(default=False)
    cancel_requested = models.BooleanField(default=False)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    lease_owner = models.CharField(max_length=120, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    nudges = models.PositiveSmallIntegerField(default=0)
    next_nudge_at = models.DateTimeField()
    error_code = models.CharField(max_length=40, blank=True)
    error_detail = models.CharField(max_length=400, blank=True)

    # How it was answered: shown to reviewers, kept for training.
    intent = models.ForeignKey(Intent, models.SET_NULL, null=True, blank=True, related_name="+")
    confidence = models.FloatField(null=True, blank=True)
    out_of_scope = models.BooleanField(null=True, blank=True)
    prediction = models.JSONField(default=dict, blank=True)
    action = models.CharField(max_length=10, choices=Action.choices, blank=True)
    reason = models.CharField(max_length=200, blank=True, help_text="Why policy decided so, in words.")
    is_miss = models.BooleanField(default=False, help_text="The bot did not understand and asked what was meant.")
    sources = models.JSONField(default=list, blank=True)
    classifier = models.ForeignKey(Release, models.PROTECT, null=True, blank=True, related_name="+")
    generator = models.ForeignKey(Release, models.PROTECT, null=True, blank=True, related_name="+")
    finish_reason = models.CharField(max_length=16, blank=True)
    timings = models.JSONField(default=dict, blank=True, help_text="Seconds and token counts, by stage.")
    groundedness = models.JSONField(
        default=dict, blank=True, help_text="The model's sentences as it wrote them, and what the guard made of each."
    )
    is_triaged = models.BooleanField(
        default=False, editable=False, help_text="The review queue knows whether this turn is worth a reviewer's time."
    )

    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["conversation", "number"]
        constraints = [models.UniqueConstraint(fields=["conversation", "number"], name="turn_number_once")]
        indexes = [
            models.Index(
                fields=["status", "next_nudge_at"],
                name="turn_owed",
                condition=Q(status__in=["queued", "running"]),
            ),
            # With what Performance and Overview count by, so that they need not read the turns themselves.
            models.Index(fields=["finished_at", "status", "conversation", "is_miss", "intent"], name="turn_ended"),
            models.Index(fields=["finished_at"], name="turn_untriaged", condition=Q(is_triaged=False)),
        ]

    def __str__(self) -> str:
        return f"Turn {self.number} ({self.status})"

    @property
    def is_terminal(self) -> bool:
        return self.status in self.TERMINAL


class Message(models.Model):
    """Immutable text with a `seq` that is contiguous within its conversation, from 1."""

    class Role(models.TextChoices):
        CUSTOMER = "customer", "Customer"
        BOT = "bot", "Bot"
        AGENT = "agent", "Agent"
        SYSTEM = "system", "System"

    class Rating(models.TextChoices):
        UP = "up", "Thumbs up"
        DOWN = "down", "Thumbs down"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages")
    seq = models.PositiveIntegerField()
    role = models.CharField(max_length=10, choices=Role.choices)
    text = models.TextField()
    client_id = models.CharField(max_length=64, blank=True, help_text="Chosen by the browser; makes a send idempotent.")
    turn = models.OneToOneField(
        Turn,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="reply",
        help_text="The turn that this message answers.",
    )
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    quick_replies = models.JSONField(default=list, blank=True)
    stopped = models.BooleanField(default=False, help_text="The customer stopped it before its end.")
    rating = models.CharField(max_length=4, choices=Rating.choices, blank=True)
    rating_reason = models.CharField(max_length=500, blank=True)
    language = models.CharField(
        max_length=8, blank=True, help_text="Of a customer's text, as detected; empty where that is not certain."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["conversation", "seq"]
        indexes = [
            models.Index(fields=["created_at", "rating"], name="message_rated", condition=~Q(rating="")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["conversation", "seq"], name="message_seq_once"),
            models.UniqueConstraint(
                fields=["conversation", "client_id"], condition=~Q(client_id=""), name="message_client_id_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.seq}"


class Review(models.Model):
    """What a person made of one turn: the intent it should have had, and whether the reply was right.

    Either half may be left open. No intent and not `out_of_scope` means that the intent was not judged; an empty
    `verdict`, that the reply was not. `version` counts the changes, so that nobody overwrites what they have not seen.
    """

    class Verdict(models.TextChoices):
        ACCEPTED = "accepted", "Accepted"
        EDITED = "edited", "Edited"
        REJECTED = "rejected", "Rejected"

    # Somebody decided something: a note alone leaves the turn to be reviewed.
    JUDGED: ClassVar = Q(intent__isnull=False) | Q(out_of_scope=True) | ~Q(verdict="")

    turn = models.OneToOneField(Turn, models.CASCADE, related_name="review")
    intent = models.ForeignKey(Intent, models.SET_NULL, null=True, blank=True, related_name="+")
    out_of_scope = models.BooleanField(default=False, help_text="No intent of the catalogue fits.")
    verdict = models.CharField(max_length=10, choices=Verdict.choices, blank=True)
    edited_reply = models.TextField(blank=True)
    note = models.TextField(blank=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    reviewed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    reviewed_at = models.DateTimeField(auto_now=True, db_index=True)

    class Meta:
        ordering = ["-reviewed_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(out_of_scope=False) | Q(intent__isnull=True), name="review_intent_or_out_of_scope"
            )
        ]

    def __str__(self) -> str:
        return f"{self.summary} by {self.reviewed_by or 'nobody here'}"

    @property
    def is_judged(self) -> bool:
        return self.intent_id is not None or self.out_of_scope or bool(self.verdict)

    @property
    def summary(self) -> str:
        """What was judged, in a word or two."""
        if self.verdict:
            return str(self.get_verdict_display())
        return "Intent reviewed" if self.is_judged else "Noted"


class ReviewItem(models.Model):
    """A turn that waits for a reviewer. `triage` adds and removes them; `reasons` are revived by `review_reasons`."""

    turn = models.OneToOneField(Turn, models.CASCADE, related_name="review_item")
    reasons = models.JSONField(default=dict, help_text="Why it is worth a look: what each reason rests on, by kind.")
    priority = models.PositiveIntegerField()
    skips = models.PositiveSmallIntegerField(default=0, help_text="How often it was put off.")
    claimed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    claimed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        # What was put off comes after everything else; of equals the newest comes first.
        ordering = ["skips", "-priority", "-id"]
        indexes = [models.Index(fields=["skips", "-priority", "-id"], name="review_item_order")]
        verbose_name = "turn to review"
        verbose_name_plural = "review queue"

    def __str__(self) -> str:
        return f"Turn to review, {self.priority} points"


class PredictionExplanation(models.Model):
    """Why the classifier took a customer's message for what it took it for; made when a reviewer asks for it.

    Examples are kept by key alone (`inference.references`): what is deleted from the catalogue is gone here too.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    turn = models.OneToOneField(Turn, models.CASCADE, related_name="explanation")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.WAITING)
    contents = models.JSONField(default=dict, blank=True)
    error = models.CharField(max_length=400, blank=True)
    requested_at = models.DateTimeField()
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-changed_at"]

    def __str__(self) -> str:
        return f"Explanation of {self.turn_id} ({self.status})"


class ShadowTrial(models.Model):
    """A candidate classifier that reads live messages beside the current one, and is never heard by customers."""

    release = models.ForeignKey(Release, models.PROTECT, related_name="shadow_trials")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    started_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=400, blank=True, help_text="Why it reads nothing at the moment.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                models.Value(1), condition=Q(stopped_at__isnull=True), name="one_shadow_trial_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.release} in the shadow"


class ShadowPrediction(models.Model):
    """What a shadow classifier would have taken a turn's message for. `intent` is the slug that it ranks first."""

    turn = models.ForeignKey(Turn, models.CASCADE, related_name="shadow_predictions")
    release = models.ForeignKey(Release, models.PROTECT, related_name="+")
    intent = models.CharField(max_length=80)
    confidence = models.FloatField()
    out_of_scope = models.BooleanField()
    agrees = models.BooleanField(help_text="It would have decided as the classifier did that answered.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["turn", "release"], name="one_shadow_prediction_a_release")]
        indexes = [models.Index(fields=["release", "agrees"], name="shadow_agreement")]

    def __str__(self) -> str:
        return f"{self.release} on {self.turn_id}"
