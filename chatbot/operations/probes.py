"""`/healthz`, `/readyz` and `/metrics`: for machines, answered before everything else.

A middleware and no views, because a probe asks the process under whatever name or address it has (ALLOWED_HOSTS knows
only the shop's), over plain HTTP, and must be answered when the session's database is down.
"""

from __future__ import annotations

import hmac
import ipaddress
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from chatbot.operations.metrics import CONTENT_TYPE, observe_request, render_metrics
from chatbot.operations.readiness import check_readiness


class ProbesMiddleware:
    """Answers the probes and counts every other request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        probe = PROBES.get(request.path_info)
        if probe is not None:
            response = probe(request) if request.method in ("GET", "HEAD") else HttpResponse(status=405)
            response.headers["Cache-Control"] = "no-store"
            return response
        started = time.perf_counter()
        response = self._get_response(request)
        observe_request(request, response, time.perf_counter() - started)
        return response


def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers. Says nothing about the rest."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> HttpResponse:
    """200 when customers can be served, else 503; which condition fails stands in the JSON."""
    readiness = check_readiness()
    workers = [
        {field: worker.get(field) for field in ("engine", "classifier", "generator")} for worker in readiness.workers
    ]
    content = {
        "ready": readiness.ready,
        "checks": {check.name: {"ok": check.ok, "detail": check.detail} for check in readiness.checks},
        "workers": workers,
    }
    response = JsonResponse(content, status=200 if readiness.ready else 503)
    # Django would log every refusal as an error; whoever asks keeps asking until it is green.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, for whoever has the token; without a token set, for this machine only."""
    if not may_read_metrics(request):
        return HttpResponse("Set METRICS_TOKEN and send it as a bearer token.\n", status=403, content_type="text/plain")
    return HttpResponse(render_metrics(), content_type=CONTENT_TYPE)


def may_read_metrics(request: HttpRequest) -> bool:
    """Whether this client may see numbers about the shop."""
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "").encode()
        return hmac.compare_digest(given, f"Bearer {settings.METRICS_TOKEN}".encode())
    # A proxy on this machine makes every stranger look local; its header gives them away.
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics,
}
