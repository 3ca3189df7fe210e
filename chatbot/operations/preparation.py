"""What must exist before customers can be served. Every step does nothing where nothing is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.management import call_command

from chatbot.exceptions import FrontdeskError
from chatbot.intents.models import Example, Intent
from chatbot.knowledge.models import Article, Passage
from chatbot.operations.demo_predictions import read_demo_turns, unread_demo_turns
from chatbot.operations.readiness import pending_migrations
from chatbot.operations.seeding import seed_demo
from chatbot.operations.staff import sync_groups
from chatbot.operations.terminal import Terminal
from chatbot.releases.encoders import current_encoder_digest
from chatbot.releases.models import Kind
from chatbot.releases.preparation import models_are_prepared, prepare_base_models
from chatbot.releases.selectors import classifier_fits_encoder, current_release

Report = Callable[[str, float | None], None]


@dataclass(frozen=True, slots=True)
class Step:
    """Something long that needs a model: whether it is still to be done, and how."""

    doing: str
    done: str
    is_needed: Callable[[], bool]
    run: Callable[[Report], Any]


def prepare_database(terminal: Terminal) -> None:
    """Tables, groups, and the demo shop in a database without intents and articles. Imports no model."""
    waiting = pending_migrations()
    if waiting:
        with terminal.step(f"Migrating the database ({waiting} steps)", "Migrated the database"):
            call_command("migrate", interactive=False, verbosity=0)
        sync_groups()
    if settings.SEED_DEMO and not Intent.objects.exists() and not Article.objects.exists():
        with terminal.step("Filling the empty database with the demo shop", "Filled the database with the demo shop"):
            seed_demo()


def collect_static_files(terminal: Terminal) -> None:
    """In production the pages' scripts and styles are served from one folder of compressed files."""
    if settings.PRODUCTION:
        with terminal.step("Collecting static files", "Collected static files"):
            call_command("collectstatic", interactive=False, verbosity=0)


def missing_model_steps() -> list[Step]:
    """The steps that need a model, as far as they are still to be done. Cheap to ask."""
    return [step for step in MODEL_STEPS if step.is_needed()]


def run_model_steps(terminal: Terminal) -> None:
    """Do what is missing, with progress. Imports torch, so run it in a process of its own.

    Raises:
        FrontdeskError: a step could not be done; says what mends it.
    """
    for step in MODEL_STEPS:
        # Asked again before each: a new encoder makes the classifier and the index follow.
        if step.is_needed():
            with terminal.progress(step.doing, step.done) as report:
                step.run(report)


def _lacks_models() -> bool:
    return not models_are_prepared()


def _lacks_classifier() -> bool:
    if not Example.objects.filter(intent__is_active=True).exists():
        return False
    try:
        return not classifier_fits_encoder()
    except FrontdeskError:
        return True  # the encoder is not prepared yet


def _lacks_index() -> bool:
    try:
        foreign = Passage.objects.exclude(encoder_digest=current_encoder_digest())
    except FrontdeskError:
        return Article.objects.exists()  # the encoder is not prepared yet
    return Article.objects.stale().exists() or foreign.exists()


def _train(report: Report) -> None:
    from chatbot.training.services import train_catalogue_classifier

    train_catalogue_classifier(progress=report)


def _has_unread_demo() -> bool:
    return current_release(Kind.CLASSIFIER) is not None and unread_demo_turns().exists()


def _read_demo(report: Report) -> None:
    read_demo_turns()


def _index(report: Report) -> None:
    from chatbot.knowledge.services import index_all

    index_all(progress=lambda done, of: report(f"{done} of {of}", done / max(1, of)))


MODEL_STEPS = (
    Step("Preparing the base models", "Prepared the base models", _lacks_models, prepare_base_models),
    Step("Training the first classifier", "Trained the first classifier", _lacks_classifier, _train),
    Step("Reading the demo conversations", "Read the demo conversations", _has_unread_demo, _read_demo),
    Step("Indexing the help articles", "Indexed the help articles", _lacks_index, _index),
)
