"""Training: launched here, followed here while it runs, and what came of it."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from chatbot.dashboard.forms import ClassifierTrainingForm
from chatbot.dashboard.progress import progress_of
from chatbot.dashboard.selectors import named_metrics
from chatbot.dashboard.views.access import for_staff_who
from chatbot.exceptions import Conflict
from chatbot.intents.models import Example
from chatbot.training.estimates import estimate_classifier
from chatbot.training.models import TrainingRun
from chatbot.training.runs import cancel_run, request_run
from chatbot.training.selectors import curve_of, trainings
from chatbot.training.trainers import PRESETS

MAY_READ, MAY_START = "training.view_trainingrun", "training.add_trainingrun"
RUNS_ON_A_PAGE = 25


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@for_staff_who(MAY_READ)
def index(request: HttpRequest) -> HttpResponse:
    """Earlier trainings, and the form that launches one."""
    form = ClassifierTrainingForm(
        request.POST if request.method == "POST" else None,
        estimates={preset: estimate_classifier(preset) for preset in PRESETS},
    )
    if request.method == "POST":
        if not request.user.has_perm(MAY_START):
            raise PermissionDenied
        if form.is_valid():
            return _launch(request, form)
    runs = trainings()
    context = {
        "form": form,
        "may_start": request.user.has_perm(MAY_START),
        "has_examples": Example.objects.filter(intent__is_active=True).exists(),
        "open_run": runs.filter(kind=TrainingRun.Kind.CLASSIFIER, status__in=TrainingRun.OPEN).first(),
        "page": Paginator(runs, RUNS_ON_A_PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "dashboard/training/index.html", context)


def _launch(request: HttpRequest, form: ClassifierTrainingForm) -> HttpResponse:
    try:
        run = request_run(
            kind=TrainingRun.Kind.CLASSIFIER,
            parameters=form.cleaned_data,
            requested_by=cast(User, request.user),
        )
    except Conflict:
        messages.warning(request, "A classifier was being trained already; only one is at a time.")
        return redirect("dashboard:training")
    return redirect("dashboard:training-run", run.pk)


@require_safe
@never_cache
@for_staff_who(MAY_READ)
def run_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One training: how far it is, why it ended, or the release that came of it."""
    run = _run(pk)
    context = {
        "run": run,
        "socket": f"/ws/training/{run.pk}/",
        "may_start": request.user.has_perm(MAY_START),
        "progress": progress_of(run),
        "curve": curve_of(run),
        "metrics": named_metrics(run.release) if run.release else [],
    }
    return render(request, "dashboard/training/run.html", context)


@require_POST
@for_staff_who(MAY_START)
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop a training that waits or runs."""
    cancel_run(run_id=_run(pk).pk)
    return redirect("dashboard:training-run", pk)


def _run(pk: int) -> TrainingRun:
    runs = TrainingRun.objects.filter(kind__in=TrainingRun.TRAININGS).select_related("requested_by", "release")
    return get_object_or_404(runs, pk=pk)
