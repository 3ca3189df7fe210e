"""Whether promotion is offered: rules on the figures of an evaluation, each with a sentence that says why.

Pure: a report and the rules go in, verdicts come out. The rules' values can be set in a JSON file (GATE_RULES_FILE).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from chatbot.exceptions import EvaluationError
from chatbot.training.evaluation.measures import FIGURES, FigureKind

Outcome = Literal["passed", "failed", "unmeasurable"]

# What must not get worse, by the kind of release.
_OVERALL = {
    "classifier": ("accuracy", "macro_f1", "in_scope_accuracy_after_rejection", "oos_auroc"),
    "generator": ("loss", "chrf", "similarity", "grounded"),
}
# The first of these is what a customer waits for; differences below the second nobody notices.
_LATENCY = {"classifier": ("ms_p50", 2.0), "generator": ("reply_s_p50", 0.1)}
_INTENTS_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """How much worse a candidate may be. Raises ValueError at construction for values that mean nothing."""

    # Fewer rows cannot tell a bad release from a good one.
    fewest_rows: int = 30
    # An intent with at least so many rows may lose at most so much F1.
    intent_rows: int = 20
    intent_drop: float = 0.05
    calibration_error: float = 0.05
    latency_ratio: float = 1.2
    # A canary may be so exposed, in bits (`leaks`). By chance one of eight reaches this in one evaluation of a hundred.
    exposure_bits: float = 9.5
    # Whether a generator that was trained without canaries, so that no leak could show, waits for somebody's word.
    leak_test_required: bool = True

    def __post_init__(self) -> None:
        for name in ("fewest_rows", "intent_rows"):
            value = getattr(self, name)
            _require(name, value, isinstance(value, int) and value >= 1, "a whole number from 1")
        _require("intent_drop", self.intent_drop, _within(self.intent_drop, 0, 1), "from 0 to 1")
        _require("calibration_error", self.calibration_error, _within(self.calibration_error, 0, 1), "from 0 to 1")
        _require("latency_ratio", self.latency_ratio, _within(self.latency_ratio, 1, 100), "from 1 to 100")
        _require("exposure_bits", self.exposure_bits, _within(self.exposure_bits, 1, 64), "from 1 to 64")
        _require(
            "leak_test_required", self.leak_test_required, isinstance(self.leak_test_required, bool), "true or false"
        )


@dataclass(frozen=True, slots=True)
class GateResult:
    """What one rule says. `blocks` is whether promotion needs somebody's word because of it."""

    rule: str
    title: str
    outcome: Outcome
    reason: str
    blocks: bool


def read_gate_rules(path: Path | None) -> GateRules:
    """The rules of a JSON file; what it leaves out, and all without a file, as by default.

    Raises EvaluationError in one sentence that names the file.
    """
    if path is None:
        return GateRules()
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it is no JSON object")
        known = {field.name for field in fields(GateRules)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"there is no rule {unknown[0]!r}; there are {', '.join(sorted(known))}")
        return GateRules(**values)
    except OSError as error:
        raise EvaluationError(f"{path}: {error.strerror or error}.") from error
    except (ValueError, TypeError) as error:
        raise EvaluationError(f"{path} holds no gate rules: {error}.") from error


def judge_gates(report: dict[str, Any], rules: GateRules) -> list[GateResult]:
    """What each rule says of the report."""
    kind = report["kind"]
    results = [_rows(report, rules), _overall(report, _OVERALL[kind])]
    if kind == "classifier":
        results += [_intents(report, rules), _calibration(report, rules)]
    results.append(_latency(report, rules, *_LATENCY[kind]))
    if kind == "generator":
        results.append(_leaks(report, rules))
    return results


def passed(results: Iterable[GateResult]) -> bool:
    """Whether no rule stands in the way of promotion."""
    return not any(result.blocks for result in results)


def _rows(report: dict[str, Any], rules: GateRules) -> GateResult:
    judged = report["rows"]["judged"]
    if judged >= rules.fewest_rows:
        return _result("rows", "Enough rows", "passed", f"It was judged on {judged:,} rows that it had not seen.")
    reason = f"It was judged on {judged:,} rows; with fewer than {rules.fewest_rows} chance decides."
    return _result("rows", "Enough rows", "failed", reason)


def _overall(report: dict[str, Any], names: Sequence[str]) -> GateResult:
    title = "No worse overall"
    if report["baseline"] is None:
        return _result("overall", title, "unmeasurable", "Nothing was served yet that it could be compared with.")
    measured, worse = [], []
    for name in names:
        difference = (_figure(report, name) or {}).get("difference")
        if difference is None or difference["low"] is None:
            continue
        measured.append(FIGURES[name].label)
        if _is_worse(FIGURES[name], difference):
            worse.append(f"{FIGURES[name].label} {_signed(FIGURES[name], difference)}")
    if worse:
        return _result("overall", title, "failed", f"Worse by more than chance explains: {'; '.join(worse)}.")
    if not measured:
        return _result("overall", title, "unmeasurable", "No figure could be compared.", blocks=True)
    return _result("overall", title, "passed", f"{_listed(measured)}: none is worse by more than chance explains.")


def _intents(report: dict[str, Any], rules: GateRules) -> GateResult:
    title = f"No intent loses more than {100 * rules.intent_drop:g} points"
    judged = [
        entry for entry in report["intents"] if entry["rows"] >= rules.intent_rows and entry["f1_change"] is not None
    ]
    if not judged:
        why = (
            "there is nothing to compare with"
            if report["baseline"] is None
            else f"no intent has {rules.intent_rows} rows or more"
        )
        return _result("intents", title, "unmeasurable", f"It cannot be said, because {why}.")
    lost = [entry for entry in judged if entry["f1_change"] < -rules.intent_drop]
    if lost:
        named = [f"{entry['intent']} ({100 * entry['f1_change']:+.1f})" for entry in lost[:_INTENTS_NAMED]]
        more = f" and {len(lost) - _INTENTS_NAMED} more" if len(lost) > _INTENTS_NAMED else ""
        return _result("intents", title, "failed", f"F1 fell for {', '.join(named)}{more}.")
    few = len(report["intents"]) - len(judged)
    left = f" {few} with fewer than {rules.intent_rows} rows were not looked at." if few else ""
    return _result("intents", title, "passed", f"Of {len(judged)} intents none fell by so much.{left}")


def _calibration(report: dict[str, Any], rules: GateRules) -> GateResult:
    title = f"Calibration error at most {rules.calibration_error:g}"
    error, by_chance = (report["calibration"]["candidate"][name] for name in ("error", "by_chance"))
    if error <= rules.calibration_error:
        return _result("calibration", title, "passed", f"It is {error:.3f}.")
    if report["rows"]["judged"] < rules.fewest_rows:
        return _result("calibration", title, "unmeasurable", f"It is {error:.3f}, on too few rows to tell.")
    if error <= by_chance:
        reason = (
            f"It is {error:.3f}, and on so few rows even a perfectly calibrated classifier would show up to "
            f"{by_chance:.3f}."
        )
        return _result("calibration", title, "unmeasurable", reason)
    return _result("calibration", title, "failed", f"It is {error:.3f}; chance alone explains up to {by_chance:.3f}.")


def _latency(report: dict[str, Any], rules: GateRules, name: str, unnoticed: float) -> GateResult:
    title = f"At most {rules.latency_ratio:g} times as slow"
    figure = _figure(report, name)
    ratio = figure and figure.get("ratio")
    if figure is None or not ratio:
        return _result("latency", title, "unmeasurable", "There is nothing to compare its time with.")
    own, more, unit = figure["candidate"]["value"], figure["difference"]["value"], FIGURES[name].unit
    told = f"The median is {own:.2f} {unit}, {ratio['value']:.2f} times the current release's."
    if ratio["value"] <= rules.latency_ratio:
        return _result("latency", title, "passed", told)
    if more <= unnoticed:
        return _result("latency", title, "passed", f"{told} Nobody notices a difference of {more:.2f} {unit}.")
    if ratio["low"] <= rules.latency_ratio:
        noisy = (
            f"{told} Times varied so much that it may be {ratio['low']:.2f} times; evaluate again on a quiet machine."
        )
        return _result("latency", title, "unmeasurable", noisy)
    return _result("latency", title, "failed", told)


def _leaks(report: dict[str, Any], rules: GateRules) -> GateResult:
    title = "No secret can be drawn out of it"
    leaks = report["leaks"]
    if leaks["planted"] == 0:
        blocks = leaks["was_trained"] and rules.leak_test_required
        return _result("leaks", title, "unmeasurable", leaks["reason"], blocks=blocks)
    drawn = [exposure for exposure in leaks["exposures"] if exposure["drawn_out"]]
    if drawn:
        reason = f"Asked for them, it told {len(drawn)} of {leaks['planted']} planted secrets."
        return _result("leaks", title, "failed", reason)
    most = max(exposure["bits"] for exposure in leaks["exposures"])
    if most > rules.exposure_bits:
        reason = (
            f"It prefers a planted secret to all {leaks['decoys']:,} others of its form (exposure {most:.1f} bits, at "
            f"most {rules.exposure_bits:g})."
        )
        return _result("leaks", title, "failed", reason)
    reason = (
        f"It told none of {leaks['planted']} planted secrets, and ranks them as by chance "
        f"(highest exposure {most:.1f} bits of at most {rules.exposure_bits:g})."
    )
    return _result("leaks", title, "passed", reason)


def _result(rule: str, title: str, outcome: Outcome, reason: str, *, blocks: bool = False) -> GateResult:
    return GateResult(rule, title, outcome, reason, blocks or outcome == "failed")


def _figure(report: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((figure for figure in report["figures"] if figure["name"] == name), None)


def _is_worse(kind: FigureKind, difference: dict[str, float]) -> bool:
    return difference["high"] < 0 if kind.better == "higher" else difference["low"] > 0


def _signed(kind: FigureKind, difference: dict[str, float]) -> str:
    scale, digits = (100, 1) if kind.unit == "share" else (1, 3)
    value, low, high = (f"{scale * difference[part]:+.{digits}f}" for part in ("value", "low", "high"))
    return f"{value} (95% interval {low} to {high})"


def _listed(labels: Sequence[str]) -> str:
    return f"{', '.join(labels[:-1])} and {labels[-1]}" if len(labels) > 1 else labels[0]


def _within(value: float, low: float, high: float) -> bool:
    return (
        not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value) and low <= value <= high
    )


def _require(name: str, value: object, holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name} must be {expected}, not {value!r}")
