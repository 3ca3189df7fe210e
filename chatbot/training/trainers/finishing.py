"""The end of every recipe: temperature, out-of-scope rule and metrics from the held-out rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from chatbot.inference.out_of_scope import Geometry, OutOfScopeRule, ScorePart
from chatbot.training.trainers.calibration import fit_temperature
from chatbot.training.trainers.held_out import HeldOut, compare_scores, fit_rule, measure
from chatbot.training.trainers.rows import TrainingRows
from chatbot.training.trainers.thresholds import threshold_costs

# Used where nothing can be held out. MiniLM puts unrelated sentences below a cosine of about 0.3.
_FALLBACK = OutOfScopeRule((ScorePart("distance"),), threshold=0.7)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What makes logits into confidences and decisions, and what was measured of it."""

    temperature: float
    rule: OutOfScopeRule
    geometry: Geometry
    metrics: dict[str, Any]


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
