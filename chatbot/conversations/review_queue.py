"""The review queue as reviewers work through it: what comes next, who looks at what, what is put off."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from chatbot.conversations.models import Review, ReviewItem

# So long does an item count as being looked at by whoever opened it. Longer than a decision takes; whoever leaves the
# page open over lunch keeps nobody from anything, since reviews have versions.
CLAIM_LASTS = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far reviewers are. `today` is since the site's midnight; `mine` is what one of them did of it."""

    today: int
    mine: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Narrowing:
    """The part of the queue that a reviewer works through: items with a reason of this kind, of this intent."""

    reason: str = ""
    intent: str = ""

    def of(self, items: QuerySet[ReviewItem]) -> QuerySet[ReviewItem]:
        if self.reason:
            items = items.filter(reasons__has_key=self.reason)
        if self.intent:
            items = items.filter(turn__intent__slug=self.intent)
        return items


def next_item(
    *, reviewer: AbstractBaseUser, among: Narrowing | None = None, but: UUID | None = None
) -> ReviewItem | None:
    """What teaches most of what nobody else looks at, other than the turn `but`."""
    items = (among or Narrowing()).of(ReviewItem.objects.all())
    taken_by_others = Q(claimed_at__gt=_claims_since()) & ~Q(claimed_by=reviewer.pk)
    free = items.exclude(taken_by_others & Q(claimed_by__isnull=False))
    if but is not None:
        free = free.exclude(turn=but)
    return free.order_by("skips", "-priority", "-id").first()


def claim_item(*, turn_id: UUID, reviewer: AbstractBaseUser) -> None:
    """Let others see that this reviewer looks at the item. It is a hint, no lock."""
    ReviewItem.objects.filter(turn=turn_id).update(claimed_by=reviewer.pk, claimed_at=timezone.now())


def put_off_items(items: QuerySet[ReviewItem]) -> int:
    """They come after all that was put off less often. Returns how many."""
    return items.update(skips=F("skips") + 1, claimed_by=None, claimed_at=None)


def is_claimed(item: ReviewItem) -> bool:
    """Whether somebody has opened it just now."""
    return item.claimed_by_id is not None and item.claimed_at is not None and item.claimed_at > _claims_since()


def reviewed_today() -> QuerySet[Review]:
    """What people judged since the site's midnight."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    return Review.objects.filter(Review.JUDGED, reviewed_at__gte=midnight, reviewed_by__isnull=False)


def progress_of(reviewer: AbstractBaseUser) -> Progress:
    today = reviewed_today()
    return Progress(today.count(), today.filter(reviewed_by=reviewer.pk).count(), ReviewItem.objects.count())


def _claims_since() -> datetime:
    return timezone.now() - CLAIM_LASTS
