"""What a recipe of the `full` preset is worth, judged on held-out rows of a training file. Never on a test file.

    python -m tests.benchmarks.compare_recipes --train banking77/train.csv --shots 10
    python -m tests.benchmarks.compare_recipes --train banking77/train.csv --shots 10 --set consistency=0 epochs=8
    python -m tests.benchmarks.compare_recipes --train banking77/train.csv --held-out 0.2 --set word_dropout=0

With `--shots k`, k rows of each intent are trained on and 1,000 of the others judge; with `--held-out s` the share `s`
of every intent judges. Prints a JSON line: the accuracy of the frozen head, of the tuned head, of both summed with
several weights, and of both after the finishing passes, which here see the same rows again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chatbot.inference.encoder import Encoder
from chatbot.inference.weights import prepare_encoder
from chatbot.intents.labelled_files import read_labelled_csv
from chatbot.training.trainers.full import FEW_SHOT, MANY, Material, Tuned, go_on, tune
from chatbot.training.trainers.rows import collect_rows

ROOT = Path(__file__).resolve().parents[2]
VOTES = (0.3, 0.5, 0.7, 1.0)
JUDGES = 1000


def main() -> None:
    options = _options()
    model = ROOT / "var" / "models" / "all-minilm-l6-v2"
    prepare_encoder(model)
    encoder = Encoder(model)
    everything = collect_rows([(row.text, row.intent) for row in read_labelled_csv(options.train)], [])
    trained_on, judges = _deal(everything.labels, options)
    rows = collect_rows([(everything.texts[row], everything.intents[everything.labels[row]]) for row in trained_on], [])
    texts, labels = [everything.texts[row] for row in judges], everything.labels[judges]
    recipe = FEW_SHOT if rows.is_few_shot else MANY
    kinds = {field.name: type(getattr(recipe, field.name)) for field in fields(recipe)}
    changed = {name: kinds[name](value) for name, value in (pair.split("=") for pair in options.set)}
    material = Material.gather(rows, encoder, options.seed, replace(recipe, **changed))
    base = encoder.encode(texts)

    started = time.perf_counter()
    chosen = np.arange(len(rows.texts))
    tuned = tune(material, chosen)
    seconds = time.perf_counter() - started
    finished = go_on(material, tuned, chosen)
    print(
        json.dumps(
            {
                "rows": len(rows.texts),
                "judges": len(judges),
                "seed": options.seed,
                "changed": changed,
                "frozen": _right(tuned.frozen_head.logits(base), labels),
                **_accuracies("tuned", tuned, texts, base, labels),
                **_accuracies("finished", finished, texts, base, labels),
                "seconds": round(seconds),
            }
        )
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--shots", type=int)
    chosen.add_argument("--held-out", type=float)
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="fields of Recipe to change")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _deal(labels: NDArray[np.int64], options: argparse.Namespace) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    generator = np.random.default_rng(options.seed)
    trained_on, others = [], []
    for label in range(int(labels.max()) + 1):
        rows = generator.permutation(np.flatnonzero(labels == label))
        count = options.shots or round(len(rows) * (1 - options.held_out))
        trained_on.append(rows[:count])
        others.append(rows[count:])
    judges = np.concatenate(others)
    return np.concatenate(trained_on), generator.permutation(judges)[:JUDGES] if options.shots else judges


def _accuracies(
    name: str, tuned: Tuned, texts: list[str], base: NDArray[np.float32], labels: NDArray[np.int64]
) -> dict[str, float]:
    ours = tuned.tuned_head.logits(tuned.encoder.encode(texts))
    frozen = tuned.frozen_head.logits(base)
    summed = {f"{name} + {vote} frozen": _right(ours + vote * frozen, labels) for vote in VOTES}
    return {name: _right(ours, labels), **summed}


def _right(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    return round(float((logits.argmax(axis=1) == labels).mean()), 4)


if __name__ == "__main__":
    main()
