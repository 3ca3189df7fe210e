"""Training runs that end with a release: what the dashboard's form asked for, done by the training worker."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chatbot.training.generators import dataset_material, train_generator
from chatbot.training.selectors import dataset_named
from chatbot.training.services import train_catalogue_classifier, train_dataset_classifier
from chatbot.training.trainers.generator_recipe import PRESETS

if TYPE_CHECKING:
    from chatbot.training.models import TrainingRun
    from chatbot.training.run_lease import RunLease


def train_requested_classifier(run: TrainingRun, lease: RunLease) -> dict[str, Any]:
    """Train by the run's parameters: preset, seed, and the name of a dataset where it is not the catalogue as it is.

    Gives `release`, `dataset_digest` and `result`.

    Raises ClassifierError where the examples do not suffice, DatasetError where the dataset is gone or damaged,
    ModelFilesError where the encoder is missing.
    """
    # An attempt that was lost had other points at other steps, and this one begins anew.
    run.points.all().delete()
    wanted: dict[str, Any] = {
        "preset": run.parameters["preset"],
        "seed": run.parameters["seed"],
        "progress": lease.progress,
        "record": lease.record,
        "created_by": run.requested_by,
    }
    if name := run.parameters.get("dataset"):
        release = train_dataset_classifier(dataset=dataset_named(name), **wanted)
    else:
        release = train_catalogue_classifier(**wanted)
    return {"release": release, "dataset_digest": release.dataset_digest, "result": release.metrics}


def train_requested_generator(run: TrainingRun, lease: RunLease) -> dict[str, Any]:
    """Train by the run's parameters: dataset, preset, seed, and where they are given epochs, max_steps and adapt.

    A run whose worker was killed goes on from its checkpoint. Gives `release`, `dataset_digest` and `result`.

    Raises DatasetError where the dataset is gone, damaged or without replies; GeneratorError, ModelFilesError.
    """
    wanted = run.parameters
    given = {name: wanted[name] for name in ("epochs", "max_steps") if wanted.get(name)}
    material = dataset_material(dataset_named(wanted["dataset"]), adapt=bool(wanted.get("adapt")), seed=wanted["seed"])
    release = train_generator(
        material=material,
        recipe=replace(PRESETS[wanted["preset"]], **given),
        seed=wanted["seed"],
        progress=lease.progress,
        record=lease.record,
        created_by=run.requested_by,
    )
    return {"release": release, "dataset_digest": release.dataset_digest, "result": release.metrics}
