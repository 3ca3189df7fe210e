"""The inbox: conversations that need a person. Live where scripts run, else a list with links to the transcripts."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from chatbot.conversations.desk.selectors import MAY_ANSWER, desk_conversations
from chatbot.dashboard.views.access import for_staff_who

LISTED = 100


@require_safe
@never_cache
@for_staff_who(MAY_ANSWER)
def inbox(request: HttpRequest) -> HttpResponse:
    """Everything that waits for a person, or is with one."""
    return render(request, "dashboard/inbox.html", {"conversations": desk_conversations()[:LISTED]})
