"""Blind votes between two generators' replies, one pair at a time."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from chatbot.dashboard.views.access import for_staff_who
from chatbot.exceptions import Conflict
from chatbot.training.models import Evaluation, ReplyPair
from chatbot.training.votes import next_ballot, vote

MAY_VOTE = "training.add_replyvote"


@require_safe
@never_cache
@for_staff_who(MAY_VOTE)
def ballot(request: HttpRequest, pk: int) -> HttpResponse:
    """The next pair that this member of staff has not judged. What the votes say so far stands on the evaluation."""
    evaluation = get_object_or_404(Evaluation, pk=pk)
    voter = cast(User, request.user)
    pairs = evaluation.pairs.count()
    context = {
        "evaluation": evaluation,
        "ballot": next_ballot(evaluation=evaluation, voter=voter),
        "pairs": pairs,
        "judged": evaluation.pairs.filter(votes__voter=voter).count(),
    }
    return render(request, "dashboard/evaluations/ballot.html", context)


@require_POST
@for_staff_who(MAY_VOTE)
def cast_vote(request: HttpRequest, pk: int, pair: int) -> HttpResponse:
    """Store the vote and go on to the next pair."""
    judged = get_object_or_404(ReplyPair, pk=pair, evaluation=pk)
    try:
        vote(pair=judged, voter=cast(User, request.user), better=request.POST.get("better", ""))
    except Conflict as error:
        messages.warning(request, str(error))
    except ValueError:
        messages.error(request, "Choose the better reply, or that neither is.")
    return redirect("dashboard:ballot", pk)
