"""Reads of datasets and training runs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from chatbot.conversations.models import Review, Turn
from chatbot.exceptions import DatasetError
from chatbot.intents.selectors import out_of_scope_examples, training_examples
from chatbot.releases.models import Kind, Release
from chatbot.training.curves import Point
from chatbot.training.datasets import examples_digest
from chatbot.training.models import Dataset, TrainingRun

# Not yet worth a guess: the first hundredth is mostly loading.
_LEAST_SHARE = 0.01
# More do not fit on a screen.
MOST_POINTS = 500
# What is offered to train on.
MOST_DATASETS = 25
# Which of a dataset's files a kind of release learns from and is judged on.
_ROWS_OF = {Kind.CLASSIFIER: "intents", Kind.GENERATOR: "replies"}
POINT_FIELDS = ("step", "loss", "held_out_loss", "learning_rate", "tokens_per_s")


def runs_of_kind(kind: str) -> QuerySet[TrainingRun]:
    """The newest first, with the `accuracy` that they measured in place of all that they found."""
    runs = TrainingRun.objects.filter(kind=kind).select_related("requested_by").defer("result")
    return runs.annotate(accuracy=F("result__accuracy"))


def trainings() -> QuerySet[TrainingRun]:
    """Runs that end with a release, the newest first, without what makes them large."""
    runs = TrainingRun.objects.filter(kind__in=TrainingRun.TRAININGS).select_related("requested_by", "release")
    return runs.defer("result", "log")


def curve_of(run: TrainingRun, *, after_step: int = -1) -> list[Point]:
    """The points of the run's learning curves beyond a step, in order; of very many, evenly spaced ones.

    What was measured on held-out rows is always among them.
    """
    rows = run.points.filter(step__gt=after_step).values_list(*POINT_FIELDS)
    points = [Point(*row) for row in rows]
    gap = -(-len(points) // MOST_POINTS)
    last = len(points) - 1
    return [
        point
        for number, point in enumerate(points)
        if number % gap == 0 or number == last or point.held_out_loss is not None
    ]


def time_left(run: TrainingRun) -> timedelta | None:
    """How long the run takes from now on at its pace so far; None where that cannot be told."""
    if run.kind == TrainingRun.Kind.GENERATOR and run.attempt > 1:
        return None  # it went on from a checkpoint: how much it has done since, nobody counts
    if run.status != TrainingRun.Status.RUNNING or run.started_at is None:
        return None
    if run.share is None or not _LEAST_SHARE <= run.share < 1:
        return None
    return (timezone.now() - run.started_at) * ((1 - run.share) / run.share)


def usual_duration(kind: str, preset: str) -> timedelta | None:
    """How long the last finished run by `preset` took; None before the first."""
    done = finished_runs(kind, preset).defer("result", "log").first()
    return duration(done) if done else None


def finished_runs(kind: str, preset: str = "") -> QuerySet[TrainingRun]:
    """Those that came to a result, by any preset or by one, the newest first."""
    done = TrainingRun.objects.filter(kind=kind, status=TrainingRun.Status.DONE)
    return done.filter(parameters__preset=preset) if preset else done


def duration(run: TrainingRun) -> timedelta | None:
    """How long the run took, or has been running; None where it never began."""
    if run.started_at is None:
        return None
    return (run.finished_at or timezone.now()) - run.started_at


def catalogue_changed_since(run: TrainingRun) -> bool:
    """Whether the examples are no longer the ones that the run judged."""
    return run.dataset_digest != examples_digest(training_examples(), out_of_scope_examples())


def dataset_named(name: str) -> Dataset:
    """Raises DatasetError, with the names that there are, where none is called so."""
    found = Dataset.objects.filter(name=name).first()
    if found is None:
        newest = ", ".join(Dataset.objects.values_list("name", flat=True)[:5])
        there = f"there are {newest}" if newest else "none has been frozen yet: python manage.py freeze_dataset"
        raise DatasetError(f"There is no dataset {name!r}; {there}.")
    return found


def datasets_to_train_on(kind: str) -> list[Dataset]:
    """Those with rows that a release of the kind can learn from, the newest first."""
    file = f"{_ROWS_OF[Kind(kind)]}.train.jsonl"
    return [dataset for dataset in Dataset.objects.all()[:MOST_DATASETS] if rows_in(dataset, file)]


def dataset_to_judge_on(kind: str, *, first: Dataset | None = None) -> Dataset | None:
    """`first`, or else the newest, if it has held-out rows that a release of the kind can be judged on."""
    file = f"{_ROWS_OF[Kind(kind)]}.held-out.jsonl"
    dataset = first or Dataset.objects.first()
    return dataset if dataset is not None and rows_in(dataset, file) else None


def rows_in(dataset: Dataset, file: str) -> int:
    """How many rows one of its files has."""
    return int(dataset.manifest["files"][file]["rows"])


def dataset_of(run: TrainingRun) -> Dataset | None:
    """What the run trained on: frozen for it, or named by it; None where it was the catalogue, or is gone."""
    frozen = Dataset.objects.filter(run=run).first()
    name = run.parameters.get("dataset")
    return frozen or (Dataset.objects.filter(name=name).first() if name else None)


def approved_replies() -> int:
    """Replies of the model that reviewers accepted or edited and that a dataset may hold, before repeats go."""
    usable = Q(conversation__training_consent=True, conversation__excluded_from_training=False)
    accepted = Q(review__verdict=Review.Verdict.ACCEPTED, action=Turn.Action.GENERATE)
    return Turn.objects.filter(usable & (accepted | Q(review__verdict=Review.Verdict.EDITED))).count()


def releases_trained_on(dataset: Dataset) -> QuerySet[Release]:
    """The newest first, also those that were trained before rows were erased from it."""
    return Release.objects.filter(dataset_digest__in=dataset.digests).order_by("-id")


def releases_by_dataset(datasets: Iterable[Dataset]) -> dict[int, list[Release]]:
    """What `releases_trained_on` gives, for each of several datasets by its id."""
    # The same state frozen twice has one digest.
    with_digest: dict[str, list[int]] = {}
    found: dict[int, list[Release]] = {}
    for dataset in datasets:
        found[dataset.pk] = []
        for digest in dataset.digests:
            with_digest.setdefault(digest, []).append(dataset.pk)
    for release in Release.objects.filter(dataset_digest__in=with_digest).order_by("-id"):
        for pk in with_digest[release.dataset_digest]:
            found[pk].append(release)
    return found
