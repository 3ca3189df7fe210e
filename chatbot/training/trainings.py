"""Training runs that end with a release: what the dashboard's form asked for, done by the training worker."""

from __future__ import annotations

import resource
import sys
from typing import TYPE_CHECKING, Any

from chatbot.exceptions import Conflict
from chatbot.releases.models import Release
from chatbot.releases.selectors import release_named
from chatbot.training.evaluations import request_evaluation
from chatbot.training.freezes import freeze_for_run
from chatbot.training.generators import dataset_material, train_generator
from chatbot.training.models import Dataset, TrainingRun
from chatbot.training.selectors import dataset_named, dataset_to_judge_on
from chatbot.training.services import train_catalogue_classifier, train_dataset_classifier
from chatbot.training.stages import FREEZING, READING, overall_share, stages_of
from chatbot.training.trainers.generator_recipe import CHOSEN, PRESETS

if TYPE_CHECKING:
    from chatbot.inference.weights import Progress
    from chatbot.training.curves import Point, Record
    from chatbot.training.run_lease import RunLease

NOT_JUDGED = "Not judged yet, since another evaluation is under way; start it on the page Releases."
NOTHING_TO_JUDGE_ON = "Not judged: no dataset has held-out rows for it."


def train_requested_classifier(run: TrainingRun, lease: RunLease) -> dict[str, Any]:
    """Train by the run's parameters: preset and seed, on a `dataset` by name, on one that is frozen for it (`freeze`),
    or without either on the catalogue as it is. With `evaluate` the release is judged afterwards, as a run of its own.

    Gives `release`, `dataset_digest` and `result`.

    Raises ClassifierError where the examples do not suffice, DatasetError where the dataset is gone or damaged or there
    is nothing to freeze, ModelFilesError where the encoder is missing.
    """
    # An attempt that was lost had other points at other steps, and this one begins anew.
    run.points.all().delete()
    progress = _staged(run, lease)
    dataset = _dataset(run, progress)
    wanted: dict[str, Any] = {
        "preset": run.parameters["preset"],
        "seed": run.parameters["seed"],
        "progress": progress,
        "record": lease.record,
        "created_by": run.requested_by,
    }
    if dataset is not None:
        release = train_dataset_classifier(dataset=dataset, **wanted)
    else:
        release = train_catalogue_classifier(**wanted)
    return _kept(run, lease, release, dataset)


def train_requested_generator(run: TrainingRun, lease: RunLease) -> dict[str, Any]:
    """Train by the run's parameters: preset, seed, `dataset` or `freeze` and `evaluate` as for a classifier, and where
    they are given `base` (a release's name), adapt, and the numbers of the recipe that people may choose.

    A run whose worker was killed goes on from its checkpoint. Gives `release`, `dataset_digest` and `result`.

    Raises DatasetError where the dataset is gone, damaged or without replies; GeneratorError, ModelFilesError,
    ReleaseError where the base is gone.
    """
    wanted, progress = run.parameters, _staged(run, lease)
    dataset = _dataset(run, progress)
    assert dataset is not None, "a generator learns from a dataset"
    progress(f"{READING.name}: {dataset.name}", 0.0)
    material = dataset_material(dataset, adapt=bool(wanted.get("adapt")), seed=wanted["seed"])
    given = {name: wanted[name] for name in CHOSEN if wanted.get(name)}
    release = train_generator(
        material=material,
        recipe=PRESETS[wanted["preset"]].with_numbers(**given),
        seed=wanted["seed"],
        base=release_named(wanted["base"]) if wanted.get("base") else None,
        progress=progress,
        record=_noted(lease),
        created_by=run.requested_by,
    )
    return _kept(run, lease, release, dataset)


def _dataset(run: TrainingRun, progress: Progress) -> Dataset | None:
    """The dataset that the run names or has frozen; None where it asks for the catalogue as it is."""
    if run.parameters.get("freeze"):

        def freezing(message: str, share: float | None) -> None:
            progress(f"{FREEZING.name}: {message[0].lower()}{message[1:]}", share)

        return freeze_for_run(run, freezing)
    name = run.parameters.get("dataset")
    return dataset_named(name) if name else None


def _staged(run: TrainingRun, lease: RunLease) -> Progress:
    stages = stages_of(run)
    return lambda message, share: lease.progress(message, overall_share(stages, message, share))


def _noted(lease: RunLease) -> Record:
    """Record points, and put what was measured on held-out rows into the log, too."""

    def record(point: Point) -> None:
        lease.record(point)
        if point.held_out_loss is not None:
            speed = f", {point.tokens_per_s:.0f} tokens/s" if point.tokens_per_s else ""
            lease.note(f"Step {point.step}: held-out loss {point.held_out_loss:.3f}{speed}")

    return record


def _kept(run: TrainingRun, lease: RunLease, release: Release, dataset: Dataset | None) -> dict[str, Any]:
    if run.parameters.get("evaluate"):
        _have_judged(run, lease, release, dataset)
    result = {**release.metrics, "peak_memory_mib": _peak_memory_mib()}
    return {"release": release, "dataset_digest": release.dataset_digest, "result": result}


def _have_judged(run: TrainingRun, lease: RunLease, release: Release, trained_on: Dataset | None) -> None:
    dataset = dataset_to_judge_on(release.kind, first=trained_on)
    if dataset is None:
        lease.note(NOTHING_TO_JUDGE_ON)
        return
    try:
        request_evaluation(candidate=release, dataset=dataset, requested_by=run.requested_by)
    except Conflict:
        lease.note(NOT_JUDGED)
    else:
        lease.note(f"To be judged on the held-out rows of {dataset.name}")


def _peak_memory_mib() -> int:
    """The most that this process has held; every run has a process of its own."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most / (2**20 if sys.platform == "darwin" else 2**10))
