"""Which turn a worker takes next.

A nudge names a turn, but it is a token: whoever gets it takes the turn that has waited longest. Nudges overtake each
other, a sweeper's reminder comes late, and neither may let a customer wait behind somebody who came after them.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from chatbot.conversations.delivery import claim_turn, free_turns
from chatbot.conversations.models import Turn

# Of workers that ask at the same moment one gets the first of these, and each of the others soon finds the next.
CANDIDATES = 8


def claim_oldest_turn(*, owner: str) -> Turn | None:
    """Take the free turn that was queued first, for one attempt; None where nothing is free."""
    while True:
        with transaction.atomic():  # where transactions are taken one at a time, as by SQLite, the first try wins
            candidates = list(claimable_turns(timezone.now()).values_list("pk", flat=True)[:CANDIDATES])
            for turn_id in candidates:
                turn = claim_turn(turn_id=turn_id, owner=owner)
                if turn is not None:
                    return turn
        if not candidates:
            return None


def claimable_turns(now: datetime) -> QuerySet[Turn]:
    """The free turns whose visitors do not have enough running already, the oldest first."""
    running = Turn.objects.filter(
        conversation__visitor=OuterRef("conversation__visitor"),
        status=Turn.Status.RUNNING,
        lease_expires_at__gte=now,
    )
    count = running.order_by().values("conversation__visitor").annotate(count=Count("pk")).values("count")
    limit = settings.MAX_RUNNING_TURNS_PER_VISITOR
    claimable = free_turns(now).annotate(visitors_running=Coalesce(Subquery(count), 0))
    return claimable.filter(visitors_running__lt=limit).order_by("created_at", "pk")
