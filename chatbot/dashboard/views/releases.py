"""Releases: which is served by whom, which could follow, and the steps from one to the other."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from chatbot.conversations import shadow
from chatbot.dashboard.evaluation_page import EvaluationPage
from chatbot.dashboard.forms import PromotionForm, RollbackForm
from chatbot.dashboard.selectors import named_metrics
from chatbot.dashboard.served import replies_workers, workers_serving
from chatbot.dashboard.views.access import for_staff_who
from chatbot.exceptions import Conflict, FrontdeskError
from chatbot.releases.models import Kind, Promotion, Release
from chatbot.releases.selectors import current_promotion, older_promoted_release
from chatbot.releases.services import rollback
from chatbot.training.erasure import digests_before_erasures
from chatbot.training.evaluation.intervals import wilson
from chatbot.training.evaluations import request_evaluation
from chatbot.training.models import Dataset, TrainingRun
from chatbot.training.promotions import Standing, promote_candidate, standing_of, standings

MAY_READ, MAY_PROMOTE, MAY_EVALUATE = "releases.view_release", "releases.add_promotion", "training.add_evaluation"
SHOWN, PROMOTIONS_SHOWN = 12, 10
FOLLOW = "Workers follow within seconds; turns that are being answered end with the release that began them."


@require_safe
@never_cache
@for_staff_who(MAY_READ)
def index(request: HttpRequest) -> HttpResponse:
    """What is served, and the candidates."""
    workers = replies_workers()
    open_runs = TrainingRun.objects.filter(kind=TrainingRun.Kind.EVALUATION, status__in=TrainingRun.OPEN)
    context = {
        "kinds": [_kind(kind, workers) for kind in Kind],
        "datasets": Dataset.objects.only("name")[:SHOWN],
        "open_run": open_runs.first(),
        "shadow": _shadow(),
        "erased": digests_before_erasures(),
        "promotions": Promotion.objects.select_related("release", "previous", "promoted_by")[:PROMOTIONS_SHOWN],
        "may_promote": request.user.has_perm(MAY_PROMOTE),
        "may_evaluate": request.user.has_perm(MAY_EVALUATE),
    }
    return render(request, "dashboard/releases/index.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@for_staff_who(MAY_PROMOTE)
def promote(request: HttpRequest, pk: int) -> HttpResponse:
    """What would change, and the button that changes it."""
    standing = standing_of(get_object_or_404(Release, pk=pk))
    if standing.is_current:
        messages.info(request, f"{standing.release} is current already.")
        return redirect("dashboard:releases")
    form = PromotionForm(request.POST if request.method == "POST" else None, standing=standing)
    if form.is_valid():
        try:
            promotion = promote_candidate(
                release=standing.release,
                reason=form.cleaned_data["reason"],
                override=form.cleaned_data.get("override", ""),
                promoted_by=cast(User, request.user),
            )
        except FrontdeskError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{promotion.release} is current. {FOLLOW}")
            return redirect("dashboard:releases")
    return render(request, "dashboard/releases/promote.html", _change(standing) | {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@for_staff_who(MAY_PROMOTE)
def go_back(request: HttpRequest, kind: str) -> HttpResponse:
    """Back to the release that was current before."""
    promotion = current_promotion(kind) if kind in Kind.values else None
    older = older_promoted_release(promotion.release) if promotion else None
    if promotion is None or older is None:
        raise Http404
    # Sent twice, or by two people at once, it must not go back two releases.
    if request.POST.get("to", str(older.pk)) != str(older.pk):
        messages.warning(request, "What is current has changed meanwhile, so nothing was done.")
        return redirect("dashboard:releases")
    form = RollbackForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            done = rollback(kind=kind, reason=form.cleaned_data["reason"], promoted_by=cast(User, request.user))
        except FrontdeskError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{done.release} is current again. {FOLLOW}")
            return redirect("dashboard:releases")
    context = {"form": form, "promotion": promotion, "older": older, "kept_by": _keeping(kind, older.name)}
    return render(request, "dashboard/releases/rollback.html", context)


@require_POST
@for_staff_who(MAY_EVALUATE)
def evaluate(request: HttpRequest, pk: int) -> HttpResponse:
    """Have a release judged beside the current one."""
    release = get_object_or_404(Release, pk=pk)
    wanted = request.POST.get("dataset", "")
    dataset = Dataset.objects.filter(pk=wanted).first() if wanted.isdecimal() else None
    if dataset is None:
        messages.error(request, "Choose the dataset to judge on.")
        return redirect("dashboard:releases")
    try:
        run = request_evaluation(candidate=release, dataset=dataset, requested_by=cast(User, request.user))
    except Conflict:
        messages.warning(request, "An evaluation was running already; only one runs at a time.")
        return redirect("dashboard:releases")
    return redirect("dashboard:evaluation-run", run.pk)


@require_POST
@for_staff_who(MAY_PROMOTE)
def start_shadow(request: HttpRequest, pk: int) -> HttpResponse:
    """Have a candidate classifier read along silently."""
    release = get_object_or_404(Release, pk=pk)
    try:
        shadow.start_trial(release=release, started_by=cast(User, request.user))
    except FrontdeskError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{release} reads along from now on. Customers hear nothing of it.")
    return redirect("dashboard:releases")


@require_POST
@for_staff_who(MAY_PROMOTE)
def stop_shadow(request: HttpRequest) -> HttpResponse:
    """End the trial; what was said stays."""
    if shadow.stop_trial():
        messages.success(request, "The trial is over. What the candidate said is kept.")
    return redirect("dashboard:releases")


def _shadow() -> dict[str, Any] | None:
    """The trial that runs, and how often the candidate agrees so far."""
    trial = shadow.open_trial()
    if trial is None:
        return None
    agreement = shadow.agreement_of(trial.release)
    return {"trial": trial, "agreement": agreement, "rate": wilson(agreement.agreeing, agreement.turns)}


def _kind(kind: Kind, live: list[dict[str, Any]] | None) -> dict[str, Any]:
    listed = standings(kind, limit=SHOWN)
    promotion = current_promotion(kind)
    workers = None if live is None else workers_serving(kind, live)
    return {
        "name": kind.value,
        "label": kind.label,
        "promotion": promotion,
        "metrics": named_metrics(promotion.release) if promotion else [],
        "older": older_promoted_release(promotion.release) if promotion else None,
        "workers": workers,
        "refusing": [worker for worker in workers or () if worker.refused],
        "candidates": [standing for standing in listed if not standing.is_current],
    }


def _change(standing: Standing) -> dict[str, Any]:
    """What a promotion would change, for the page that asks."""
    page = EvaluationPage(standing.evaluation) if standing.evaluation else None
    return {
        "standing": standing,
        "page": page,
        "erased": digests_before_erasures(),
        "metrics": named_metrics(standing.release),
        "current_metrics": named_metrics(standing.current) if standing.current else [],
    }


def _keeping(kind: str, name: str) -> int:
    return sum(worker.kept == name for worker in workers_serving(kind, replies_workers() or []))
