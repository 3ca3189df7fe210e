"""The model registry: what was trained, and who made it current."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Kind(models.TextChoices):
    CLASSIFIER = "classifier", "Classifier"
    GENERATOR = "generator", "Generator"


class Release(models.Model):
    """One immutable trained artifact: a folder whose `manifest.json` names and hashes every file."""

    kind = models.CharField(max_length=16, choices=Kind.choices)
    name = models.CharField(max_length=80, unique=True, help_text="Such as classifier-0003.")
    path = models.CharField(max_length=400, help_text="Relative to the folder that holds what the system writes.")
    manifest_digest = models.CharField(max_length=64)
    base = models.CharField(max_length=200, blank=True)
    dataset_digest = models.CharField(max_length=64, blank=True)
    manifest = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class Promotion(models.Model):
    """The act of making a release current. The newest promotion of a kind says which release is current."""

    kind = models.CharField(max_length=16, choices=Kind.choices)
    release = models.ForeignKey(Release, models.PROTECT, related_name="promotions")
    previous = models.ForeignKey(Release, models.PROTECT, null=True, blank=True, related_name="+")
    reason = models.TextField()
    override = models.TextField(
        blank=True, help_text="Why it was made current although its gate stood in the way; empty where it did not."
    )
    promoted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    promoted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["kind", "-id"], name="promotion_newest_of_kind")]

    def __str__(self) -> str:
        return f"{self.release} at {self.promoted_at:%Y-%m-%d %H:%M}"
