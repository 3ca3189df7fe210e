"""The chat page, by itself and for other sites to embed, and the script that embeds it."""

from __future__ import annotations

from csp.constants import SELF
from csp.decorators import csp_replace, csp_update
from django.conf import settings
from django.contrib.admin.views.decorators import staff_member_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_safe

from chatbot.conversations.handshake import set_visitor_cookie
from chatbot.intents.shop import load_shop
from chatbot.sites.selectors import active_site

# Soon enough for a repaired loader, and long enough that pages do not wait for it.
WIDGET_AGE_S = 300
# A page without a cookie fetches previews of files by its token and shows them out of memory.
PREVIEWS = {"img-src": ["blob:"]}
JAVASCRIPT = "text/javascript; charset=utf-8"


@never_cache
@require_safe
def chat(request: HttpRequest) -> HttpResponseBase:
    """The customer's page. It also sets the cookie that the websocket handshake needs."""
    response = render(request, "conversations/chat.html", {"shop": load_shop()})
    set_visitor_cookie(request, response)
    return csp_update(PREVIEWS)(lambda _: response)(request)


@never_cache
@require_safe
@xframe_options_exempt
def embedded_chat(request: HttpRequest, key: str) -> HttpResponseBase:
    """The page inside the widget's frame. It sets no cookie: where it would be a third party's, there is none."""
    site = active_site(key)
    if site is None:
        raise Http404
    page = {"site": site, "origins": site.origins}
    response = render(request, "conversations/embedded.html", page)
    framed = csp_replace({"frame-ancestors": [SELF, *site.origins]})(lambda _: response)
    return csp_update(PREVIEWS)(framed)(request)


@never_cache
@require_safe
@staff_member_required
def trial(request: HttpRequest, key: str) -> HttpResponseBase:
    """A page of our own with the site's widget on it, for whoever sets the site up."""
    site = active_site(key)
    if site is None:
        raise Http404
    page = render(request, "conversations/trial.html", {"site": site})
    return csp_update({"frame-src": [SELF]})(lambda _: page)(request)


@require_safe
def launcher(request: HttpRequest, key: str) -> HttpResponse:
    """What the widget needs to draw its button before anybody has opened the chat. Not a secret: any page may ask."""
    site = active_site(key)
    if site is None:
        raise Http404
    response = JsonResponse({"name": site.name, "accent": site.accent})
    response["Access-Control-Allow-Origin"] = "*"
    response["Cache-Control"] = f"public, max-age={WIDGET_AGE_S}"
    return response


@require_safe
def widget(request: HttpRequest) -> HttpResponseBase:
    """The loader that a site's pages name. Its address stays the same, so browsers ask anew now and then."""
    response = FileResponse((settings.FRONTEND_DIST / "widget.js").open("rb"), content_type=JAVASCRIPT)
    response["Cache-Control"] = f"public, max-age={WIDGET_AGE_S}"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response
