"""Promotion of candidates: what a release's evaluation says of it decides whether it may be made current.

Base models and the first of a kind have nothing to be compared with, and what has served before needs no leave to
return: they are promoted and rolled back by `releases.services` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User

from chatbot.exceptions import GateClosed
from chatbot.releases.models import Promotion, Release
from chatbot.releases.selectors import current_release
from chatbot.releases.services import promote_release
from chatbot.training.models import Evaluation

# Of promotions by a command that says “promote” in so many words, without an evaluation.
ASKED_FOR = "Asked for at the terminal with --promote, without an evaluation."


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a release may follow the current one as it is. `obstacles` are sentences; none means that it may.

    `evaluation` is the newest one beside the release that is current now; None where there is none.
    """

    release: Release
    current: Release | None
    evaluation: Evaluation | None
    obstacles: tuple[str, ...]

    @property
    def is_current(self) -> bool:
        """Whether it is the release that is served."""
        return self.current is not None and self.current.pk == self.release.pk

    @property
    def gates(self) -> list[dict[str, Any]]:
        """What each rule said, as `evaluation.gates.GateResult` has it."""
        return self.evaluation.gates if self.evaluation else []


def standing_of(release: Release) -> Standing:
    """How the release stands to the one that is current now."""
    current = current_release(release.kind)
    return _standing(release, current, _newest(release, current))


def standings(kind: str, *, limit: int) -> list[Standing]:
    """The newest releases of a kind, each as `standing_of` tells of it; their evaluations without the whole report."""
    current = current_release(kind)
    releases = list(Release.objects.filter(kind=kind)[:limit])
    evaluations = Evaluation.objects.filter(candidate__in=releases).defer("report").order_by("-id")
    found: dict[int, Evaluation] = {}
    for evaluation in evaluations:
        is_beside = current is None or current.pk in (evaluation.candidate_id, evaluation.baseline_id)
        if is_beside:
            found.setdefault(evaluation.candidate_id, evaluation)
    return [_standing(release, current, found.get(release.pk)) for release in releases]


def promote_candidate(
    *, release: Release, reason: str, promoted_by: User | None = None, override: str = ""
) -> Promotion:
    """Make a release current, if its gate lets it or somebody says in `override` why it should be all the same.

    An override where nothing stands in the way is not kept. Raises GateClosed, InvalidArtifact, ReleaseError.
    """

    def leave(current: Release | None) -> str:
        obstacles = _standing(release, current, _newest(release, current)).obstacles
        if obstacles and not override.strip():
            raise GateClosed(f"{release} may not follow {current}: {' '.join(obstacles)}")
        return override.strip() if obstacles else ""

    return promote_release(release=release, reason=reason, promoted_by=promoted_by, leave=leave)


def _standing(release: Release, current: Release | None, evaluation: Evaluation | None) -> Standing:
    if current is None or current.pk == release.pk:
        return Standing(release, current, evaluation, ())
    if evaluation is None:
        return Standing(release, current, None, (f"It was not evaluated beside {current}.",))
    blocking = tuple(gate["reason"] for gate in evaluation.gates if gate["blocks"])
    return Standing(release, current, evaluation, blocking)


def _newest(release: Release, current: Release | None) -> Evaluation | None:
    evaluations = Evaluation.objects.filter(candidate=release)
    if current is not None and current.pk != release.pk:
        evaluations = evaluations.filter(baseline=current)
    return evaluations.order_by("-id").first()
