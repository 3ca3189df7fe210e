"""What the overview shows, gathered from the apps below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.urls import reverse

from chatbot.conversations.models import Conversation, ReviewItem, Turn
from chatbot.conversations.review_queue import reviewed_today
from chatbot.intents.models import Example, Intent
from chatbot.knowledge.models import Article, Passage
from chatbot.releases.models import Kind, Promotion, Release
from chatbot.releases.selectors import current_promotion

# Manifest metrics that a person compares releases by, with the words for them.
_METRICS = (
    ("accuracy", "Accuracy"),
    ("macro_f1", "Macro F1"),
    ("ece", "Calibration error"),
    ("oos_auroc", "Out-of-scope AUROC"),
    ("oos_recall", "Out-of-scope caught"),
    ("in_scope_rejected", "In-scope rejected"),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One number with its name, and where to look further."""

    name: str
    value: int
    url: str = ""
    is_trouble: bool = False


@dataclass(frozen=True, slots=True)
class ServedRelease:
    """What is current for one kind; `release` is None before the first promotion."""

    kind: str
    release: Release | None
    promotion: Promotion | None
    metrics: list[tuple[str, Any]]
    method: str


def served_releases() -> list[ServedRelease]:
    """The current release of each kind with its metrics."""
    served = []
    for kind in Kind:
        promotion = current_promotion(kind)
        release = promotion.release if promotion else None
        metrics = named_metrics(release) if release else []
        method = release.metrics.get("method", "") if release else ""
        served.append(ServedRelease(kind.label, release, promotion, metrics, method))
    return served


def named_metrics(release: Release) -> list[tuple[str, Any]]:
    """What was measured of the release when it was trained, with words for it."""
    return [(label, release.metrics[name]) for name, label in _METRICS if release.metrics.get(name) is not None]


def conversation_facts() -> list[Fact]:
    """What is going on right now."""
    conversations = reverse("admin:conversations_conversation_changelist")
    waiting = Conversation.objects.filter(status=Conversation.Status.WAITING).count()
    return [
        Fact("Waiting for a person", waiting, f"{conversations}?status__exact=waiting", waiting > 0),
        Fact("Answers owed", Turn.objects.filter(status__in=Turn.OPEN).count()),
        Fact("Turns to review", ReviewItem.objects.count(), reverse("admin:conversations_reviewitem_changelist")),
        Fact("Reviewed today", reviewed_today().count()),
    ]


def catalogue_facts() -> list[Fact]:
    """What the bot knows."""
    articles = reverse("admin:knowledge_article_changelist")
    stale = Article.objects.stale().count()
    return [
        Fact(
            "Active intents", Intent.objects.filter(is_active=True).count(), reverse("admin:intents_intent_changelist")
        ),
        Fact("Examples", Example.objects.filter(~Q(intent=None)).count(), reverse("admin:intents_example_changelist")),
        Fact("Out-of-scope examples", Example.objects.filter(intent=None).count()),
        Fact("Published articles", Article.objects.filter(is_published=True).count(), articles),
        Fact("Passages", Passage.objects.count()),
        Fact("Articles not indexed", stale, articles, stale > 0),
    ]
