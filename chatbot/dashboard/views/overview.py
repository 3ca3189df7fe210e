"""The overview."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from chatbot.conversations.models import Conversation
from chatbot.conversations.outcomes import outcomes_of
from chatbot.dashboard.period import DEFAULT_DAYS, PeriodForm, last_days, presets
from chatbot.dashboard.selectors import catalogue_facts, conversation_facts, served_releases
from chatbot.releases.models import Promotion

PROMOTIONS_SHOWN = 10


@require_safe
@never_cache
@staff_member_required
def overview(request: HttpRequest) -> HttpResponse:
    """What came of the conversations, what is served and who promoted it, and how much there is of everything."""
    promotions = Promotion.objects.select_related("release", "previous", "promoted_by")[:PROMOTIONS_SHOWN]
    context = {
        "releases": served_releases(),
        "promotions": promotions,
        "conversation_facts": conversation_facts(),
        "catalogue_facts": catalogue_facts(),
    }
    if request.user.has_perm("conversations.view_turn"):
        context |= _outcomes(request)
    return render(request, "dashboard/overview.html", context)


def _outcomes(request: HttpRequest) -> dict[str, Any]:
    form = PeriodForm(request.GET)
    period = form.cleaned_data["period"] if form.is_valid() else last_days(DEFAULT_DAYS)
    with_demo = bool(form.cleaned_data.get("demo"))
    outcomes = outcomes_of(period, with_demo=with_demo)
    return {
        "form": form,
        "outcomes": outcomes,
        "presets": presets(),
        "with_demo": with_demo,
        "has_demo": with_demo or Conversation.objects.filter(is_demo=True).exists(),
        "eventful": [outcome for outcome in reversed(outcomes.intervals) if not outcome.is_empty],
        "time_zone": timezone.get_current_timezone_name(),
    }
