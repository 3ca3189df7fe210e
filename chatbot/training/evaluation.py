"""What a classifier does on rows that it was not trained on, measured through the code that serves it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chatbot.exceptions import ClassifierError
from chatbot.inference.classifier import IntentClassifier
from chatbot.inference.encoder import Encoder
from chatbot.training.trainers.calibration import area_under_roc, expected_calibration_error


def evaluate_classifier(
    classifier: IntentClassifier,
    encoder: Encoder,
    examples: Sequence[tuple[str, str]],
    out_of_scope: Sequence[str] = (),
) -> dict[str, Any]:
    """Metrics on held-out (text, intent) rows and held-out out-of-scope texts.

    Rows of intents that the classifier does not know count as wrong. Raises ClassifierError where there are no rows.
    """
    from sklearn.metrics import f1_score

    if not examples:
        raise ClassifierError("There is nothing to evaluate on.")
    known = {intent: index for index, intent in enumerate(classifier.intents)}
    embeddings = encoder.encode([text for text, _ in examples])
    probabilities = classifier.probabilities(embeddings)
    labels = np.array([known.get(intent, -1) for _, intent in examples])
    predicted = probabilities.argmax(axis=1)
    scores = classifier.out_of_scope_scores(embeddings)
    metrics: dict[str, Any] = {
        "method": "held-out rows",
        "measured_examples": len(examples),
        "unknown_intents": int((labels < 0).sum()),
        "accuracy": round(float((predicted == labels).mean()), 4),
        "macro_f1": round(
            float(f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0)), 4
        ),
        "ece": round(expected_calibration_error(probabilities, labels), 4),
        "in_scope_rejected": round(float((scores > classifier.out_of_scope.threshold).mean()), 4),
        "oos_auroc": None,
        "oos_recall": None,
    }
    if out_of_scope:
        strange = classifier.out_of_scope_scores(encoder.encode(list(out_of_scope)))
        metrics |= {
            "measured_out_of_scope": len(out_of_scope),
            "oos_auroc": round(area_under_roc(scores, strange), 4),
            "oos_recall": round(float((strange > classifier.out_of_scope.threshold).mean()), 4),
        }
    return metrics
