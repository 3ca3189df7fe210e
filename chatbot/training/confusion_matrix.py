"""The confusion matrix of a report, as a table that people read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from chatbot.training.catalogue_report import CatalogueReport, ConfusedPair, IntentLabel

# What was confused once is chance as often as not.
CONFUSED_OFTEN = 2
# From which share of an intent's examples a cell takes the second, third and fourth shade.
SHADES = (0.05, 0.15, 0.3)


@dataclass(frozen=True, slots=True)
class ConfusionCell:
    """How many examples of the row's intent were given the column's. `pair` is None where they are right, or none."""

    count: int
    is_right: bool = False
    shade: int = 0
    pair: ConfusedPair | None = None


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """`elsewhere` counts those that were given an intent that the table leaves out."""

    intent: IntentLabel
    cells: tuple[ConfusionCell, ...]
    elsewhere: int


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """Rows are what examples stand under, columns what they were taken for, both in the order of `intents`."""

    intents: tuple[IntentLabel, ...]
    rows: tuple[ConfusionRow, ...]
    is_whole: bool


def confusion_matrix(report: CatalogueReport, *, whole: bool) -> ConfusionMatrix:
    """All intents, or those that were confused with one other intent more than once; by name."""
    confused = {
        label.slug
        for pair in report.pairs
        if len(pair.examples) >= CONFUSED_OFTEN
        for label in (pair.intent, pair.given)
    }
    kept = [score for score in report.scores if whole or score.intent.slug in confused]
    kept.sort(key=lambda score: (score.intent.name.casefold(), score.intent.slug))
    judged = {score.intent.slug: score.judged for score in kept}
    intents = tuple(score.intent for score in kept)
    between = {(pair.intent.slug, pair.given.slug): pair for pair in report.pairs}
    wrong: Counter[str] = Counter()
    for pair in report.pairs:
        wrong[pair.intent.slug] += len(pair.examples)

    def cell(intent: IntentLabel, given: IntentLabel) -> ConfusionCell:
        if intent == given:
            return ConfusionCell(judged[intent.slug] - wrong[intent.slug], is_right=True)
        pair = between.get((intent.slug, given.slug))
        if pair is None:
            return ConfusionCell(0)
        share = len(pair.examples) / judged[intent.slug]
        return ConfusionCell(len(pair.examples), shade=1 + sum(share >= bar for bar in SHADES), pair=pair)

    rows = []
    for intent in intents:
        cells = tuple(cell(intent, given) for given in intents)
        rows.append(ConfusionRow(intent, cells, judged[intent.slug] - sum(each.count for each in cells)))
    return ConfusionMatrix(intents, tuple(rows), is_whole=len(intents) == len(report.scores))
