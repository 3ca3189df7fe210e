"""A cross-validation report as lines for a terminal, at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chatbot.intents.wording import quoted
from chatbot.training.terminal import metrics_lines

# The whole of every list is in --json; a terminal shows what one would mend first.
SHOWN = 15
_FIGURES = (
    "examples",
    "accuracy",
    "macro_f1",
    "ece",
    "oos_auroc",
    "oos_recall",
    "in_scope_accuracy_after_rejection",
)


def report_lines(report: dict[str, Any]) -> Iterator[str]:
    """The report of `CrossValidation.report`, what is worst first."""
    yield f"{report['folds']}-fold cross-validation, preset {report['preset']}, seed {report['seed']}"
    yield from metrics_lines({name: report[name] for name in _FIGURES})
    yield from _intents(report["intents"])
    yield from _section(
        "Taken for each other: worth merging, or telling apart by better examples",
        [f"{' / '.join(map(_plain, pair['intents']))}\n    {pair['reason']}" for pair in report["merge"]],
        "No two intents are taken for each other often.",
    )
    yield from _section(
        "Worth splitting",
        [f"{_plain(each['intent'])} (recall {each['recall']:.0%})\n    {each['reason']}" for each in report["split"]],
        "No intent falls apart.",
    )
    yield from _section(
        "Examples that look mislabelled",
        [
            f"{quoted(row['text'])}\n    stands under {_plain(row['intent'])}, "
            f"looks like {_plain(row['looks_like'])} ({row['confidence']:.0%})"
            for row in report["mislabelled"]
        ],
        "No example looks mislabelled.",
    )
    yield from _section(
        "The same text under two intents, or nearly",
        ["\n    ".join(_sharing(pair)) for pair in report["shared_texts"]],
        "No text stands under two intents.",
    )


def _intents(scores: list[dict[str, Any]]) -> Iterator[str]:
    yield ""
    yield f"{'Intent, the worst first':<44} {'examples':>8} {'precision':>10} {'recall':>8} {'F1':>8}"
    for score in scores:
        figures = ("–" if score[name] is None else f"{score[name]:.3f}" for name in ("precision", "recall", "f1"))
        precision, recall, f1 = figures
        yield f"{_plain(score['intent']):<44} {score['examples']:>8} {precision:>10} {recall:>8} {f1:>8}"


def _sharing(pair: dict[str, Any]) -> list[str]:
    stands = [f"{_plain(intent)}: {quoted(text)}" for intent, text in zip(pair["intents"], pair["texts"], strict=True)]
    return stands if pair["same"] else [*stands, f"alike to {pair['similarity']:.2f}"]


def _plain(intent: str) -> str:
    """A label out of a file may hold anything."""
    return quoted(intent)[1:-1]


def _section(title: str, entries: list[str], empty: str) -> Iterator[str]:
    yield ""
    if not entries:
        yield empty
        return
    yield f"{title}: {len(entries)}"
    for entry in entries[:SHOWN]:
        yield f"  {entry}"
    if len(entries) > SHOWN:
        yield f"  … and {len(entries) - SHOWN} more: add --json to see all"
