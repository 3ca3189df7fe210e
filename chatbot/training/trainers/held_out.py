"""What models say of rows that they were not fitted on, and what is fitted and measured on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatbot.inference.out_of_scope import (
    SCORES,
    Geometry,
    OutOfScopeRule,
    ScoreName,
    ScorePart,
    softmax,
    strangeness,
)
from chatbot.training.trainers.calibration import (
    area_under_roc,
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
)
from chatbot.training.trainers.heads import LinearHead, VotingHead

# Single scores, and blends of scores that err in different ways.
CANDIDATES: tuple[tuple[ScoreName, ...], ...] = (
    ("energy", "distance", "neighbours"),
    ("energy", "distance"),
    ("distance", "neighbours", "mahalanobis"),
    ("probability",),
    ("energy",),
    ("distance",),
    ("neighbours",),
    ("mahalanobis",),
)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out rows: `rows` are their numbers among the training rows, `logits` is [n, intents], each score is [n].

    `part` deals them, and `strange_part` the out-of-scope texts, into parts: what is fitted on all parts but one is
    measured on that one.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    part: NDArray[np.int64]
    logits: NDArray[np.float64]
    scores: dict[ScoreName, NDArray[np.float64]]
    strange_part: NDArray[np.int64]
    strange_scores: dict[ScoreName, NDArray[np.float64]]

    def strangeness(self, rule: OutOfScopeRule) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The rule's scores of the in-scope rows and of the out-of-scope texts."""
        return rule.combine(self.scores), rule.combine(self.strange_scores)


def all_scores(
    features: NDArray[np.float32], logits: NDArray[np.float64], geometry: Geometry
) -> dict[ScoreName, NDArray[np.float64]]:
    """Every out-of-scope score of each row."""
    return {name: strangeness(name, features, logits, geometry) for name in SCORES}


def score_held_out(
    *,
    head: LinearHead | VotingHead,
    geometry: Geometry,
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    part: NDArray[np.int64],
    strange: NDArray[np.float32],
    strange_part: NDArray[np.int64],
) -> HeldOut:
    """What one model says of `features` and `strange`, neither of which it was fitted on."""
    logits = head.logits(features)
    return HeldOut(
        rows=rows,
        labels=labels,
        part=part,
        logits=logits,
        scores=all_scores(features, logits, geometry),
        strange_part=strange_part,
        strange_scores=all_scores(strange, head.logits(strange), geometry),
    )


def join(pieces: list[HeldOut]) -> HeldOut:
    """What several models said, each of its own rows, as one, in the order of the training rows."""
    rows = np.concatenate([piece.rows for piece in pieces])
    order = np.argsort(rows, kind="stable")
    return HeldOut(
        rows=rows[order],
        labels=np.concatenate([piece.labels for piece in pieces])[order],
        part=np.concatenate([piece.part for piece in pieces])[order],
        logits=np.concatenate([piece.logits for piece in pieces])[order],
        scores={name: np.concatenate([piece.scores[name] for piece in pieces])[order] for name in SCORES},
        strange_part=np.concatenate([piece.strange_part for piece in pieces]),
        strange_scores={name: np.concatenate([piece.strange_scores[name] for piece in pieces]) for name in SCORES},
    )


def fit_rule(held_out: HeldOut, max_rejected: float) -> OutOfScopeRule:
    """The candidate that separates best on held-out rows, with its threshold. Without out-of-scope texts: the first."""
    has_strange = len(held_out.strange_part) > 0
    best, best_separation = None, -1.0
    for names in CANDIDATES if has_strange else CANDIDATES[:1]:
        draft = _standardised(names, held_out)
        known, strange = held_out.strangeness(draft)
        separation = area_under_roc(known, strange) if has_strange else 0.0
        if separation > best_separation:
            best, best_separation = draft, separation
    assert best is not None
    known, strange = held_out.strangeness(best)
    return OutOfScopeRule(best.parts, choose_threshold(known, strange, max_rejected))


def measure(held_out: HeldOut, rule: OutOfScopeRule, max_rejected: float) -> dict[str, Any]:
    """Metrics by parts: temperature and threshold are fitted anew without the part that they are measured on."""
    from sklearn.metrics import f1_score

    predicted = held_out.logits.argmax(axis=1)
    right = predicted == held_out.labels
    seen = np.unique(held_out.labels)
    known, strange = held_out.strangeness(rule)
    rejected, caught = _decide(held_out, rule, max_rejected)
    return {
        "measured_examples": len(held_out.labels),
        "accuracy": round(float(right.mean()), 4),
        "macro_f1": round(
            float(f1_score(held_out.labels, predicted, labels=seen, average="macro", zero_division=0)), 4
        ),
        "ece": round(expected_calibration_error(calibrated(held_out), held_out.labels), 4),
        "oos_auroc": round(area_under_roc(known, strange), 4) if len(strange) else None,
        "oos_recall": round(float(caught.mean()), 4) if len(strange) else None,
        "in_scope_rejected": round(float(rejected.mean()), 4),
        "in_scope_accuracy_after_rejection": round(float((right & ~rejected).mean()), 4),
    }


def calibrated(held_out: HeldOut) -> NDArray[np.float64]:
    """Probabilities, shape [n, intents], each part by the temperature that the other parts give."""
    probabilities = np.zeros_like(held_out.logits)
    for number in np.unique(held_out.part):
        inside = held_out.part == number
        others = ~inside if not inside.all() else inside
        temperature = fit_temperature(held_out.logits[others], held_out.labels[others])
        probabilities[inside] = softmax(held_out.logits[inside] / temperature)
    return probabilities


def compare_scores(held_out: HeldOut) -> dict[str, float]:
    """The out-of-scope AUROC of every candidate, by name; empty without out-of-scope texts."""
    if len(held_out.strange_part) == 0:
        return {}
    drafts = [_standardised(names, held_out) for names in CANDIDATES]
    return {draft.score: round(area_under_roc(*held_out.strangeness(draft)), 4) for draft in drafts}


def _decide(
    held_out: HeldOut, rule: OutOfScopeRule, max_rejected: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    known, strange = held_out.strangeness(rule)
    rejected, caught = np.zeros(len(known), dtype=bool), np.zeros(len(strange), dtype=bool)
    for number in np.unique(held_out.part):
        inside, theirs = held_out.part == number, held_out.strange_part == number
        others = ~inside if not inside.all() else inside
        threshold = choose_threshold(known[others], strange[~theirs], max_rejected)
        rejected[inside] = known[inside] > threshold
        caught[theirs] = strange[theirs] > threshold
    return rejected, caught


def _standardised(names: tuple[ScoreName, ...], held_out: HeldOut) -> OutOfScopeRule:
    parts = tuple(
        ScorePart(name, float(held_out.scores[name].mean()), max(float(held_out.scores[name].std()), 1e-6))
        for name in names
    )
    return OutOfScopeRule(parts, 0.0)
