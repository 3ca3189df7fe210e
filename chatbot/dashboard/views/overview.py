"""The overview."""

from __future__ import annotations

from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from chatbot.dashboard.selectors import catalogue_facts, conversation_facts, served_releases
from chatbot.releases.models import Promotion

PROMOTIONS_SHOWN = 10


@require_safe
@staff_member_required
def overview(request: HttpRequest) -> HttpResponse:
    """What is served, who promoted it, and how much there is of everything."""
    promotions = Promotion.objects.select_related("release", "previous", "promoted_by")[:PROMOTIONS_SHOWN]
    context = {
        "releases": served_releases(),
        "promotions": promotions,
        "conversation_facts": conversation_facts(),
        "catalogue_facts": catalogue_facts(),
    }
    return render(request, "dashboard/overview.html", context)
