"""A customer's verdict on a conversation as a whole."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

LOWEST, HIGHEST = 1, 5
MAX_COMMENT = 1000


class Survey(models.Model):
    """From 1 to 5, and a comment if there is one. Read by staff; never part of what models are trained on."""

    conversation = models.OneToOneField("conversations.Conversation", models.CASCADE, related_name="survey")
    score = models.PositiveSmallIntegerField(validators=[MinValueValidator(LOWEST), MaxValueValidator(HIGHEST)])
    comment = models.CharField(max_length=MAX_COMMENT, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(score__gte=LOWEST, score__lte=HIGHEST), name="survey_score_in_range")
        ]

    def __str__(self) -> str:
        return f"{self.score} of {HIGHEST}"
