"""The catalogue of intents: what customers ask for, and what the bot may do about it."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models


class Intent(models.Model):
    """A label that the classifier can give, and the rule for answering it."""

    class Mode(models.TextChoices):
        GENERATE = "generate", "Write an answer from the help articles"
        APPROVED = "approved", "Send the approved answer word for word"
        HANDOFF = "handoff", "Hand over to a person"

    slug = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=120, help_text="What a customer would call it; shown in “did you mean”.")
    description = models.TextField(blank=True)
    mode = models.CharField(max_length=16, choices=Mode.choices, default=Mode.GENERATE)
    guidance = models.TextField(blank=True, help_text="A short instruction for the model, for this intent only.")
    approved_answer = models.TextField(blank=True, help_text="Markdown. Sent as it stands in mode “approved”.")
    question = models.CharField(
        max_length=300, blank=True, help_text="How a customer would ask it; sent by a quick reply."
    )
    is_active = models.BooleanField(default=True, help_text="Inactive intents are neither trained nor predicted.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.mode == self.Mode.APPROVED and not self.approved_answer.strip():
            raise ValidationError({"approved_answer": "An intent in mode “approved” needs its answer."})


class Example(models.Model):
    """A training phrase. Without an intent it is out of scope: something the bot should not try to answer."""

    class Origin(models.TextChoices):
        CATALOGUE = "catalogue", "Catalogue"
        IMPORT = "import", "Import"
        REVIEW = "review", "Review"

    intent = models.ForeignKey(Intent, models.CASCADE, related_name="examples", null=True, blank=True)
    text = models.CharField(max_length=4000)
    origin = models.CharField(max_length=16, choices=Origin.choices, default=Origin.CATALOGUE)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["intent", "text"], name="example_once_per_intent"),
            models.UniqueConstraint(fields=["text"], condition=models.Q(intent=None), name="example_once_out_of_scope"),
        ]

    def __str__(self) -> str:
        return self.text

    def clean(self) -> None:
        """One text under two intents teaches the classifier that neither is right."""
        self.text = " ".join(self.text.split())
        if not self.text:
            raise ValidationError({"text": "An example needs some text."})
        same = Example.objects.filter(text__iexact=self.text).select_related("intent").exclude(pk=self.pk)
        own = models.Q(intent=self.intent_id) if self.intent_id else models.Q(intent__isnull=True)
        clash = same.exclude(own).first()
        if clash is not None:
            where = f"the intent “{clash.intent}”" if clash.intent else "the out-of-scope examples"
            raise ValidationError({"text": f"This text stands under {where} already."})
