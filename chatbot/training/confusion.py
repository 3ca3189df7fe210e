"""Which intents a classifier takes for each other, and whether to merge them or to split one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatbot.training.trainers.rows import TrainingRows

# Two intents that trade a tenth of their examples are one to the classifier, and mostly to customers.
_MERGE_RATE = 0.1
# Below this an intent is in need of help.
_LOW_RECALL = 0.8
# Of a mean silhouette above this it is said that clusters are there (Rousseeuw 1987 calls up to 0.25 “no structure”).
_TWO_CLUSTERS = 0.25
_CLUSTER_ROWS = 10


def intent_scores(rows: TrainingRows, labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and how many rows were judged, for each intent, the lowest F1 first.

    An intent of which no row could be judged has None in place of each figure.
    """
    from sklearn.metrics import precision_recall_fscore_support

    numbers = np.arange(len(rows.intents))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=numbers, average=None, zero_division=0
    )
    examples = np.bincount(rows.labels, minlength=len(numbers))
    scores = [
        {
            "intent": rows.intents[number],
            "examples": int(examples[number]),
            "judged": int(support[number]),
            "precision": round(float(precision[number]), 4) if support[number] else None,
            "recall": round(float(recall[number]), 4) if support[number] else None,
            "f1": round(float(f1[number]), 4) if support[number] else None,
        }
        for number in numbers
    ]
    return sorted(scores, key=lambda score: (-1.0 if score["f1"] is None else score["f1"], score["intent"]))


def merge_suggestions(
    rows: TrainingRows, labels: NDArray[np.int64], predicted: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Pairs of intents that are taken for each other in both directions, the worst first."""
    table = confusion_table(labels, predicted, len(rows.intents))
    support = table.sum(axis=1)
    found = []
    for first in range(len(rows.intents)):
        for second in range(first + 1, len(rows.intents)):
            there, back = int(table[first, second]), int(table[second, first])
            rate = (there + back) / max(1, int(support[first] + support[second]))
            if there and back and rate >= _MERGE_RATE:
                found.append(
                    {
                        "intents": [rows.intents[first], rows.intents[second]],
                        "confused": there + back,
                        "rate": round(rate, 4),
                        "reason": f"{there} of {int(support[first])} go one way, {back} of {int(support[second])} the "
                        "other: merge them, or give each examples that the other could not have",
                    }
                )
    return sorted(found, key=lambda pair: (-pair["rate"], pair["intents"]))


def split_suggestions(
    rows: TrainingRows, labels: NDArray[np.int64], predicted: NDArray[np.int64], features: NDArray[np.float32]
) -> list[dict[str, Any]]:
    """Intents that are often missed and whose examples fall into two groups, or are lost to many other intents.

    `features` are the judged rows' embeddings, [len(labels), dimension].
    """
    table = confusion_table(labels, predicted, len(rows.intents))
    found = []
    for number, intent in enumerate(rows.intents):
        support = int(table[number].sum())
        if support == 0 or table[number, number] / support >= _LOW_RECALL:
            continue
        recall = round(float(table[number, number] / support), 4)
        others = np.flatnonzero(table[number])
        lost_to = [rows.intents[other] for other in others if other != number]
        separation = _two_groups(features[labels == number])
        if separation is not None and separation >= _TWO_CLUSTERS:
            reason = "its examples fall into two groups that have little in common: split it in two"
        elif len(lost_to) >= 3:
            reason = f"its examples are lost to {len(lost_to)} other intents: narrow it, or split it along them"
        else:
            continue
        found.append({"intent": intent, "recall": recall, "lost_to": lost_to, "reason": reason})
    return sorted(found, key=lambda intent: (intent["recall"], intent["intent"]))


def confusion_table(labels: NDArray[np.int64], predicted: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """How often each intent (row) was given as each (column), shape [count, count]."""
    table = np.zeros((count, count), dtype=np.int64)
    np.add.at(table, (labels, predicted), 1)
    return table


def _two_groups(features: NDArray[np.float32]) -> float | None:
    """The mean silhouette of the best split in two, by cosine; None for too few rows."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    if len(features) < _CLUSTER_ROWS:
        return None
    with threadpool_limits(limits=1):
        groups = KMeans(2, n_init=4, random_state=0).fit_predict(features)
        # A group of one or two is an odd example, not a second matter.
        if min(np.bincount(groups, minlength=2)) < 3:
            return None
        return float(silhouette_score(features, groups, metric="cosine"))
