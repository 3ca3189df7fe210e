"""What a recipe of the `full` preset is worth, judged on held-out rows of a training file. Never on a test file.

    python -m tests.benchmarks.compare_recipes --train banking77/train.csv --shots 10
    python -m tests.benchmarks.compare_recipes --train banking77/train.csv --shots 10 --set consistency=0 epochs=8
    python -m tests.benchmarks.compare_recipes --train banking77/train.csv --held-out 0.2 --set word_dropout=0

With `--shots k`, k rows of each intent are trained on and 3,000 of the others judge; with `--held-out s` the share `s`
of every intent judges. `--seed` draws other rows: a gain that one draw shows and another does not is none. Prints a
JSON line: the accuracy of the frozen head, and of the tuned one drawn towards the base by several shares, without and
with the votes of near examples.
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
from chatbot.training.trainers.full import FEW_SHOT, MANY, Material, Tuned, tune
from chatbot.training.trainers.rows import collect_rows

ROOT = Path(__file__).resolve().parents[2]
BASE_SHARES = (0.0, 0.1, 0.25, 0.35, 0.5)
JUDGES = 3000


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

    started = time.perf_counter()
    tuned = tune(material, np.arange(len(rows.texts)))
    seconds = time.perf_counter() - started
    print(
        json.dumps(
            {
                "rows": len(rows.texts),
                "judges": len(judges),
                "seed": options.seed,
                "changed": changed,
                "frozen": _right(tuned.frozen_head.logits(encoder.encode(texts)), labels),
                **{f"base share {share}": _accuracies(material, tuned, share, texts, labels) for share in BASE_SHARES},
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
    material: Material, tuned: Tuned, share: float, texts: list[str], labels: NDArray[np.int64]
) -> dict[str, float]:
    drawn = replace(material, recipe=replace(material.recipe, base_share=share))
    assembled = tuned.assembled(drawn)
    features = assembled.encoder.encode(texts)
    return {
        "linear": _right(assembled.head.linear.logits(features), labels),
        "voting": _right(assembled.head.logits(features), labels),
    }


def _right(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    return round(float((logits.argmax(axis=1) == labels).mean()), 4)


if __name__ == "__main__":
    main()
