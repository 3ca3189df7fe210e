"""What must exist before customers can be served. Every step does nothing where nothing is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.core.management import call_command
from django.db.models import F

from chatbot.intents.models import Example, Intent
from chatbot.knowledge.models import Article
from chatbot.operations.readiness import pending_migrations
from chatbot.operations.staff import sync_groups
from chatbot.operations.terminal import Terminal
from chatbot.releases.models import Kind, Promotion


@dataclass(frozen=True, slots=True)
class Step:
    """One long thing: whether it is needed, and how it is done."""

    doing: str
    done: str
    is_needed: Callable[[], bool]
    run: Callable[[], None]


def prepare_database(terminal: Terminal) -> None:
    """Tables, groups, and the demo shop in a database without intents and articles. Imports no model."""
    waiting = pending_migrations()
    if waiting:
        with terminal.step(f"Migrating the database ({waiting} steps)", "Migrated the database"):
            call_command("migrate", interactive=False, verbosity=0)
            sync_groups()
    from chatbot.operations.seeding import seed_demo

    if settings.SEED_DEMO and not Intent.objects.exists() and not Article.objects.exists():
        with terminal.step("Filling the empty database with the demo shop", "Filled the database with the demo shop"):
            seed_demo()


def missing_model_steps() -> list[Step]:
    """The steps that need a model, as far as they are still to be done. Cheap to ask."""
    return [step for step in MODEL_STEPS if step.is_needed()]


def _lacks_models() -> bool:
    from chatbot.releases.preparation import models_are_prepared

    return not models_are_prepared()


def _lacks_classifier() -> bool:
    has_release = Promotion.objects.filter(kind=Kind.CLASSIFIER).exists()
    return not has_release and Example.objects.filter(intent__is_active=True).exists()


def _lacks_index() -> bool:
    return Article.objects.exclude(indexed_digest=F("body_digest")).exists()


def _index() -> None:
    from chatbot.knowledge.services import index_all

    index_all()


MODEL_STEPS = (
    Step(
        "Preparing the base models",
        "Prepared the base models",
        _lacks_models,
        lambda: call_command("prepare_models"),
    ),
    Step(
        "Training the first classifier",
        "Trained the first classifier",
        _lacks_classifier,
        lambda: call_command("train_classifier"),
    ),
    Step("Indexing the help articles", "Indexed the help articles", _lacks_index, _index),
)
