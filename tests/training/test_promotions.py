"""Promotion of candidates: the gate decides, somebody's word can outweigh it, and both are kept."""

from __future__ import annotations

import pytest
from auditlog.models import LogEntry
from django.core.management import CommandError, call_command

from chatbot.exceptions import GateClosed
from chatbot.releases.models import Kind, Promotion, Release
from chatbot.releases.selectors import current_release
from chatbot.releases.services import promote_release, rollback
from chatbot.training.models import Evaluation
from chatbot.training.promotions import promote_candidate, standing_of
from tests.releases.conftest import shelf
from tests.releases.shelf import store_classifier

__all__ = ["shelf"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shelf")]

FELL = {"rule": "intents", "title": "t", "outcome": "failed", "reason": "F1 fell for refund (-9.0).", "blocks": True}
SLOW = {"rule": "latency", "title": "t", "outcome": "unmeasurable", "reason": "Nobody timed it.", "blocks": False}


def evaluated(candidate: Release, baseline: Release | None, *gates: dict[str, object]) -> Evaluation:
    return Evaluation.objects.create(
        candidate=candidate,
        baseline=baseline,
        source="rows",
        rows_digest="0" * 64,
        gates=list(gates),
        passed=not any(gate["blocks"] for gate in gates),
    )


@pytest.fixture
def current() -> Release:
    release = store_classifier()
    promote_release(release=release, reason="first")
    return release


def test_the_first_of_its_kind_needs_no_evaluation() -> None:
    release = store_classifier()
    assert standing_of(release).obstacles == ()
    promote_candidate(release=release, reason="first")
    assert current_release(Kind.CLASSIFIER) == release
    assert standing_of(release).is_current


def test_without_an_evaluation_beside_the_current_one_the_gate_is_closed(current: Release) -> None:
    candidate, other = store_classifier(), store_classifier()
    evaluated(candidate, other)
    evaluated(candidate, None)
    with pytest.raises(GateClosed, match=f"not evaluated beside {current}"):
        promote_candidate(release=candidate, reason="better")
    assert current_release(Kind.CLASSIFIER) == current


def test_a_candidate_that_passed_is_promoted_and_no_override_is_kept(current: Release) -> None:
    candidate = store_classifier()
    evaluated(candidate, current, SLOW)
    promotion = promote_candidate(release=candidate, reason="better", override="just in case")
    assert (promotion.release, promotion.previous, promotion.override) == (candidate, current, "")


def test_what_failed_is_told_and_an_override_is_kept_and_logged(current: Release) -> None:
    candidate = store_classifier()
    evaluated(candidate, current, FELL, SLOW)
    with pytest.raises(GateClosed, match=r"F1 fell for refund \(-9\.0\)\.$"):
        promote_candidate(release=candidate, reason="better", override="  ")
    promotion = promote_candidate(release=candidate, reason="better", override=" refund is retired ")
    assert promotion.override == "refund is retired"
    entry = LogEntry.objects.get_for_object(promotion).get()
    assert entry.changes_dict["override"][1] == "refund is retired"


def test_the_newest_evaluation_counts(current: Release) -> None:
    candidate = store_classifier()
    evaluated(candidate, current)
    evaluated(candidate, current, FELL)
    assert standing_of(candidate).obstacles == (FELL["reason"],)
    evaluated(candidate, current)
    assert standing_of(candidate).obstacles == ()


def test_an_evaluation_beside_what_was_current_no_longer_counts(current: Release) -> None:
    candidate, another = store_classifier(), store_classifier()
    evaluated(candidate, current)
    promote_release(release=another, reason="meanwhile")
    with pytest.raises(GateClosed, match=f"beside {another}"):
        promote_candidate(release=candidate, reason="better")


def test_going_back_needs_no_evaluation(current: Release) -> None:
    candidate = store_classifier()
    evaluated(candidate, current)
    promote_candidate(release=candidate, reason="better")
    assert rollback(kind=Kind.CLASSIFIER, reason="worse").release == current


def test_the_command_goes_through_the_gate(current: Release, capsys: pytest.CaptureFixture[str]) -> None:
    candidate = store_classifier()
    with pytest.raises(CommandError, match=r"not evaluated beside.*evaluate classifier-0002.*--override"):
        call_command("promote", candidate.name, reason="better")
    assert Promotion.objects.count() == 1
    call_command("promote", candidate.name, reason="better", override="we tried it by hand")
    assert capsys.readouterr().out.strip() == f"{candidate} is current (before: {current})."
    assert Promotion.objects.latest("id").override == "we tried it by hand"
    with pytest.raises(CommandError, match=r"There is no release .nonsense.\. There are: classifier-0002"):
        call_command("promote", "nonsense", reason="x")
