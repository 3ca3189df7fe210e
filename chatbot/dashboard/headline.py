"""The figures that stand first in a report, each with what it means."""

from __future__ import annotations

from dataclasses import dataclass

from chatbot.training.catalogue_report import CatalogueReport

_FIGURES = (
    ("accuracy", "Recognised", "examples that were given their own intent"),
    ("macro_f1", "Mean F1", "precision and recall in one, each intent counting the same"),
    ("in_scope_accuracy_after_rejection", "Recognised and answered", "recognised, and not taken for out of scope"),
    ("oos_recall", "Out of scope noticed", "out-of-scope examples that the bot would not try to answer"),
    ("ece", "Confidence is off by", "how far, on average, the confidence lies from how often it is right"),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A share with its name. It is None where there was nothing to measure it on."""

    name: str
    share: float | None
    meaning: str


def headline(report: CatalogueReport) -> list[Figure]:
    """The figures of the whole, as shares."""
    return [Figure(label, report.figures.get(name), meaning) for name, label, meaning in _FIGURES]
