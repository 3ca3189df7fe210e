"""How quickly customers were answered, over time."""

from __future__ import annotations

import logging

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from chatbot.conversations.performance import SPANS, performance_of
from chatbot.conversations.presence import EngineUse, engines_in_use, live_workers
from chatbot.dashboard.views.access import for_staff_who

logger = logging.getLogger(__name__)

DEFAULT_SPAN = "day"


@require_safe
@never_cache
@for_staff_who("conversations.view_turn")
def performance(request: HttpRequest) -> HttpResponse:
    """One span of time, as figures, plots and a table, and the engines as they are now."""
    span = SPANS.get(request.GET.get("range", DEFAULT_SPAN), SPANS[DEFAULT_SPAN])
    measured = performance_of(span, timezone.now())
    context = {
        "spans": SPANS.values(),
        "performance": measured,
        "busy": [interval for interval in reversed(measured.intervals) if interval.turns],
        "engines": _engines(),
        "time_zone": timezone.get_current_timezone_name(),
    }
    return render(request, "dashboard/performance/index.html", context)


def _engines() -> list[EngineUse] | None:
    """None where nobody can tell."""
    try:
        return engines_in_use(live_workers())
    except RedisError as error:
        logger.warning("performance: the broker does not answer: %s", error)
        return None
