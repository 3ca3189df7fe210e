"""Evaluations: a candidate and the release that is served, on the same held-out rows, judged and stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from chatbot.exceptions import EvaluationError
from chatbot.releases.classifiers import load_classifier
from chatbot.releases.encoders import load_encoder
from chatbot.releases.models import Kind, Release
from chatbot.releases.selectors import current_release
from chatbot.training.dataset_files import open_dataset
from chatbot.training.dataset_rows import IntentRow, ReplyRow
from chatbot.training.evaluation.gates import GateRules, judge_gates, passed, read_gate_rules
from chatbot.training.evaluation.overlap import texts_trained_on
from chatbot.training.evaluation.rows import HeldOutRows, held_out_rows, read_intent_rows, read_reply_rows
from chatbot.training.models import Dataset, Evaluation, ReplyPair, TrainingRun
from chatbot.training.runs import request_run
from chatbot.training.votes import reply_pairs

if TYPE_CHECKING:
    from chatbot.inference.weights import Progress
    from chatbot.training.run_lease import RunLease

Rows = HeldOutRows[IntentRow] | HeldOutRows[ReplyRow]
# A reply takes seconds on a processor; so many rows tell a bad generator from a good one within some minutes.
GENERATOR_ROWS = 120


@dataclass(frozen=True, slots=True)
class _Cleared:
    """The rows that neither release has seen, and what the report says of those that were left out."""

    rows: Rows
    told: dict[str, Any]


def read_rows(kind: str, path: Path, note: Callable[[str], None]) -> Rows:
    """The rows of a file that a release of this kind can be judged on. Raises ImportFailed, DatasetError."""
    return read_intent_rows(path, note) if kind == Kind.CLASSIFIER else read_reply_rows(path)


def dataset_rows(kind: str, dataset: Dataset) -> Rows:
    """The held-out rows of a frozen dataset that a release of this kind can be judged on.

    Raises DatasetError where the dataset is not as it was frozen, EvaluationError where it has no such rows.
    """
    folder = open_dataset(dataset)
    rows: Rows
    if kind == Kind.CLASSIFIER:
        rows = held_out_rows(dataset.name, folder.intents("held-out"))
    else:
        rows = held_out_rows(dataset.name, folder.replies("held-out"))
    if not rows.rows:
        raise EvaluationError(f"{dataset.name} has no held-out rows that a {kind} could be judged on.")
    return rows


def default_baseline(candidate: Release) -> Release | None:
    """What the candidate would replace; None where nothing of its kind is served, or it is itself."""
    current = current_release(candidate.kind)
    return None if current is None or current.pk == candidate.pk else current


def gate_rules() -> GateRules:
    """The rules by which candidates are judged here. Raises EvaluationError where their file is wrong."""
    return read_gate_rules(Path(settings.GATE_RULES_FILE) if settings.GATE_RULES_FILE else None)


def request_evaluation(*, candidate: Release, dataset: Dataset, requested_by: User | None) -> TrainingRun:
    """Have the candidate judged beside what it would replace. Raises Conflict where an evaluation is open already."""
    baseline = default_baseline(candidate)
    return request_run(
        kind=TrainingRun.Kind.EVALUATION,
        parameters={
            "candidate": candidate.pk,
            "baseline": baseline.pk if baseline else None,
            "dataset": dataset.pk,
        },
        requested_by=requested_by,
    )


def evaluate_requested(run: TrainingRun, lease: RunLease) -> dict[str, Any]:
    """Do the evaluation that a page asked for: candidate, baseline (or None) and dataset, by id.

    Raises what `evaluate_release` and `dataset_rows` raise.
    """
    wanted = run.parameters
    candidate, dataset = Release.objects.get(pk=wanted["candidate"]), Dataset.objects.get(pk=wanted["dataset"])
    evaluation = evaluate_release(
        candidate=candidate,
        baseline=Release.objects.get(pk=wanted["baseline"]) if wanted["baseline"] else None,
        held_out=dataset_rows(candidate.kind, dataset),
        dataset=dataset,
        created_by=run.requested_by,
        progress=lease.progress,
    )
    return {"dataset_digest": dataset.digest, "release": candidate, "result": {"evaluation": evaluation.pk}}


def evaluate_release(
    *,
    candidate: Release,
    baseline: Release | None,
    held_out: Rows,
    dataset: Dataset | None = None,
    limit: int | None = None,
    created_by: User | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Judge the candidate beside the baseline and store what came of it.

    `limit` is how many rows are judged at most: all by default, or GENERATOR_ROWS of a generator.

    Raises:
        EvaluationError: the two cannot be compared, nothing is left to judge on, or rows were erased meanwhile.
        ModelFilesError, ClassifierError, EngineError: one of them cannot be loaded, or fails while it is judged.
    """
    report = progress or (lambda _message, _share: None)
    if baseline is not None and baseline.kind != candidate.kind:
        raise EvaluationError(f"{candidate} and {baseline} are of different kinds.")
    if baseline is not None and baseline.pk == candidate.pk:
        raise EvaluationError(f"{candidate} cannot be compared with itself.")
    rules = gate_rules()
    if candidate.kind == Kind.GENERATOR:
        limit = limit or GENERATOR_ROWS
    cleared = _clear(held_out, candidate, baseline, limit)
    compared, pairs = _compare(candidate, baseline, cleared.rows, report)
    compared = {
        "kind": candidate.kind,
        "candidate": candidate.name,
        "baseline": baseline.name if baseline else None,
        **compared,
        "rows": {**cleared.told, **compared["rows"]},
        "rules": asdict(rules),
    }
    gates = judge_gates(compared, rules)
    with transaction.atomic():
        if dataset is not None:
            _check_unchanged(dataset)
        evaluation = Evaluation.objects.create(
            candidate=candidate,
            baseline=baseline,
            source=held_out.source[:200],
            dataset=dataset,
            rows_digest=held_out.digest,
            report=compared,
            gates=[asdict(gate) for gate in gates],
            passed=passed(gates),
            created_by=created_by,
        )
        for pair in pairs:
            pair.evaluation = evaluation
        ReplyPair.objects.bulk_create(pairs)
    return evaluation


def _check_unchanged(dataset: Dataset) -> None:
    """Who takes a person's rows out waits until the pairs made of them can be found, or they are never stored."""
    if not Dataset.objects.select_for_update().filter(pk=dataset.pk, digest=dataset.digest).exists():
        raise EvaluationError(f"Rows were erased from {dataset} while it was judged on. Evaluate again.")


def _clear(held_out: Rows, candidate: Release, baseline: Release | None, limit: int | None) -> _Cleared:
    """Leave out what either was trained on: the one that had seen a row would have the better of the other."""
    rows, untold = held_out, []
    for who, release in (("candidate", candidate), ("baseline", baseline)):
        seen = texts_trained_on(release) if release else set()
        if seen is None:
            untold.append(who)
        else:
            rows = rows.without(seen, who)
    if not rows.rows:
        raise EvaluationError(
            f"{held_out.source} has no row left to judge on: the releases were trained on all of them."
        )
    if limit is not None:
        rows = rows.at_most(limit)
    told = {
        "source": held_out.source,
        "digest": held_out.digest,
        "given": len(held_out.rows) + held_out.repeats,
        "repeats": held_out.repeats,
        "seen": rows.seen,
        "untold": untold,
        "left": rows.left,
    }
    return _Cleared(rows, told)


def _compare(
    candidate: Release, baseline: Release | None, rows: Any, report: Progress
) -> tuple[dict[str, Any], list[ReplyPair]]:
    """The report, and for generators the pairs of replies that people may vote on."""
    if candidate.kind == Kind.CLASSIFIER:
        return _compare_classifiers(candidate, baseline, rows, report), []
    from chatbot.training.evaluation.generators import compare_generators

    compared = compare_generators(candidate, baseline, rows, load_encoder(), report)
    return compared.report, [] if compared.theirs is None else reply_pairs(rows.rows, compared.ours, compared.theirs)


def _compare_classifiers(candidate: Release, baseline: Release | None, rows: Any, report: Progress) -> dict[str, Any]:
    from chatbot.training.evaluation.classifiers import compare_classifiers

    report("Loading the releases", None)
    encoder = load_encoder()
    ours = load_classifier(candidate, encoder)
    theirs = load_classifier(baseline, encoder) if baseline else None
    return compare_classifiers(ours, theirs, rows, report)
