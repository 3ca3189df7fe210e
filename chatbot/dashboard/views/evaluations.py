"""Evaluations: followed while they run, read once they are done."""

from __future__ import annotations

import json
from dataclasses import asdict

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from chatbot.dashboard.evaluation_page import CONFIDENCE, MARGIN, EvaluationPage
from chatbot.dashboard.progress import progress_of
from chatbot.dashboard.views.access import for_staff_who
from chatbot.releases.models import Release
from chatbot.training.models import Evaluation, TrainingRun
from chatbot.training.promotions import standing_of
from chatbot.training.runs import cancel_run
from chatbot.training.votes import tally

MAY_READ, MAY_START, MAY_PROMOTE = "training.view_evaluation", "training.add_evaluation", "releases.add_promotion"


@require_safe
@never_cache
@for_staff_who(MAY_READ)
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """One evaluation, whole."""
    evaluation = _evaluation(pk)
    standing = standing_of(evaluation.candidate)
    context = {
        "evaluation": evaluation,
        "page": EvaluationPage(evaluation),
        "pairs": evaluation.pairs.count(),
        "tally": tally(evaluation),
        "may_promote": request.user.has_perm(MAY_PROMOTE),
        # What it says counts only as long as nothing newer does.
        "is_what_counts": standing.evaluation == evaluation and not standing.is_current,
        "is_current": standing.is_current,
        "confidence": CONFIDENCE,
        "margin": MARGIN,
    }
    return render(request, "dashboard/evaluations/page.html", context)


@require_safe
@never_cache
@for_staff_who(MAY_READ)
def download(request: HttpRequest, pk: int) -> HttpResponse:
    """The report as a file, as `manage.py evaluate --json` prints it."""
    evaluation = _evaluation(pk)
    content = {
        "evaluation": evaluation.pk,
        "created_at": evaluation.created_at.isoformat(),
        "passed": evaluation.passed,
        "gates": evaluation.gates,
        **evaluation.report,
    }
    response = HttpResponse(
        json.dumps(content, ensure_ascii=False, indent=1) + "\n", content_type="application/json; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="evaluation-{evaluation.pk}.json"'
    return response


@require_safe
@never_cache
@for_staff_who(MAY_READ)
def run_page(request: HttpRequest, pk: int) -> HttpResponse:
    """An evaluation that waits, runs or failed; once it is done, its page."""
    run = _run(pk)
    if run.status == TrainingRun.Status.DONE:
        return redirect("dashboard:evaluation", run.result["evaluation"])
    context = {
        "run": run,
        "candidate": Release.objects.filter(pk=run.parameters["candidate"]).first(),
        "progress": progress_of(run),
        "may_start": request.user.has_perm(MAY_START),
    }
    return render(request, "dashboard/evaluations/run.html", context)


@require_safe
@never_cache
@for_staff_who(MAY_READ)
def run_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """How far it is, for the page's script."""
    return JsonResponse(asdict(progress_of(_run(pk))))


@require_POST
@for_staff_who(MAY_START)
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop an evaluation that waits or runs."""
    cancel_run(run_id=_run(pk).pk)
    return redirect("dashboard:evaluation-run", pk)


def _evaluation(pk: int) -> Evaluation:
    related = ("candidate", "baseline", "dataset", "created_by")
    return get_object_or_404(Evaluation.objects.select_related(*related), pk=pk)


def _run(pk: int) -> TrainingRun:
    runs = TrainingRun.objects.filter(kind=TrainingRun.Kind.EVALUATION).select_related("requested_by")
    return get_object_or_404(runs, pk=pk)
