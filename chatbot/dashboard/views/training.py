"""Training: launched here, followed here while it runs, and what came of it."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from chatbot.dashboard.launch_forms import FORMS, GeneratorLaunchForm, LaunchForm
from chatbot.dashboard.progress import progress_of
from chatbot.dashboard.selectors import named_metrics
from chatbot.dashboard.views.access import for_staff_who
from chatbot.exceptions import Conflict
from chatbot.inference.weights import MANIFEST
from chatbot.intents.models import Example
from chatbot.releases.models import Kind, Release
from chatbot.releases.preparation import generator_directory
from chatbot.training.models import TrainingRun
from chatbot.training.promotions import standing_of
from chatbot.training.runs import cancel_run, request_run
from chatbot.training.selectors import curve_of, dataset_of, trainings
from chatbot.training.trainers.generator_recipe import CHOSEN

MAY_READ, MAY_START = "training.view_trainingrun", "training.add_trainingrun"
RUNS_ON_A_PAGE = 25
# What the button without scripts says that only wants to know.
ONLY_ESTIMATE = "estimate"


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@for_staff_who(MAY_READ)
def index(request: HttpRequest) -> HttpResponse:
    """Earlier trainings, and the form that launches one of the kind that the address names."""
    kind = _kind(request)
    wanted = {"dataset": request.GET["dataset"]} if "dataset" in request.GET else None
    form = FORMS[kind](request.POST if request.method == "POST" else None, initial=wanted)
    if request.method == "POST":
        if not request.user.has_perm(MAY_START):
            raise PermissionDenied
        if form.is_valid() and request.POST.get("do") != ONLY_ESTIMATE:
            return _launch(request, form)
    runs = trainings()
    context = {
        "form": form,
        "kind": kind,
        "kinds": [(each.value, each.label) for each in Kind],
        "may_start": request.user.has_perm(MAY_START),
        "obstacle": _obstacle(form),
        "open_run": runs.filter(kind=kind, status__in=TrainingRun.OPEN).first(),
        "page": Paginator(runs, RUNS_ON_A_PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "dashboard/training/index.html", context)


@require_POST
@for_staff_who(MAY_START)
def estimate(request: HttpRequest) -> HttpResponse:
    """What the training that stands in the form would take, for the page's script; nothing where the form is wrong."""
    form = FORMS[_kind(request)](request.POST)
    return JsonResponse({"words": form.estimate_words if form.is_valid() else ""})


def _kind(request: HttpRequest) -> str:
    kind = request.GET.get("kind", Kind.CLASSIFIER)
    if kind not in FORMS:
        raise Http404
    return kind


def _obstacle(form: LaunchForm) -> str:
    """Why nothing can be trained: the name of what is missing, for the page to say what to do; empty where all is."""
    if isinstance(form, GeneratorLaunchForm):
        if not (generator_directory() / MANIFEST).is_file() and len(form["base"]) == 1:
            return "base"
        return "" if form.has_rows else "replies"
    return "" if Example.objects.filter(intent__is_active=True).exists() else "examples"


def _launch(request: HttpRequest, form: LaunchForm) -> HttpResponse:
    try:
        run = request_run(kind=form.kind, parameters=form.parameters(), requested_by=cast(User, request.user))
    except Conflict:
        messages.warning(request, f"A {form.kind.label.lower()} was being trained already; only one is at a time.")
        return redirect(f"{reverse('dashboard:training')}?kind={form.kind}")
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
        "dataset": dataset_of(run),
        "numbers": [
            (GeneratorLaunchForm.base_fields[name].label, run.parameters[name])
            for name in CHOSEN
            if run.parameters.get(name)
        ],
        **(_next_steps(run.release) if run.release else {}),
    }
    return render(request, "dashboard/training/run.html", context)


def _next_steps(release: Release) -> dict[str, Any]:
    """Where the release stands on its way to customers."""
    judging = TrainingRun.objects.filter(
        kind=TrainingRun.Kind.EVALUATION, status__in=TrainingRun.OPEN, parameters__candidate=release.pk
    )
    losses = [release.metrics.get(name) for name in ("loss_before", "loss_after")]
    return {
        "evaluation": release.evaluations.defer("report").first(),
        "judging": judging.first(),
        "is_current": standing_of(release).is_current,
        "losses": losses if all(losses) else [],
    }


@require_POST
@for_staff_who(MAY_START)
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop a training that waits or runs."""
    cancel_run(run_id=_run(pk).pk)
    return redirect("dashboard:training-run", pk)


def _run(pk: int) -> TrainingRun:
    runs = TrainingRun.objects.filter(kind__in=TrainingRun.TRAININGS).select_related("requested_by", "release")
    return get_object_or_404(runs, pk=pk)
