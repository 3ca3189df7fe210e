"""Training runs that end with a release: what the dashboard's form asked for, done by the training worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatbot.training.selectors import dataset_named
from chatbot.training.services import train_catalogue_classifier, train_dataset_classifier

if TYPE_CHECKING:
    from chatbot.training.models import TrainingRun
    from chatbot.training.run_lease import RunLease


def train_requested_classifier(run: TrainingRun, lease: RunLease) -> dict[str, Any]:
    """Train by the run's parameters: preset, seed, and the name of a dataset where it is not the catalogue as it is.

    Gives `release`, `dataset_digest` and `result`.

    Raises ClassifierError where the examples do not suffice, DatasetError where the dataset is gone or damaged,
    ModelFilesError where the encoder is missing.
    """
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
