"""What a person at the terminal sees of a training: how far it is, and afterwards what it measured."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_INTERVAL_S = 10.0
_LABELS = {
    "release": "Release",
    "dataset": "Dataset",
    "dataset_digest": "Digest of what it was trained on",
    "current": "Served at present",
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "ece": "Calibration error",
    "oos_auroc": "Out-of-scope AUROC",
    "oos_recall": "Out-of-scope caught",
    "in_scope_accuracy_after_rejection": "Right and not turned away",
    "train_seconds": "Seconds to train",
    "classify_ms_p50": "Milliseconds a message, median",
    "classify_ms_p95": "Milliseconds a message, 95th percentile",
    "split": "Measured on",
    "seed": "Seed",
    "recipe": "Recipe",
}


@contextmanager
def training_progress(quiet: bool) -> Iterator[Callable[[str, float | None], None]]:
    """A bar with the time that is left on a terminal, a line now and then elsewhere, nothing where `quiet`."""
    if quiet:
        yield lambda _message, _share: None
    elif sys.stderr.isatty():
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("Starting", total=1.0)
            yield lambda message, share: bar.update(task, description=message, completed=share)
    else:
        yield _lines()


def metrics_lines(result: dict[str, Any]) -> list[str]:
    """One line for each figure, under the words for it."""
    return [f"{_LABELS.get(name, name):<40} {'–' if value is None else value}" for name, value in result.items()]


def threshold_lines(rows: list[dict[str, Any]]) -> list[str]:
    """What each out-of-scope threshold costs and saves, as a table."""
    if not rows:
        return []
    header = f"{'threshold':>12} {'more hand-offs':>15} {'fewer wrong answers':>20} {'answers right':>14} {'caught':>8}"
    lines = ["", "What another out-of-scope threshold would cost and save, on held-out rows:", header]
    for row in rows:
        shares = (row["rejected"], row["wrong_avoided"], row["answered_accuracy"], row["caught"])
        more, fewer, right, caught = ("–" if share is None else f"{share:.1%}" for share in shares)
        lines.append(f"{row['threshold']:>12.3f} {more:>15} {fewer:>20} {right:>14} {caught:>8}")
    lines.append("Choose by the share of hand-offs you accept: --reject-at-most PERCENT, here or with set_threshold")
    return lines


def _lines() -> Callable[[str, float | None], None]:
    started = time.monotonic()
    next_line = started

    def report(message: str, share: float | None) -> None:
        nonlocal next_line
        now = time.monotonic()
        if now < next_line:
            return
        next_line = now + LINE_INTERVAL_S
        left = f", {(now - started) * (1 - share) / share:.0f} s left" if share and share < 1 else ""
        print(f"… {message}" + (f" ({share:.0%}{left})" if share else ""), file=sys.stderr, flush=True)

    return report
