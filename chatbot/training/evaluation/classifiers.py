"""Two classifiers on the same held-out rows, through the code that serves them, and how they compare."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chatbot.exceptions import ClassifierError
from chatbot.inference.language import detect_language
from chatbot.training.dataset_rows import IntentRow
from chatbot.training.evaluation import reliability
from chatbot.training.evaluation.intervals import Resampling, Rows, Statistic
from chatbot.training.evaluation.measures import (
    FEWEST_ROWS,
    Measure,
    compare,
    compare_times,
    length_slice,
    mean_of,
    rounded,
    sliced,
)
from chatbot.training.evaluation.rows import HeldOutRows
from chatbot.training.trainers.calibration import area_under_roc

if TYPE_CHECKING:
    from chatbot.inference.text_classifier import TextClassifier
    from chatbot.inference.weights import Progress

# Embedded at a time, so that a run can be cancelled in between.
_BATCH = 256
_TIMED = 200
_CONFUSIONS_KEPT = 100


@dataclass(frozen=True, eq=False, slots=True)
class Judged:
    """What a classifier says of each row, [n] each. A row that no intent fits has the label "" and is never `right`."""

    labels: tuple[str, ...]
    given: tuple[str, ...]
    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    strangeness: NDArray[np.float64]
    rejected: NDArray[np.bool_]

    @property
    def in_scope(self) -> NDArray[np.bool_]:
        """Which rows have an intent."""
        return np.array([label != "" for label in self.labels], dtype=bool)


def judge(classifier: TextClassifier, rows: Sequence[IntentRow], progress: Progress, name: str) -> Judged:
    """Classify every row as a worker would. Intents that the classifier does not know count as wrong."""
    predictions = []
    for start in range(0, len(rows), _BATCH):
        progress(f"Classifying with {name}", None)
        predictions += classifier.predict([row.text for row in rows[start : start + _BATCH]])
    given = tuple(prediction.best.intent for prediction in predictions)
    labels = tuple(row.intent for row in rows)
    return Judged(
        labels=labels,
        given=given,
        confidence=np.array([prediction.best.confidence for prediction in predictions], dtype=np.float64),
        right=np.array([label == intent for label, intent in zip(labels, given, strict=True)], dtype=bool),
        strangeness=np.array([prediction.out_of_scope_score for prediction in predictions], dtype=np.float64),
        rejected=np.array([prediction.out_of_scope for prediction in predictions], dtype=bool),
    )


def compare_classifiers(
    candidate: TextClassifier,
    baseline: TextClassifier | None,
    held_out: HeldOutRows[IntentRow],
    progress: Progress,
) -> dict[str, Any]:
    """The report, JSON-ready and without any row's words. Raises ClassifierError where no row has an intent."""
    rows = held_out.rows
    if not any(row.intent for row in rows):
        raise ClassifierError("There is no held-out row with an intent, so there is nothing to judge by.")
    ours = judge(candidate, rows, progress, "the candidate")
    theirs = judge(baseline, rows, progress, "the current release") if baseline else None
    progress("Measuring how long a message takes", None)
    times = message_times(candidate, baseline, [row.text for row in rows])
    progress("Drawing the rows again for the intervals", None)
    resampling = Resampling(held_out.groups)
    in_scope = ours.in_scope
    accuracy, others = _accuracy(ours), _accuracy(theirs) if theirs else None
    languages = [(row.language or detect_language(row.text)) if row.intent else "" for row in rows]
    lengths = [length_slice(row.text) if row.intent else "" for row in rows]
    return {
        "rows": {
            "judged": len(rows),
            "in_scope": int(in_scope.sum()),
            "out_of_scope": int((~in_scope).sum()),
            "groups": resampling.groups,
        },
        "figures": [*compare(measures(ours), measures(theirs) if theirs else None, resampling), *times],
        "calibration": {
            "candidate": reliability.described(ours.confidence[in_scope], ours.right[in_scope]),
            "baseline": reliability.described(theirs.confidence[in_scope], theirs.right[in_scope]) if theirs else None,
        },
        "intents": intent_changes(ours, theirs),
        "confusions": confusions(ours, theirs),
        "slices": {
            "language": sliced(languages, accuracy, others, held_out.groups),
            "length": sliced(lengths, accuracy, others, held_out.groups),
        },
        "changed": _changed(ours, theirs),
    }


def measures(judged: Judged) -> list[Measure]:
    """Every figure of one classifier."""
    return [
        _accuracy(judged),
        Measure("macro_f1", _macro_f1(judged)),
        Measure("in_scope_accuracy_after_rejection", mean_of(_of_in_scope(judged, judged.right & ~judged.rejected))),
        Measure("in_scope_rejected", mean_of(_of_in_scope(judged, judged.rejected))),
        Measure("ece", _calibration(judged)),
        Measure("oos_auroc", _auroc(judged)),
        Measure("oos_recall", mean_of(np.where(judged.in_scope, np.nan, judged.rejected.astype(float)))),
    ]


def intent_changes(ours: Judged, theirs: Judged | None) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each intent under both, the worst change first."""
    intents, found = sorted(set(ours.labels) - {""}), []
    own_scores, their_scores = _scores(ours, intents), _scores(theirs, intents) if theirs else {}
    labelled = Counter(ours.labels)
    for intent in intents:
        own, other, rows = own_scores[intent], their_scores.get(intent), labelled[intent]
        change = rounded(own["f1"] - other["f1"]) if other else None
        entry = {"intent": intent, "rows": rows, "few": rows < FEWEST_ROWS, "f1_change": change}
        found.append(
            {
                **entry,
                "candidate": {name: rounded(value) for name, value in own.items()},
                "baseline": {name: rounded(value) for name, value in other.items()} if other else None,
            }
        )
    return sorted(found, key=lambda entry: (entry["f1_change"] or 0.0, entry["candidate"]["f1"], entry["intent"]))


def confusions(ours: Judged, theirs: Judged | None) -> list[dict[str, Any]]:
    """Which intent was taken for which other, how often by each release; the candidate's most frequent first."""
    own, other = _confused(ours), _confused(theirs) if theirs else None
    pairs = sorted(own | (other or Counter()), key=lambda pair: (-own[pair], pair))
    return [
        {"intent": intent, "given": given, "count": own[intent, given], "baseline": other and other[intent, given]}
        for intent, given in pairs[:_CONFUSIONS_KEPT]
    ]


def message_times(
    candidate: TextClassifier, baseline: TextClassifier | None, texts: Sequence[str]
) -> list[dict[str, Any]]:
    """Milliseconds to classify one message at a time, over a spread of the texts.

    The two take turns message by message and at going first, so that whatever else this machine does, and what the one
    leaves warm for the other, slows both alike.
    """
    chosen = [texts[index] for index in np.linspace(0, len(texts) - 1, min(_TIMED, len(texts))).astype(int)]
    served = [candidate, baseline] if baseline else [candidate]
    taken = np.zeros((len(chosen), len(served)))
    # The first messages of each length compile what later ones use.
    for classifier in served:
        classifier.predict(chosen)
    for row, text in enumerate(chosen):
        for column in range(len(served)) if row % 2 else reversed(range(len(served))):
            started = time.perf_counter()
            served[column].classify([text])
            taken[row, column] = 1000 * (time.perf_counter() - started)
    return compare_times({"ms_p50": 50, "ms_p95": 95}, taken[:, 0], taken[:, 1] if baseline else None)


def _accuracy(judged: Judged) -> Measure:
    return Measure("accuracy", mean_of(_of_in_scope(judged, judged.right)))


def _of_in_scope(judged: Judged, values: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.where(judged.in_scope, values.astype(float), np.nan)


def _calibration(judged: Judged) -> Statistic:
    in_scope = judged.in_scope

    def error(rows: Rows) -> float:
        chosen = rows[in_scope[rows]]
        if len(chosen) == 0:
            return float("nan")
        return reliability.calibration_error(judged.confidence[chosen], judged.right[chosen])

    return error


def _auroc(judged: Judged) -> Statistic:
    in_scope = judged.in_scope

    def area(rows: Rows) -> float:
        known, strange = rows[in_scope[rows]], rows[~in_scope[rows]]
        if len(known) == 0 or len(strange) == 0:
            return float("nan")
        return area_under_roc(judged.strangeness[known], judged.strangeness[strange])

    return area


def _macro_f1(judged: Judged) -> Statistic:
    """Over the intents that occur among the rows, as scikit-learn counts it with zero for what is never given."""
    names = sorted({*judged.labels, *judged.given} - {""})
    number = {name: index for index, name in enumerate(names)}
    labels = np.array([number.get(label, -1) for label in judged.labels])
    given = np.array([number[intent] for intent in judged.given])
    count = len(names)

    def macro_f1(rows: Rows) -> float:
        chosen = rows[labels[rows] >= 0]
        if len(chosen) == 0:
            return float("nan")
        there = np.bincount(labels[chosen], minlength=count)
        said = np.bincount(given[chosen], minlength=count)
        hit = np.bincount(labels[chosen][labels[chosen] == given[chosen]], minlength=count)
        occurring = there > 0
        return float((2 * hit[occurring] / (there[occurring] + said[occurring])).mean())

    return macro_f1


def _scores(judged: Judged, intents: Sequence[str]) -> dict[str, dict[str, float]]:
    """By intent, among rows that have one: out-of-scope rows have a figure of their own."""
    from sklearn.metrics import precision_recall_fscore_support

    if not intents:
        return {}
    pairs = [(label, given) for label, given in zip(judged.labels, judged.given, strict=True) if label]
    labels, given = zip(*pairs, strict=True)
    precision, recall, f1, _ = precision_recall_fscore_support(labels, given, labels=intents, zero_division=0)
    return {
        intent: {"precision": float(precision[row]), "recall": float(recall[row]), "f1": float(f1[row])}
        for row, intent in enumerate(intents)
    }


def _confused(judged: Judged) -> Counter[tuple[str, str]]:
    pairs = zip(judged.labels, judged.given, strict=True)
    return Counter((label, intent) for label, intent in pairs if label not in ("", intent))


def _changed(ours: Judged, theirs: Judged | None) -> dict[str, int] | None:
    """Rows that one release gets right and the other does not."""
    if theirs is None:
        return None
    return {
        "mended": int((ours.right & ~theirs.right).sum()),
        "broken": int((theirs.right & ~ours.right).sum()),
    }
