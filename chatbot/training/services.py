"""Trainings that end in the registry."""

from __future__ import annotations

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
    """Train on the catalogue's examples and register the result.

    Promotes it if asked to, or if there is no current one that the encoder in use could serve.

    Raises ClassifierError where the examples do not suffice, ModelFilesError where the encoder is missing.
    """
    from chatbot.inference.classifier import FORMAT
    from chatbot.training.datasets import examples_digest
    from chatbot.training.trainers import train_classifier

    report = progress or (lambda _message, _share: None)
    examples, out_of_scope = training_examples(), out_of_scope_examples()
    if not examples:
        raise ClassifierError(
            "The catalogue has no examples. Add some in the admin, or with: python manage.py import_intents F.csv"
        )
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
        dataset_digest=examples_digest(examples, out_of_scope),
        configuration={**trained.configuration, "encoder_digest": encoder.digest, "format": FORMAT},
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
