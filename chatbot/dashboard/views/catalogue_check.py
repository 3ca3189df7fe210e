"""The check of the catalogue: started here, followed here, read here."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from chatbot.dashboard.forms import CatalogueCheckForm
from chatbot.dashboard.headline import headline
from chatbot.dashboard.progress import progress_of
from chatbot.dashboard.views.access import for_staff_who
from chatbot.exceptions import Conflict
from chatbot.intents.models import Example
from chatbot.training.catalogue_report import CatalogueReport
from chatbot.training.confusion_matrix import confusion_matrix
from chatbot.training.models import TrainingRun
from chatbot.training.runs import cancel_run, request_run
from chatbot.training.selectors import catalogue_changed_since, runs_of_kind, usual_duration
from chatbot.training.trainers import PRESETS

KIND = TrainingRun.Kind.CROSS_VALIDATION
MAY_READ, MAY_START = "training.view_trainingrun", "training.add_trainingrun"
RUNS_SHOWN = 20


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@for_staff_who(MAY_READ)
def catalogue_check(request: HttpRequest) -> HttpResponse:
    """Earlier checks, and the form that starts one."""
    form = CatalogueCheckForm(
        request.POST if request.method == "POST" else None,
        durations={preset: usual_duration(KIND, preset) for preset in PRESETS},
    )
    if request.method == "POST":
        if not request.user.has_perm(MAY_START):
            raise PermissionDenied
        if form.is_valid():
            return _start(request, form)
    runs = runs_of_kind(KIND)
    context = {
        "form": form,
        "may_start": request.user.has_perm(MAY_START),
        "has_examples": Example.objects.filter(intent__is_active=True).exists(),
        "open_run": runs.filter(status__in=TrainingRun.OPEN).first(),
        "runs": runs[:RUNS_SHOWN],
    }
    return render(request, "dashboard/catalogue_check/index.html", context)


def _start(request: HttpRequest, form: CatalogueCheckForm) -> HttpResponse:
    try:
        run = request_run(kind=KIND, parameters=form.cleaned_data, requested_by=cast(User, request.user))
    except Conflict:
        messages.warning(request, "A check was running already; only one runs at a time.")
        return redirect("dashboard:catalogue-check")
    return redirect("dashboard:catalogue-check-run", run.pk)


@require_safe
@never_cache
@for_staff_who(MAY_READ)
def run_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One check: how far it is, why it ended, or what it found."""
    run = _run(pk)
    context = {"run": run, "may_start": request.user.has_perm(MAY_START)}
    if run.status == TrainingRun.Status.DONE:
        report = CatalogueReport(run)
        context |= {
            "report": report,
            "headline": headline(report),
            "matrix": confusion_matrix(report, whole="all" in request.GET),
            "has_changed": catalogue_changed_since(run),
        }
    else:
        context["progress"] = progress_of(run)
    return render(request, "dashboard/catalogue_check/run.html", context)


@require_safe
@never_cache
@for_staff_who(MAY_READ)
def run_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """How far the check is, for the page's script."""
    return JsonResponse(asdict(progress_of(_run(pk))))


@require_safe
@for_staff_who(MAY_READ)
def confused_examples(request: HttpRequest, pk: int, intent: str, given: str) -> HttpResponse:
    """The examples of one cell of the confusion matrix."""
    run = _run(pk)
    pair = CatalogueReport(run).pair(intent, given) if run.status == TrainingRun.Status.DONE else None
    if pair is None:
        raise Http404
    return render(request, "dashboard/catalogue_check/confused.html", {"run": run, "pair": pair})


@require_POST
@for_staff_who(MAY_START)
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop a check that waits or runs."""
    cancel_run(run_id=_run(pk).pk)
    return redirect("dashboard:catalogue-check-run", pk)


def _run(pk: int) -> TrainingRun:
    return get_object_or_404(TrainingRun.objects.select_related("requested_by"), pk=pk, kind=KIND)
