"""What a classifier does on rows that it was not trained on, measured through the code that serves it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from chatbot.exceptions import ClassifierError
from chatbot.inference.text_classifier import TextClassifier
from chatbot.training.trainers.calibration import area_under_roc, expected_calibration_error

_TIMED_MESSAGES = 200


def evaluate_classifier(
    classifier: TextClassifier, examples: Sequence[tuple[str, str]], out_of_scope: Sequence[str] = ()
) -> dict[str, Any]:
    """Metrics on held-out (text, intent) rows and held-out out-of-scope texts.

    Rows of intents that the classifier does not know count as wrong; so do rejected rows in
    `in_scope_accuracy_after_rejection`. Raises ClassifierError where there are no rows.
    """
    from sklearn.metrics import f1_score

    if not examples:
        raise ClassifierError("There is nothing to evaluate on.")
    head, rule = classifier.head, classifier.head.out_of_scope
    known = {intent: index for index, intent in enumerate(head.intents)}
    features = classifier.features([text for text, _ in examples])
    probabilities = head.probabilities(features)
    labels = np.array([known.get(intent, -1) for _, intent in examples])
    predicted = probabilities.argmax(axis=1)
    right = predicted == labels
    scores = head.out_of_scope_scores(features)
    accepted = scores <= rule.threshold
    metrics: dict[str, Any] = {
        "measured_examples": len(examples),
        "unknown_intents": int((labels < 0).sum()),
        "accuracy": round(float(right.mean()), 4),
        "macro_f1": round(
            float(f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0)), 4
        ),
        "ece": round(expected_calibration_error(probabilities, labels), 4),
        "in_scope_rejected": round(float((~accepted).mean()), 4),
        "in_scope_accuracy_after_rejection": round(float((right & accepted).mean()), 4),
        "oos_auroc": None,
        "oos_recall": None,
    }
    if out_of_scope:
        strange = head.out_of_scope_scores(classifier.features(list(out_of_scope)))
        metrics |= {
            "measured_out_of_scope": len(out_of_scope),
            "oos_auroc": round(area_under_roc(scores, strange), 4),
            "oos_recall": round(float((strange > rule.threshold).mean()), 4),
        }
    return metrics


def classification_times(classifier: TextClassifier, texts: Sequence[str]) -> dict[str, float]:
    """Milliseconds to classify one message at a time, median and 95th percentile, over a spread of the texts."""
    chosen = [texts[index] for index in np.linspace(0, len(texts) - 1, min(_TIMED_MESSAGES, len(texts))).astype(int)]
    # The first messages of each length compile what later ones use.
    classifier.predict(chosen)
    taken = []
    for text in chosen:
        started = time.perf_counter()
        classifier.classify([text])
        taken.append(1000 * (time.perf_counter() - started))
    return {
        "classify_ms_p50": round(float(np.percentile(taken, 50)), 2),
        "classify_ms_p95": round(float(np.percentile(taken, 95)), 2),
    }
