"""The end of every recipe: temperature, out-of-scope rule and metrics from the held-out rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatbot.inference.classifier import IntentClassifier
from chatbot.inference.out_of_scope import Geometry, OutOfScopeRule, ScorePart
from chatbot.training.trainers.calibration import fit_temperature
from chatbot.training.trainers.heads import LinearHead, VotingHead, fit_geometry
from chatbot.training.trainers.held_out import HeldOut, compare_scores, fit_rule, measure
from chatbot.training.trainers.rows import TrainingRows
from chatbot.training.trainers.thresholds import threshold_costs
from chatbot.training.trainers.trained import TrainedClassifier

# Used where nothing can be held out. MiniLM puts unrelated sentences below a cosine of about 0.3.
_FALLBACK = OutOfScopeRule((ScorePart("distance"),), threshold=0.7)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What makes logits into confidences and decisions, and what was measured of it."""

    temperature: float
    rule: OutOfScopeRule
    geometry: Geometry
    metrics: dict[str, Any]


def finish(
    *,
    rows: TrainingRows,
    head: LinearHead | VotingHead,
    features: NDArray[np.float32],
    encoder_digest: str,
    held_out: HeldOut | None,
    method: str | None,
    max_rejected: float,
    configuration: dict[str, Any],
    write_encoder: Callable[[Path], None] | None = None,
) -> TrainedClassifier:
    """The classifier of a fitted head, calibrated and measured. `features`, [n, dimension], are those of all rows."""
    seed = configuration["seed"]
    linear, vote = (head.linear, head.vote) if isinstance(head, VotingHead) else (head, None)
    calibration = calibrate(held_out, fit_geometry(features, rows.labels, seed), max_rejected)
    return TrainedClassifier(
        classifier=IntentClassifier(
            intents=rows.intents,
            weights=linear.weights,
            bias=linear.bias,
            vote=vote,
            geometry=calibration.geometry,
            temperature=calibration.temperature,
            out_of_scope=calibration.rule,
            encoder_digest=encoder_digest,
        ),
        rows=rows,
        features=features,
        held_out=held_out,
        metrics={**describe_rows(rows, held_out, method), **calibration.metrics},
        configuration=configuration,
        write_encoder=write_encoder,
    )


def calibrate(held_out: HeldOut | None, geometry: Geometry, max_rejected: float) -> Calibration:
    """Fit temperature and out-of-scope rule; keep of the geometry what the rule needs."""
    if held_out is None:
        return Calibration(1.0, _FALLBACK, _needed(geometry, _FALLBACK), {"out_of_scope_score": _FALLBACK.score})
    temperature = fit_temperature(held_out.logits, held_out.labels)
    rule = fit_rule(held_out, max_rejected)
    metrics = {
        **measure(held_out, rule, max_rejected),
        "temperature": round(temperature, 4),
        "out_of_scope_score": rule.score,
        "out_of_scope_aurocs": compare_scores(held_out),
        "thresholds": threshold_costs(held_out, rule),
    }
    return Calibration(temperature, rule, _needed(geometry, rule), metrics)


def describe_rows(rows: TrainingRows, held_out: HeldOut | None, method: str | None) -> dict[str, Any]:
    """What was trained on, and how it was measured."""
    return {
        "intents": len(rows.intents),
        "examples": len(rows.texts),
        "out_of_scope_examples": len(rows.out_of_scope),
        "dropped_empty": rows.empty,
        "dropped_duplicates": rows.duplicates,
        "method": method or "not measured: no intent has two examples, so none could be held out",
        "unmeasured_examples": len(rows.texts) - (len(held_out.rows) if held_out else 0),
    }


def _needed(geometry: Geometry, rule: OutOfScopeRule) -> Geometry:
    names = {part.name for part in rule.parts}
    if "neighbours" not in names:
        geometry = replace(geometry, exemplars=None)
    if "mahalanobis" not in names:
        geometry = replace(geometry, mean=None, within=None, overall=None)
    return geometry
