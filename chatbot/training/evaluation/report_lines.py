"""An evaluation as lines for a terminal, at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any

from chatbot.intents.wording import counted, quoted
from chatbot.training.evaluation.measures import FEWEST_ROWS, FIGURES, FigureKind

# The whole of every list is in --json; a terminal shows what one would look at first.
SHOWN = 10
_WIDTH = 100
_MARKS = {"passed": "pass", "failed": "FAIL", "unmeasurable": "?"}


def report_lines(report: dict[str, Any], gates: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What the gate says, then the figures behind it."""
    beside = f" beside {report['baseline']}" if report["baseline"] else ""
    yield f"{report['candidate']}{beside}"
    yield from rows_told(report["rows"])
    yield ""
    for gate in gates:
        told = f"{_MARKS[gate['outcome']]:<5} {gate['title']}: {gate['reason']}"
        yield from wrap(told, _WIDTH, subsequent_indent=" " * 6)
    yield ""
    yield f"{'':<26} {'candidate':>10} {'current':>10} {'difference':>11}   95% interval"
    for figure in report["figures"]:
        yield _figure(figure)
    if report["kind"] == "classifier":
        yield from _intents(report["intents"])


def rows_told(rows: dict[str, Any]) -> Iterator[str]:
    """Which rows were judged, and what was left out."""
    yield f"Judged on {counted(rows['judged'], 'row')} of {rows['given']:,} from {rows['source']}."
    if rows["repeats"]:
        yield f"Left out: {counted(rows['repeats'], 'repeat')}."
    whose = {"candidate": "the candidate", "baseline": "the current release"}
    for who, count in rows["seen"].items():
        if count:
            yield f"Left out: {counted(count, 'row')} that {whose[who]} was trained on."
    if rows.get("left"):
        yield f"Left out for want of time: {counted(rows['left'], 'row')}, evenly spread."
    for who in rows["untold"]:
        yield f"What {whose[who]} was trained on is not known, so rows that it has seen may be among them."


def shown(kind: FigureKind, value: float | None) -> str:
    """A figure in its unit."""
    if value is None:
        return "–"
    if kind.unit == "share":
        return f"{value:.1%}"
    return f"{value:.3f}" if kind.unit in ("number", "s") else f"{value:.1f}"


def difference_shown(kind: FigureKind, value: float | None) -> str:
    """A difference in points or in the figure's unit, with its sign."""
    if value is None:
        return "–"
    if kind.unit == "share":
        return f"{100 * value:+.1f}"
    return f"{value:+.3f}" if kind.unit in ("number", "s") else f"{value:+.1f}"


def _figure(figure: dict[str, Any]) -> str:
    kind = FIGURES[figure["name"]]
    own, other = (shown(kind, (figure[who] or {}).get("value")) for who in ("candidate", "baseline"))
    difference = figure["difference"] or {}
    bounds = [difference_shown(kind, difference.get(part)) for part in ("low", "high")]
    interval = f"{bounds[0]} to {bounds[1]}" if difference.get("low") is not None else ""
    return f"{kind.label:<26} {own:>10} {other:>10} {difference_shown(kind, difference.get('value')):>11}   {interval}"


def _intents(intents: Sequence[dict[str, Any]]) -> Iterator[str]:
    few = sum(entry["few"] for entry in intents)
    listed = [entry for entry in intents if not entry["few"]]
    yield ""
    yield f"{'Intent, the worst change first':<44} {'rows':>6} {'F1':>8} {'current':>8} {'change':>8}"
    for entry in listed[:SHOWN]:
        other = entry["baseline"]["f1"] if entry["baseline"] else None
        change = "–" if entry["f1_change"] is None else f"{100 * entry['f1_change']:+.1f}"
        name = quoted(entry["intent"])[1:-1]
        theirs = "–" if other is None else f"{other:.3f}"
        yield f"{name:<44} {entry['rows']:>6} {entry['candidate']['f1']:>8.3f} {theirs:>8} {change:>8}"
    if len(listed) > SHOWN:
        yield f"… and {len(listed) - SHOWN} more: add --json to see all"
    if few:
        yield f"Too few rows to say anything (fewer than {FEWEST_ROWS}): {counted(few, 'intent')}"
