"""How long a message would wait for a worker if it came now, by what the latest replies took."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from chatbot.conversations.models import Turn

# Enough that one long reply does not decide, few enough that a new release or a slower machine shows at once.
REPLIES_LOOKED_AT = 40
# Replies of last night say nothing about how busy the machine is now.
LATEST = timedelta(minutes=10)
# What a reply takes where none was written lately.
TYPICAL_REPLY_S = 3.0


@dataclass(frozen=True, slots=True)
class Line:
    """The messages that wait already, and the seconds until a worker would come to the next one."""

    ahead: int
    seconds: float


def line_now(now: datetime) -> Line:
    """The line that a message would have to join. One query where nobody waits, which is nearly always."""
    ahead = Turn.objects.filter(status=Turn.Status.QUEUED).count()
    if not ahead:
        return Line(0, 0.0)
    running = Turn.objects.filter(status=Turn.Status.RUNNING, lease_expires_at__gte=now).count()
    # While turns wait all workers are busy. Those that were told a moment ago do not show yet, so one counts in full.
    at_once = max(1, running, settings.REPLY_STREAMS)
    return Line(ahead, ahead * reply_seconds(now) / at_once)


def reply_seconds(now: datetime) -> float:
    """How long a worker has lately been busy with one turn, on average."""
    ended = Turn.objects.filter(finished_at__gte=now - LATEST, status=Turn.Status.DONE, started_at__isnull=False)
    moments = ended.order_by("-finished_at").values_list("started_at", "finished_at")[:REPLIES_LOOKED_AT]
    took = [(finished - started).total_seconds() for started, finished in moments if started and finished]
    return sum(took) / len(took) if took else TYPICAL_REPLY_S
