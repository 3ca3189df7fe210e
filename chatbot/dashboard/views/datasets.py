"""Datasets: previewed and frozen here, followed while that goes on, and what each of them holds."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from chatbot.conversations.admin.downloads import Download
from chatbot.conversations.models import Review
from chatbot.dashboard.dataset_page import DatasetPage
from chatbot.dashboard.forms import FreezeForm
from chatbot.dashboard.progress import progress_of
from chatbot.dashboard.views.access import for_staff_who
from chatbot.exceptions import Conflict, DatasetError, EvaluationError
from chatbot.intents.models import Example
from chatbot.training.curation.options import CurationOptions
from chatbot.training.dataset_downloads import DOWNLOADS, download
from chatbot.training.dataset_files import ROW_KINDS, open_dataset
from chatbot.training.dataset_samples import sample_rows
from chatbot.training.evaluation.gates import GateRules
from chatbot.training.evaluations import gate_rules
from chatbot.training.freezes import request_freeze, request_preview
from chatbot.training.models import Dataset, TrainingRun
from chatbot.training.runs import cancel_run
from chatbot.training.selectors import releases_by_dataset, releases_trained_on

logger = logging.getLogger(__name__)

MAY_READ, MAY_START = "training.view_dataset", "training.add_dataset"
# Rows hold what customers wrote, redacted as far as patterns reach.
MAY_TAKE = "training.download_dataset"
KINDS = (TrainingRun.Kind.PREVIEW, TrainingRun.Kind.FREEZE)
DATASETS_ON_A_PAGE = 25
ROWS_SHOWN = 6


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@for_staff_who(MAY_READ)
def index(request: HttpRequest) -> HttpResponse:
    """The datasets that there are, and the form that previews and freezes one."""
    form = FreezeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        if not request.user.has_perm(MAY_START):
            raise PermissionDenied
        if form.is_valid():
            return _start(request, form)
    datasets = Dataset.objects.select_related("created_by")
    page = Paginator(datasets, DATASETS_ON_A_PAGE).get_page(request.GET.get("page"))
    shown = list(page)
    releases = releases_by_dataset(shown)
    context = {
        "form": form,
        "may_start": request.user.has_perm(MAY_START),
        "has_reviews": Review.objects.exists(),
        "has_examples": Example.objects.filter(intent__is_active=True).exists(),
        "open_runs": TrainingRun.objects.filter(kind__in=KINDS, status__in=TrainingRun.OPEN),
        "page": page,
        "datasets": [(dataset, releases[dataset.pk]) for dataset in shown],
    }
    return render(request, "dashboard/datasets/index.html", context)


def _start(request: HttpRequest, form: FreezeForm) -> HttpResponse:
    is_freeze = request.POST.get("do") == "freeze"
    try:
        if is_freeze:
            note = form.cleaned_data["note"]
            run = request_freeze(options=form.options, note=note, requested_by=cast(User, request.user))
        else:
            run = request_preview(options=form.options, requested_by=cast(User, request.user))
    except Conflict:
        what = "dataset was being frozen" if is_freeze else "preview was being made"
        messages.warning(request, f"A {what} already; only one is at a time.")
        return redirect("dashboard:datasets")
    return redirect("dashboard:dataset-run", run.pk)


@require_safe
@never_cache
@for_staff_who(MAY_READ)
def page(request: HttpRequest, name: str) -> HttpResponse:
    """One dataset: what is in it and what is not, where it comes from and what came of it."""
    dataset = get_object_or_404(Dataset.objects.select_related("created_by"), name=name)
    may_take = request.user.has_perm(MAY_TAKE)
    damage, samples = "", []
    try:
        folder = open_dataset(dataset)
        if may_take:
            samples = [(file, folder.count(file), sample_rows(folder, file, ROWS_SHOWN)) for file in ROW_KINDS]
    except DatasetError as error:
        logger.error("%s: %s", dataset, error)
        damage = str(error)
    context = {
        "dataset": dataset,
        "page": DatasetPage(dataset.manifest, _rules()),
        "lineage": dataset.manifest["lineage"],
        "releases": releases_trained_on(dataset),
        "evaluations": dataset.evaluations.select_related("candidate"),
        "may_take": may_take,
        "files": [(file, dataset.manifest["files"].get(file)) for file in DOWNLOADS],
        "samples": samples,
        "damage": damage,
    }
    return render(request, "dashboard/datasets/page.html", context)


@require_safe
@never_cache
@for_staff_who(MAY_TAKE)
def download_file(request: HttpRequest, name: str, file: str) -> HttpResponseBase:
    """One of its files, noted in the audit log."""
    dataset = get_object_or_404(Dataset, name=name)
    if file not in DOWNLOADS:
        raise Http404
    if request.method == "HEAD":  # takes nothing
        return HttpResponse(content_type="application/x-ndjson; charset=utf-8")
    try:
        pieces = download(dataset=dataset, file=file, actor=cast(User, request.user))
    except DatasetError as error:
        messages.error(request, str(error))
        return redirect("dashboard:dataset", dataset.name)
    content_type = "application/json" if file.endswith(".json") else "application/x-ndjson"
    return Download(pieces, filename=f"{dataset.name}.{file}", content_type=f"{content_type}; charset=utf-8")


@require_safe
@never_cache
@for_staff_who(MAY_READ)
def run_page(request: HttpRequest, pk: int) -> HttpResponse:
    """A preview or a freeze: how far it is, why it ended, what it counted. A frozen dataset has a page of its own."""
    run = _run(pk)
    # Also where it was cancelled in the very moment that it was done.
    frozen = Dataset.objects.filter(run=run).first()
    if frozen and not run.is_open:
        return redirect("dashboard:dataset", frozen.name)
    context = {
        "run": run,
        "is_freeze": run.kind == TrainingRun.Kind.FREEZE,
        "progress": progress_of(run),
        "may_start": request.user.has_perm(MAY_START),
        "options": CurationOptions.read(run.parameters),
    }
    if run.status == TrainingRun.Status.DONE and run.kind == TrainingRun.Kind.PREVIEW:
        context["page"] = DatasetPage(run.result, _rules())
        context["form"] = FreezeForm(options=CurationOptions.read(run.parameters))
    return render(request, "dashboard/datasets/run.html", context)


@require_safe
@never_cache
@for_staff_who(MAY_READ)
def run_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """How far it is, for the page's script."""
    return JsonResponse(asdict(progress_of(_run(pk))))


@require_POST
@for_staff_who(MAY_START)
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop a preview or a freeze that waits or runs."""
    cancel_run(run_id=_run(pk).pk)
    return redirect("dashboard:dataset-run", pk)


def _run(pk: int) -> TrainingRun:
    return get_object_or_404(TrainingRun.objects.select_related("requested_by"), pk=pk, kind__in=KINDS)


def _rules() -> GateRules:
    try:
        return gate_rules()
    except EvaluationError as error:
        # It stops evaluations, and is said there; a page that only counts does without.
        logger.error("the gate's rules cannot be read: %s", error)
        return GateRules()
