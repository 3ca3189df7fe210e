"""The intent classifier on BANKING77 and CLINC150, beside the published figures.

    python -m tests.benchmarks.bench_classifier --data DIR [--preset fast] [--only banking77-5shot] [--seeds 3]

`DIR` holds `banking77/` (train, test, train_10shot, train_5shot) and `clinc150/` (train, test, oos_train, oos_test) as
CSV with the columns text and intent. Every run is `manage.py train_classifier` in a process of its own. A run that
takes less than ten minutes is repeated with other seeds, a longer one is done once. Runs are kept as JSON lines, and
what is there already is not run again; the table at the end is made of all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "var" / "benchmarks" / "classifier.jsonl"
LONG_RUN_S = 600
PRESETS = ("fast", "full")
FIGURES = (
    "accuracy",
    "macro_f1",
    "ece",
    "oos_auroc",
    "oos_recall",
    "in_scope_accuracy_after_rejection",
    "train_seconds",
    "classify_ms_p50",
    "classify_ms_p95",
)


@dataclass(frozen=True, slots=True)
class Task:
    """A training file and what it is judged on, all inside the data folder."""

    name: str
    folder: str
    train: str = "train.csv"
    with_out_of_scope: bool = False

    def arguments(self, data: Path) -> list[str]:
        folder = data / self.folder
        given = ["--train", str(folder / self.train), "--test", str(folder / "test.csv")]
        if self.with_out_of_scope:
            given += ["--oos-train", str(folder / "oos_train.csv"), "--oos-test", str(folder / "oos_test.csv")]
        return given


# The short runs first: they say soonest whether something is broken.
TASKS = (
    Task("banking77-5shot", "banking77", "train_5shot.csv"),
    Task("banking77-10shot", "banking77", "train_10shot.csv"),
    Task("clinc150-5shot", "clinc150", "train_5shot.csv", with_out_of_scope=True),
    Task("clinc150-10shot", "clinc150", "train_10shot.csv", with_out_of_scope=True),
    Task("banking77", "banking77"),
    Task("clinc150", "clinc150", with_out_of_scope=True),
)


def main() -> int:
    options = _options()
    data = options.data or (Path(os.environ["BENCHMARK_DATA"]) if os.environ.get("BENCHMARK_DATA") else None)
    if data is None:
        print("bench_classifier was left out: give it the data with --data DIR or BENCHMARK_DATA=DIR", file=sys.stderr)
        return 0
    chosen = [task for task in TASKS if not options.only or task.name in options.only]
    for task in chosen:
        for preset in options.preset or PRESETS:
            for seed in range(options.seeds):
                result = _known(options.results, task, preset, seed) or _run(options.results, task, preset, seed, data)
                print(json.dumps(result), flush=True)
                if result["train_seconds"] > LONG_RUN_S:
                    break
    print(_table(options.results))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of the data sets; else BENCHMARK_DATA")
    parser.add_argument("--preset", action="append", choices=PRESETS, help="default: both")
    parser.add_argument("--only", action="append", choices=[task.name for task in TASKS], help="default: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, help="where runs are kept, as JSON lines")
    return parser.parse_args()


def _runs(results: Path) -> list[dict[str, Any]]:
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return [json.loads(line) for line in lines]


def _known(results: Path, task: Task, preset: str, seed: int) -> dict[str, Any] | None:
    wanted = (task.name, preset, seed)
    return next((run for run in _runs(results) if (run["task"], run["preset"], run["seed"]) == wanted), None)


def _run(results: Path, task: Task, preset: str, seed: int, data: Path) -> dict[str, Any]:
    command = [sys.executable, "manage.py", "train_classifier", *task.arguments(data)]
    command += ["--preset", preset, "--seed", str(seed), "--json"]
    printed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    measured = json.loads(printed)
    run = {
        "benchmark": "classifier",
        "task": task.name,
        "preset": preset,
        "seed": seed,
        **{name: measured[name] for name in FIGURES},
        "split": measured["split"],
        "recipe": measured["recipe"],
        "out_of_scope_score": measured["held_out"].get("out_of_scope_score"),
    }
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(run) + "\n")
    return run


def _table(results: Path) -> str:
    """Every task and preset with the mean of its seeds, and the standard deviation where there are several."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in _runs(results):
        groups.setdefault((run["task"], run["preset"]), []).append(run)
    lines = ["", "| task | preset | seeds | " + " | ".join(FIGURES) + " |", "|---" * (3 + len(FIGURES)) + "|"]
    for task in TASKS:
        for preset in PRESETS:
            if runs := groups.get((task.name, preset)):
                cells = [_cell([run[name] for run in runs]) for name in FIGURES]
                lines.append(f"| {task.name} | {preset} | {len(runs)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    mean = f"{statistics.mean(known):.4g}"
    return f"{mean} ± {statistics.stdev(known):.2g}" if len(known) > 1 else mean


if __name__ == "__main__":
    sys.exit(main())
