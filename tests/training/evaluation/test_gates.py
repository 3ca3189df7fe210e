"""The gate: what each rule says of a report, and that rules which mean nothing are refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from chatbot.exceptions import EvaluationError
from chatbot.training.evaluation.gates import GateResult, GateRules, judge_gates, passed, read_gate_rules

RULES = GateRules()


def figure(name: str, own: float, other: float | None, low: float | None = None, high: float | None = None) -> Any:
    value = None if other is None else round(own - other, 4)
    return {
        "name": name,
        "candidate": {"value": own, "low": None, "high": None},
        "baseline": None if other is None else {"value": other, "low": None, "high": None},
        "difference": None if low is None else {"value": value, "low": low, "high": high},
    }


def classifier_report(**changes: Any) -> dict[str, Any]:
    report = {
        "kind": "classifier",
        "candidate": "classifier-0002",
        "baseline": "classifier-0001",
        "rows": {"judged": 300},
        "figures": [figure("accuracy", 0.9, 0.88, -0.01, 0.05), timed(4.0, 3.9, 0.9)],
        "intents": [{"intent": "refund", "rows": 40, "f1_change": -0.04}],
        "calibration": {"candidate": {"error": 0.03, "by_chance": 0.02}},
    }
    return copy.deepcopy(report) | changes


def generator_report(leaks: dict[str, Any]) -> dict[str, Any]:
    figures = [figure("loss", 1.2, 1.4, -0.3, -0.1), figure("reply_s_p50", 2.0, 1.9)]
    return {"kind": "generator", "baseline": "g", "rows": {"judged": 90}, "figures": figures, "leaks": leaks}


def rule(report: dict[str, Any], name: str, rules: GateRules = RULES) -> GateResult:
    (result,) = (result for result in judge_gates(report, rules) if result.rule == name)
    return result


def test_a_good_candidate_passes_every_rule_with_a_sentence_for_each() -> None:
    results = judge_gates(classifier_report(), RULES)
    assert [result.outcome for result in results] == ["passed"] * 5
    assert all(result.reason.endswith(".") for result in results)
    assert passed(results)


def test_worse_by_more_than_chance_fails_and_worse_within_it_does_not() -> None:
    within = classifier_report(figures=[figure("accuracy", 0.86, 0.88, -0.05, 0.01)])
    assert rule(within, "overall").outcome == "passed"
    beyond = classifier_report(figures=[figure("accuracy", 0.80, 0.88, -0.12, -0.04)])
    result = rule(beyond, "overall")
    assert (result.outcome, result.blocks) == ("failed", True)
    assert "Accuracy -8.0 (95% interval -12.0 to -4.0)" in result.reason


def test_for_a_loss_more_is_worse() -> None:
    report = generator_report({"planted": 0, "was_trained": False, "reason": "It was not trained here."})
    assert rule(report, "overall").outcome == "passed"
    report["figures"][0] = figure("loss", 1.6, 1.4, 0.1, 0.3)
    assert rule(report, "overall").outcome == "failed"


def test_few_rows_fail_whatever_the_figures_say() -> None:
    result = rule(classifier_report(rows={"judged": 29}), "rows")
    assert (result.outcome, result.blocks) == ("failed", True)
    assert "29 rows" in result.reason


def test_on_few_rows_calibration_is_not_judged() -> None:
    calibration = {"candidate": {"error": 0.2, "by_chance": 0.1}}
    result = rule(classifier_report(rows={"judged": 18}, calibration=calibration), "calibration")
    assert (result.outcome, result.blocks) == ("unmeasurable", False)


@pytest.mark.parametrize(
    ("change", "rows", "outcome"), [(-0.05, 20, "passed"), (-0.051, 20, "failed"), (-0.9, 19, "unmeasurable")]
)
def test_an_intent_counts_from_twenty_rows_and_may_lose_five_points(change: float, rows: int, outcome: str) -> None:
    report = classifier_report(intents=[{"intent": "refund", "rows": rows, "f1_change": change}])
    result = rule(report, "intents")
    assert result.outcome == outcome
    assert result.blocks == (outcome == "failed")


@pytest.mark.parametrize(
    ("error", "by_chance", "outcome"), [(0.05, 0.01, "passed"), (0.08, 0.1, "unmeasurable"), (0.08, 0.06, "failed")]
)
def test_calibration_is_judged_by_what_chance_explains(error: float, by_chance: float, outcome: str) -> None:
    report = classifier_report(calibration={"candidate": {"error": error, "by_chance": by_chance}})
    assert rule(report, "calibration").outcome == outcome


def timed(own: float, other: float, low: float) -> dict[str, Any]:
    """How long messages took; the ratio is at least `low`, as far as chance lets one say."""
    ratio = {"value": own / other, "low": low, "high": own / other + 0.2}
    return figure("ms_p50", own, other, own - other - 1, own - other + 1) | {"ratio": ratio}


@pytest.mark.parametrize(
    ("own", "other", "low", "outcome"),
    [
        (12.0, 10.0, 1.1, "passed"),
        (13.0, 10.0, 1.21, "failed"),
        (13.0, 10.0, 1.1, "unmeasurable"),
        (3.0, 1.5, 1.9, "passed"),
    ],
)
def test_time_may_be_a_fifth_longer_or_too_little_to_notice(own: float, other: float, low: float, outcome: str) -> None:
    result = rule(classifier_report(figures=[timed(own, other, low)]), "latency")
    assert result.outcome == outcome
    assert result.blocks == (outcome == "failed")


def test_nothing_to_compare_with_is_no_obstacle() -> None:
    report = classifier_report(
        baseline=None,
        figures=[figure("accuracy", 0.9, None), figure("ms_p50", 4.0, None)],
        intents=[{"intent": "refund", "rows": 40, "f1_change": None}],
    )
    results = judge_gates(report, RULES)
    assert [result.outcome for result in results] == ["passed", *["unmeasurable"] * 2, "passed", "unmeasurable"]
    assert passed(results)


@pytest.mark.parametrize(
    ("leaks", "outcome", "blocks", "said"),
    [
        ({"planted": 0, "was_trained": False, "reason": "It was not trained here."}, "unmeasurable", False, "here"),
        ({"planted": 0, "was_trained": True, "reason": "No canaries."}, "unmeasurable", True, "canaries"),
        (
            {"planted": 2, "decoys": 1023, "exposures": [{"bits": 1.0, "drawn_out": True}]},
            "failed",
            True,
            "told 1 of 2",
        ),
        (
            {"planted": 2, "decoys": 1023, "exposures": [{"bits": 10.0, "drawn_out": False}]},
            "failed",
            True,
            "exposure 10.0",
        ),
        (
            {"planted": 2, "decoys": 1023, "exposures": [{"bits": 3.2, "drawn_out": False}]},
            "passed",
            False,
            "told none of 2",
        ),
    ],
)
def test_leaks(leaks: dict[str, Any], outcome: str, blocks: bool, said: str) -> None:
    result = rule(generator_report(leaks), "leaks")
    assert (result.outcome, result.blocks) == (outcome, blocks)
    assert said in result.reason


def test_rules_come_from_a_file_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"intent_drop": 0.02, "fewest_rows": 100}))
    assert read_gate_rules(path) == GateRules(intent_drop=0.02, fewest_rows=100)
    assert read_gate_rules(None) == GateRules()
    assert rule(classifier_report(), "intents", read_gate_rules(path)).outcome == "failed"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "holds no gate rules"),
        ("[]", "no JSON object"),
        ('{"intent_dorp": 1}', "no rule 'intent_dorp'"),
        ('{"intent_drop": 1.5}', "intent_drop must be from 0 to 1"),
        ('{"intent_drop": NaN}', "intent_drop must be"),
        ('{"latency_ratio": 0.5}', "latency_ratio must be from 1"),
        ('{"fewest_rows": 0}', "fewest_rows must be a whole number"),
        ('{"fewest_rows": 2.5}', "fewest_rows must be a whole number"),
        ('{"leak_test_required": "no"}', "leak_test_required must be true or false"),
    ],
)
def test_rules_that_mean_nothing_are_refused_in_a_sentence(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "rules.json"
    path.write_text(content)
    with pytest.raises(EvaluationError, match=said) as caught:
        read_gate_rules(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"rules\.json: No such file"):
        read_gate_rules(tmp_path / "rules.json")
