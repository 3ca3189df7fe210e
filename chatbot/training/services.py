"""Trainings that end in the registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from django.contrib.auth.models import User

from chatbot.exceptions import ClassifierError
from chatbot.intents.selectors import out_of_scope_examples, training_examples
from chatbot.releases.classifiers import load_classifier
from chatbot.releases.encoders import encoder_directory, load_encoder
from chatbot.releases.models import Kind, Release
from chatbot.releases.selectors import classifier_fits_encoder
from chatbot.releases.services import promote_release, store_release
from chatbot.training.dataset_files import open_dataset
from chatbot.training.datasets import examples_digest
from chatbot.training.models import Dataset
from chatbot.training.promotions import ASKED_FOR, promote_candidate

if TYPE_CHECKING:
    from chatbot.inference.weights import Progress
    from chatbot.training.curves import Record


def train_catalogue_classifier(
    *,
    preset: str = "fast",
    seed: int = 0,
    max_rejected: float | None = None,
    promote: bool = False,
    progress: Progress | None = None,
    record: Record | None = None,
    created_by: User | None = None,
) -> Release:
    """Train on the catalogue's examples as they are now and register the result.

    Promotes it if asked to, or if there is no current one that the encoder in use could serve.

    Raises ClassifierError where the examples do not suffice, ModelFilesError where the encoder is missing.
    """
    examples, out_of_scope = training_examples(), out_of_scope_examples()
    if not examples:
        raise ClassifierError(
            "The catalogue has no examples. Add some in the admin, or with: python manage.py import_intents F.csv"
        )
    return _train(
        _Rows(examples, out_of_scope, examples_digest(examples, out_of_scope)),
        preset=preset,
        seed=seed,
        max_rejected=max_rejected,
        promote=promote,
        progress=progress,
        record=record,
        created_by=created_by,
    )


def train_dataset_classifier(
    *,
    dataset: Dataset,
    preset: str = "fast",
    seed: int = 0,
    max_rejected: float | None = None,
    promote: bool = False,
    progress: Progress | None = None,
    record: Record | None = None,
    created_by: User | None = None,
) -> Release:
    """Train on a frozen dataset, which holds the catalogue of its day too, and register the result.

    Promotes as `train_catalogue_classifier` does. The dataset's held-out rows are not looked at.

    Raises DatasetError where the dataset is not as it was frozen, and what `train_catalogue_classifier` raises.
    """
    folder = open_dataset(dataset)
    rows = list(folder.intents("train"))
    return _train(
        _Rows(
            [(row.text, row.intent) for row in rows if row.intent],
            [row.text for row in rows if not row.intent],
            folder.digest,
            dataset.name,
        ),
        preset=preset,
        seed=seed,
        max_rejected=max_rejected,
        promote=promote,
        progress=progress,
        record=record,
        created_by=created_by,
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """What is trained on. `dataset` is empty where it is the catalogue as it is."""

    examples: list[tuple[str, str]]
    out_of_scope: list[str]
    digest: str
    dataset: str = ""


def _train(
    rows: _Rows,
    *,
    preset: str,
    seed: int,
    max_rejected: float | None,
    promote: bool,
    progress: Progress | None,
    record: Record | None,
    created_by: User | None,
) -> Release:
    from chatbot.inference.classifier import FORMAT
    from chatbot.training.trainers import train_classifier

    report = progress or (lambda _message, _share: None)
    examples, out_of_scope = rows.examples, rows.out_of_scope
    encoder = load_encoder()
    trained = train_classifier(
        preset, examples, out_of_scope, encoder, seed=seed, max_rejected=max_rejected, progress=progress, record=record
    )

    def write(directory: Path) -> None:
        report("Writing the release", None)
        trained.save(directory)

    release = store_release(
        kind=Kind.CLASSIFIER,
        write=write,
        base=encoder_directory().name,
        dataset_digest=rows.digest,
        configuration={
            **trained.configuration,
            "encoder_digest": encoder.digest,
            "format": FORMAT,
            **({"dataset": rows.dataset} if rows.dataset else {}),
        },
        seed=seed,
        metrics=trained.metrics,
        created_by=created_by,
    )
    report("Checking that it can be served", None)
    load_classifier(release, encoder)
    if promote:
        promote_candidate(
            release=release, reason="Trained to be served at once.", promoted_by=created_by, override=ASKED_FOR
        )
    elif not classifier_fits_encoder():
        promote_release(release=release, reason="The first classifier for this encoder.", promoted_by=created_by)
    return release
