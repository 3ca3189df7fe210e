"""The chat page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from chatbot.conversations.handshake import set_visitor_cookie
from chatbot.intents.shop import load_shop


@never_cache
@require_safe
def chat(request: HttpRequest) -> HttpResponse:
    """The customer's page. It also sets the cookie that the websocket handshake needs."""
    response = render(request, "conversations/chat.html", {"shop": load_shop()})
    set_visitor_cookie(request, response)
    return response
