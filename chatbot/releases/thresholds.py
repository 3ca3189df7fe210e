"""Another out-of-scope threshold for a classifier: releases never change, so it becomes a release of its own."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User

from chatbot.exceptions import ReleaseError
from chatbot.inference.classifier import IntentClassifier
from chatbot.releases.artifacts import MANIFEST, verify_release_folder
from chatbot.releases.models import Kind, Release
from chatbot.releases.selectors import release_directory
from chatbot.releases.services import store_release


@dataclass(frozen=True, slots=True)
class ThresholdCost:
    """What a threshold costs and saves on held-out rows, all as shares; None where it was not measured.

    `rejected`: in-scope texts handed on instead of answered. `wrong_avoided`: wrong answers no longer given.
    `answered_accuracy`: how often what is still answered is right. `caught`: out-of-scope texts noticed.
    """

    threshold: float
    rejected: float
    wrong_avoided: float | None
    answered_accuracy: float
    caught: float | None
    in_force: bool


def threshold_costs(release: Release) -> list[ThresholdCost]:
    """The thresholds measured when the release was trained, the laxest first; the one nearest to its own is in force.

    Empty for a release of another kind or one of which nothing could be measured.
    """
    rows: list[dict[str, Any]] = release.metrics.get("thresholds", [])
    if release.kind != Kind.CLASSIFIER or not rows:
        return []
    served = release.metrics.get("in_scope_rejected", 0.0)
    nearest = min(range(len(rows)), key=lambda index: abs(rows[index]["rejected"] - served))
    return [ThresholdCost(**row, in_force=index == nearest) for index, row in enumerate(rows)]


def store_with_threshold(*, release: Release, threshold: float, created_by: User | None = None) -> Release:
    """A copy of the classifier release that decides by another of its measured thresholds. Promotes nothing.

    Raises ReleaseError where the threshold is none of them, InvalidArtifact where the release's files are not whole.
    """
    costs = threshold_costs(release)
    if not costs:
        raise ReleaseError(f"{release.name} has no measured thresholds to choose from.")
    cost = next((cost for cost in costs if cost.threshold == threshold), None)
    if cost is None:
        raise ReleaseError(f"{threshold} is none of the thresholds measured for {release.name}.")
    directory = release_directory(release)
    verify_release_folder(directory, manifest_digest=release.manifest_digest, kind=release.kind)
    classifier = IntentClassifier.load(directory)
    moved = replace(classifier, out_of_scope=replace(classifier.out_of_scope, threshold=threshold))

    def write(draft: Path) -> None:
        shutil.copytree(directory, draft, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
        moved.save(draft)

    manifest = release.manifest
    return store_release(
        kind=release.kind,
        write=write,
        base=release.base,
        dataset_digest=release.dataset_digest,
        configuration={**manifest.get("configuration", {}), "threshold_of": release.name, "threshold": threshold},
        seed=manifest.get("seed"),
        metrics={
            **release.metrics,
            "in_scope_rejected": cost.rejected,
            "oos_recall": cost.caught,
            "in_scope_accuracy_after_rejection": round(cost.answered_accuracy * (1 - cost.rejected), 4),
        },
        created_by=created_by,
    )


def affordable_threshold(release: Release, max_rejected: float) -> float:
    """The strictest measured threshold that hands on at most this share of in-scope texts. Raises ReleaseError."""
    fitting = [cost.threshold for cost in threshold_costs(release) if cost.rejected <= max_rejected]
    if not fitting:
        raise ReleaseError(f"{release.name} has no measured threshold that hands on so little.")
    return fitting[-1]
