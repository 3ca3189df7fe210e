"""Examples that look as if they stood under the wrong intent, and texts that stand under two."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatbot.training.trainers.held_out import HeldOut
from chatbot.training.trainers.rows import TrainingRows

# Sentences this near differ by a filler word or a full stop; rephrased questions lie between 0.7 and 0.9.
NEARLY_THE_SAME = 0.96
_BLOCK = 1024


def likely_mislabelled(
    rows: TrainingRows, held_out: HeldOut, probabilities: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """Rows that the classifier confidently takes for another intent, the surest first.

    Confident learning (Northcutt, Jiang, Chuang 2021, arXiv:1911.00068): a row counts for an intent where its
    probability reaches the mean probability that the intent's own rows have. Rows that count for another intent than
    theirs are ranked by normalised margin, the probability of their own intent less the highest of another.
    `probabilities` are calibrated and of rows held out, [n, intents].
    """
    labels, count = held_out.labels, probabilities.shape[1]
    own = np.zeros(count)
    np.add.at(own, labels, probabilities[np.arange(len(labels)), labels])
    support = np.bincount(labels, minlength=count)
    typical = np.where(support > 0, own / np.maximum(support, 1), np.inf)
    counted = np.where(probabilities >= typical, probabilities, -1.0)
    given = counted.argmax(axis=1)
    suspicious = np.flatnonzero((counted.max(axis=1) > 0) & (given != labels))
    margins = probabilities[suspicious, labels[suspicious]] - probabilities[suspicious, given[suspicious]]
    return [
        {
            "row": int(held_out.rows[number]),
            "text": rows.texts[int(held_out.rows[number])],
            "intent": rows.intents[labels[number]],
            "looks_like": rows.intents[given[number]],
            "confidence": round(float(probabilities[number, given[number]]), 4),
            "margin": round(float(margin), 4),
        }
        for margin, number in sorted(zip(margins, suspicious, strict=True))
        if margin < 0
    ]


def shared_texts(rows: TrainingRows, features: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Pairs of rows under different intents with the same, or nearly the same, text; the nearest first.

    `features` are the rows' embeddings, [n, dimension], of unit length.
    """
    found: list[tuple[float, int, int]] = []
    for start in range(0, len(features), _BLOCK):
        cosines = features[start : start + _BLOCK] @ features.T
        for first, second in np.argwhere(cosines >= NEARLY_THE_SAME):
            row = int(start + first)
            if row < second and rows.labels[row] != rows.labels[second]:
                found.append((float(cosines[first, second]), row, int(second)))
    return [
        {
            "rows": [first, second],
            "texts": [rows.texts[first], rows.texts[second]],
            "intents": [rows.intents[rows.labels[first]], rows.intents[rows.labels[second]]],
            "similarity": round(min(1.0, similarity), 4),
            "same": rows.texts[first].casefold() == rows.texts[second].casefold(),
        }
        for similarity, first, second in sorted(found, key=lambda pair: (-pair[0], pair[1:]))
    ]
