"""A stored evaluation as its page shows it: figures in words, and the coordinates of its plots.

The plots are SVG that the template writes, so that the page is whole without JavaScript and on paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chatbot.conversations.legibility import legible
from chatbot.training.evaluation.intervals import LEVEL
from chatbot.training.evaluation.measures import FIGURES, FigureKind
from chatbot.training.evaluation.report_lines import difference_shown, rows_told, shown
from chatbot.training.models import Evaluation

# Of a whisker and of a bar, in its own units; the style sheet says how large that is.
WIDTH = 160
# Around the reliability diagram, for its axes.
DIAGRAM, MARGIN = 240, 32
INTENTS_SHOWN, CONFUSIONS_SHOWN = 60, 30
CONFIDENCE = f"{LEVEL:.0%}"


@dataclass(frozen=True, slots=True)
class Whisker:
    """An interval around zero: where its ends, its middle and zero lie, from left to right."""

    low: float
    value: float
    high: float
    zero: float = WIDTH / 2


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure of both releases. `verdict` is better, worse, even, or empty where nothing can be said."""

    label: str
    meaning: str
    own: str
    other: str
    difference: str
    interval: str
    verdict: str
    whisker: Whisker | None


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar from zero to a change: where it begins and how wide it is."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class IntentRow:
    """An intent under both releases; `change` is in points of F1."""

    name: str
    rows: int
    few: bool
    own: float
    other: float | None
    change: str
    bar: Bar | None


@dataclass(frozen=True, slots=True)
class DiagramDot:
    """A bin of the reliability diagram; `r` grows with the share of rows in it."""

    x: float
    y: float
    r: float
    told: str


class EvaluationPage:
    """What the template asks for, each part when it is asked for."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation
        self.report: dict[str, Any] = evaluation.report

    @property
    def rows(self) -> list[str]:
        """Which rows were judged and what was left out, as sentences."""
        return [legible(line) for line in rows_told(self.report["rows"])]

    @property
    def is_compared(self) -> bool:
        return self.report["baseline"] is not None

    @cached_property
    def figures(self) -> list[FigureRow]:
        """Every figure that was measured."""
        reach = self._reach(self.report["figures"])
        return [_figure_row(figure, reach) for figure in self.report["figures"] if figure["candidate"]]

    @cached_property
    def intents(self) -> list[IntentRow]:
        """Intents with enough rows, the worst change first."""
        return [_intent_row(entry) for entry in self.report.get("intents", ()) if not entry["few"]][:INTENTS_SHOWN]

    @property
    def intents_more(self) -> int:
        """How many with enough rows are not listed."""
        return sum(not entry["few"] for entry in self.report.get("intents", ())) - len(self.intents)

    @property
    def intents_few(self) -> list[tuple[str, int]]:
        """Intents of which nothing can be said, with how many rows they have."""
        return [(legible(entry["intent"]), entry["rows"]) for entry in self.report.get("intents", ()) if entry["few"]]

    @property
    def confusions(self) -> list[dict[str, Any]]:
        """Who is taken for whom, the most frequent first."""
        listed = self.report.get("confusions", ())[:CONFUSIONS_SHOWN]
        return [{**pair, "intent": legible(pair["intent"]), "given": legible(pair["given"])} for pair in listed]

    @cached_property
    def slices(self) -> list[tuple[str, list[dict[str, Any]]]]:
        """The slices by their kind, each with its figure in words."""
        kind = FIGURES["accuracy" if self.report["kind"] == "classifier" else "similarity"]
        found = []
        for title, entries in self.report.get("slices", {}).items():
            reach = self._reach(entries)
            found.append((f"By {title}", [_slice_row(kind, entry, reach) for entry in entries]))
        return found

    @property
    def slice_figure(self) -> str:
        return FIGURES["accuracy" if self.report["kind"] == "classifier" else "similarity"].label

    @cached_property
    def reliability(self) -> list[tuple[str, list[DiagramDot]]]:
        """The dots of the candidate and of the current release; empty where nothing was measured."""
        calibration = self.report.get("calibration") or {}
        return [(who, _dots(calibration[who]["bins"])) for who in ("baseline", "candidate") if calibration.get(who)]

    @property
    def calibration(self) -> dict[str, Any]:
        found: dict[str, Any] = (self.report.get("calibration") or {}).get("candidate") or {}
        return found

    @property
    def leaks(self) -> dict[str, Any]:
        found: dict[str, Any] = self.report.get("leaks") or {}
        return found

    @staticmethod
    def _reach(entries: Sequence[dict[str, Any]]) -> float:
        """How far from zero the whiskers of shares go, so that all have one scale."""
        bounds = [
            abs(entry["difference"][part])
            for entry in entries
            if entry.get("difference") and entry["difference"]["low"] is not None
            if "name" not in entry or entry["name"] not in FIGURES or FIGURES[entry["name"]].unit == "share"
            for part in ("low", "high")
        ]
        return max([*bounds, 0.02])


def _figure_row(figure: dict[str, Any], reach: float) -> FigureRow:
    kind = FIGURES[figure["name"]]
    own, other = figure["candidate"], figure["baseline"]
    difference = figure["difference"] or {}
    low, high = difference.get("low"), difference.get("high")
    whisker = None
    if low is not None and kind.unit == "share":
        whisker = _whisker(difference, reach)
    elif low is not None and high is not None:
        whisker = _whisker(difference, max(abs(low), abs(high), 1e-9))
    return FigureRow(
        kind.label,
        kind.meaning,
        shown(kind, own["value"]),
        shown(kind, other["value"] if other else None),
        difference_shown(kind, difference.get("value")),
        f"{difference_shown(kind, low)} to {difference_shown(kind, high)}" if low is not None else "",
        _verdict(kind, difference),
        whisker,
    )


def _verdict(kind: FigureKind, difference: dict[str, float | None]) -> str:
    low, value, high = (difference.get(part) for part in ("low", "value", "high"))
    if low is None or value is None or high is None or kind.better == "neither":
        return ""
    # What is shown as no difference is none.
    if float(difference_shown(kind, value)) and (low > 0 or high < 0):
        return "better" if (low > 0) == (kind.better == "higher") else "worse"
    return "even"


def _whisker(difference: dict[str, float], reach: float) -> Whisker:
    low, value, high = (_place(difference[part], reach) for part in ("low", "value", "high"))
    return Whisker(low, value, high)


def _place(value: float, reach: float) -> float:
    """Where a value lies on a scale from −reach to reach, a little within its ends."""
    return round(WIDTH / 2 + max(-1.0, min(1.0, value / reach)) * (WIDTH / 2 - 6), 1)


def _intent_row(entry: dict[str, Any]) -> IntentRow:
    change = entry["f1_change"]
    bar = None
    if change is not None:
        end = _place(change, 0.5)
        bar = Bar(min(end, WIDTH / 2), round(abs(end - WIDTH / 2), 1))
    return IntentRow(
        legible(entry["intent"]),
        entry["rows"],
        entry["few"],
        entry["candidate"]["f1"],
        entry["baseline"]["f1"] if entry["baseline"] else None,
        "–" if change is None else f"{100 * change:+.1f}",
        bar,
    )


def _slice_row(kind: FigureKind, entry: dict[str, Any], reach: float) -> dict[str, Any]:
    difference = entry.get("difference") or {}
    low, high = difference.get("low"), difference.get("high")
    own, other = entry.get("candidate"), entry.get("baseline")
    return {
        "name": legible(entry["name"]),
        "rows": entry["rows"],
        "few": entry["few"],
        "own": shown(kind, own["value"] if own else None),
        "other": shown(kind, other["value"] if other else None),
        "difference": difference_shown(kind, difference.get("value")),
        "interval": f"{difference_shown(kind, low)} to {difference_shown(kind, high)}" if low is not None else "",
        "verdict": _verdict(kind, difference),
        "whisker": _whisker(difference, reach) if low is not None else None,
    }


def _dots(bins: Sequence[dict[str, Any]]) -> list[DiagramDot]:
    rows = sum(each["rows"] for each in bins) or 1
    return [
        DiagramDot(
            round(MARGIN + each["confidence"] * DIAGRAM, 1),
            round(DIAGRAM + 8 - each["accuracy"] * DIAGRAM, 1),
            round(3 + 9 * (each["rows"] / rows) ** 0.5, 1),
            f"{each['rows']} rows: confidence {each['confidence']:.0%}, right {each['accuracy']:.0%}",
        )
        for each in bins
    ]
