"""The figures of an evaluation: what each is called, which way is better, and how two releases compare in it.

A release that was judged row by row gives one `Measure` for each figure; two releases give the same ones over the same
rows. Pure: numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from chatbot.training.evaluation.intervals import Interval, Resampling, Sample, Statistic

# Below this a slice says more about chance than about the release.
FEWEST_ROWS = 20
DIGITS = 4

Better = Literal["higher", "lower", "neither"]
Unit = Literal["share", "number", "ms", "s", "words"]


@dataclass(frozen=True, slots=True)
class FigureKind:
    """A figure as people are told of it."""

    name: str
    label: str
    meaning: str
    better: Better
    unit: Unit = "share"


_KINDS = (
    FigureKind("accuracy", "Accuracy", "rows given the intent that a person gave them", "higher"),
    FigureKind("macro_f1", "Macro F1", "precision and recall in one, each intent counting the same", "higher"),
    FigureKind(
        "in_scope_accuracy_after_rejection",
        "Right and not turned away",
        "rows given their intent and not taken for out of scope",
        "higher",
    ),
    FigureKind("in_scope_rejected", "Turned away", "rows of an intent taken for out of scope", "lower"),
    FigureKind("ece", "Calibration error", "how far confidence lies from how often it is right", "lower", "number"),
    FigureKind("oos_auroc", "Out-of-scope AUROC", "how well strangeness tells the two apart", "higher", "number"),
    FigureKind("oos_recall", "Out of scope noticed", "out-of-scope rows that the bot would not answer", "higher"),
    FigureKind("ms_p50", "Time, median", "to classify one message", "lower", "ms"),
    FigureKind("ms_p95", "Time, 95%", "to classify one message", "lower", "ms"),
    FigureKind("loss", "Loss per token", "how much the reviewed reply surprises the model, in nats", "lower", "number"),
    FigureKind("chrf", "chrF", "characters shared with the reviewed reply, 0 to 100", "higher", "number"),
    FigureKind("similarity", "Similarity", "cosine of its embedding to the reviewed reply's", "higher", "number"),
    FigureKind("grounded", "Grounded", "sentences that the sources support", "higher"),
    FigureKind("unsupported_numbers", "Unsupported numbers", "in a reply, on average", "lower", "number"),
    FigureKind("refused", "Refused", "replies that say they do not know", "neither"),
    FigureKind("words", "Length", "words in a reply, on average", "neither", "words"),
    FigureKind("first_token_s_p50", "First token, median", "from submission to the first token", "lower", "s"),
    FigureKind("reply_s_p50", "Time, median", "to write a whole reply, one at a time", "lower", "s"),
    FigureKind("reply_s_p95", "Time, 95%", "to write a whole reply, one at a time", "lower", "s"),
)
FIGURES = {kind.name: kind for kind in _KINDS}
# From how many words on a message is in the slice of this name.
_LENGTHS = ((21, "over 20 words"), (11, "11–20 words"), (5, "5–10 words"), (0, "1–4 words"))


@dataclass(frozen=True, eq=False, slots=True)
class Measure:
    """One figure of one release, of any of the rows."""

    name: str
    of: Statistic


def mean_of(values: NDArray[np.float64]) -> Statistic:
    """The mean of those values that are there; values of rows that the figure does not concern are NaN."""

    def mean(rows: NDArray[np.int64]) -> float:
        chosen = values[rows]
        chosen = chosen[~np.isnan(chosen)]
        return float(chosen.mean()) if len(chosen) else float("nan")

    return mean


def ratio_of(numerators: NDArray[np.float64], denominators: NDArray[np.float64]) -> Statistic:
    """The sum of the ones over the sum of the others, as for a loss per token."""

    def ratio(rows: NDArray[np.int64]) -> float:
        below = float(np.nansum(denominators[rows]))
        return float(np.nansum(numerators[rows])) / below if below else float("nan")

    return ratio


def compare(
    candidate: Sequence[Measure], baseline: Sequence[Measure] | None, resampling: Resampling
) -> list[dict[str, Any]]:
    """Every figure of both, and the difference (candidate less baseline) with its interval. JSON-ready.

    Without a baseline the interval is of the candidate's own figure, and there is no difference.
    """
    others = {measure.name: measure for measure in baseline or ()}
    found = []
    for measure in candidate:
        other = others.get(measure.name)
        own, theirs = resampling.sample(measure.of), resampling.sample(other.of) if other else None
        found.append(_compared(measure.name, own, theirs))
    return found


def sliced(
    names: Sequence[str], candidate: Measure, baseline: Measure | None, groups: Sequence[str]
) -> list[dict[str, Any]]:
    """One figure within each slice of the rows, the largest slice first. JSON-ready.

    `names` says for each row which slice it is in; rows with an empty name are in none. Slices of fewer than
    FEWEST_ROWS rows are named and counted, and nothing is concluded from them.
    """
    found = []
    numbers: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        if name:
            numbers.setdefault(name, []).append(row)
    for name, listed in numbers.items():
        rows = np.array(listed, dtype=np.int64)
        entry: dict[str, Any] = {"name": name, "rows": len(rows), "few": len(rows) < FEWEST_ROWS}
        if not entry["few"]:
            resampling = Resampling([groups[row] for row in rows])

            def within(statistic: Statistic, rows: NDArray[np.int64] = rows) -> Statistic:
                return lambda drawn: statistic(rows[drawn])

            compared = compare(
                [Measure(candidate.name, within(candidate.of))],
                [Measure(baseline.name, within(baseline.of))] if baseline else None,
                resampling,
            )
            entry |= {part: compared[0][part] for part in ("candidate", "baseline", "difference")}
        found.append(entry)
    return sorted(found, key=lambda entry: (-entry["rows"], entry["name"]))


def compare_times(
    shares: Mapping[str, int], candidate: NDArray[np.float64], baseline: NDArray[np.float64] | None
) -> list[dict[str, Any]]:
    """Percentiles, by the name of their figure, of times that were taken of the same things, [n] each. JSON-ready.

    Besides the differences it tells the `ratio` of candidate to baseline, with its interval: times on a busy machine
    are noise, and a gate must not close on it.
    """
    resampling = Resampling(range(len(candidate)))
    found = []
    for name, share in shares.items():
        own = resampling.sample(_percentile(candidate, share))
        theirs = None if baseline is None else resampling.sample(_percentile(baseline, share))
        ratio = (own / theirs).interval if theirs else None
        found.append({**_compared(name, own, theirs), "ratio": _rounded(ratio)})
    return found


def length_slice(text: str) -> str:
    """Which of the slices by length a customer's message is in."""
    words = len(text.split())
    return next(name for fewest, name in _LENGTHS if words >= fewest)


def rounded(value: float | None) -> float | None:
    """As reports hold figures; None where there is none."""
    return None if value is None or np.isnan(value) else round(float(value), DIGITS)


def _compared(name: str, own: Sample, theirs: Sample | None) -> dict[str, Any]:
    return {
        "name": name,
        "candidate": _rounded(own.interval),
        "baseline": _rounded(theirs.interval if theirs else None),
        "difference": _rounded((own - theirs).interval if theirs else None),
    }


def _percentile(values: NDArray[np.float64], share: int) -> Statistic:
    return lambda rows: float(np.percentile(values[rows], share))


def _rounded(interval: Interval | None) -> dict[str, float | None] | None:
    if interval is None:
        return None
    return {"value": rounded(interval.value), "low": rounded(interval.low), "high": rounded(interval.high)}
