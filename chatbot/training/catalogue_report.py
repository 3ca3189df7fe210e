"""A finished check of the catalogue as a page shows it: its figures, with the catalogue's words as they are today.

Names and texts come out legible; escaping them stays the template's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chatbot.conversations.legibility import legible
from chatbot.inference.normalisation import text_key
from chatbot.intents.models import Example, Intent
from chatbot.training.models import TrainingRun


@dataclass(frozen=True, slots=True)
class IntentLabel:
    """An intent as the report names it. `pk` is None and `name` the slug where it has left the catalogue."""

    slug: str
    name: str
    pk: int | None


@dataclass(frozen=True, slots=True)
class ReportedExample:
    """An example as the report lists it, with the intent that it stood under.

    `change` says what became of it since, and is empty where nothing did. `pk` is None and `text` empty where it was
    deleted.
    """

    pk: int | None
    text: str
    intent: IntentLabel
    change: str


@dataclass(frozen=True, slots=True)
class IntentScore:
    """How well an intent is recognised. The three figures are None where none of its examples could be judged."""

    intent: IntentLabel
    examples: int
    judged: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Examples of `intent` that were taken for `given`."""

    intent: IntentLabel
    given: IntentLabel
    examples: tuple[ReportedExample, ...]


@dataclass(frozen=True, slots=True)
class MergeSuggestion:
    """Two intents that are taken for each other. `rate` is the share of their examples that are."""

    intents: tuple[IntentLabel, IntentLabel]
    rate: float
    reason: str


@dataclass(frozen=True, slots=True)
class SplitSuggestion:
    """An intent that holds more than one matter. `recall` is the share of its examples that are recognised."""

    intent: IntentLabel
    recall: float
    lost_to: tuple[IntentLabel, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """An example that looks mislabelled. `confidence` is that of `looks_like`."""

    example: ReportedExample
    looks_like: IntentLabel
    confidence: float


@dataclass(frozen=True, slots=True)
class SharedText:
    """Two examples of different intents with the same text, or nearly the same."""

    examples: tuple[ReportedExample, ReportedExample]
    similarity: float
    is_same: bool


class CatalogueReport:
    """What a finished run found, each part read from its row when it is asked for."""

    def __init__(self, run: TrainingRun) -> None:
        self._result: dict[str, Any] = run.result

    @property
    def figures(self) -> dict[str, Any]:
        """The numbers that are of the whole: see `CrossValidation.report`."""
        return {name: value for name, value in self._result.items() if not isinstance(value, list)}

    @cached_property
    def scores(self) -> list[IntentScore]:
        """Every intent, the worst first."""
        return [IntentScore(**{**row, "intent": self._intent(row["intent"])}) for row in self._result["intents"]]

    @cached_property
    def pairs(self) -> list[ConfusedPair]:
        """Every pair that was confused, the most frequent first."""
        return [
            ConfusedPair(self._intent(row["intent"]), self._intent(row["given"]), self._listed(row["examples"]))
            for row in self._result["confusions"]
        ]

    @cached_property
    def merge(self) -> list[MergeSuggestion]:
        found = []
        for row in self._result["merge"]:
            first, second = map(self._intent, row["intents"])
            found.append(MergeSuggestion((first, second), row["rate"], row["reason"]))
        return found

    @cached_property
    def split(self) -> list[SplitSuggestion]:
        return [
            SplitSuggestion(
                self._intent(row["intent"]), row["recall"], tuple(map(self._intent, row["lost_to"])), row["reason"]
            )
            for row in self._result["split"]
        ]

    @cached_property
    def suspects(self) -> list[Suspect]:
        """Examples that look mislabelled, the surest first."""
        return [
            Suspect(self._example(row["example"]), self._intent(row["looks_like"]), row["confidence"])
            for row in self._result["mislabelled"]
        ]

    @cached_property
    def shared_texts(self) -> list[SharedText]:
        found = []
        for row in self._result["shared_texts"]:
            first, second = map(self._example, row["examples"])
            found.append(SharedText((first, second), row["similarity"], row["same"]))
        return found

    def pair(self, intent: str, given: str) -> ConfusedPair | None:
        """The pair of these slugs; None where the two were not confused this way."""
        return next((pair for pair in self.pairs if (pair.intent.slug, pair.given.slug) == (intent, given)), None)

    # --- Today's catalogue ------------------------------------------------------------------------

    @cached_property
    def _intents(self) -> dict[str, IntentLabel]:
        rows = Intent.objects.values_list("slug", "name", "pk")
        return {slug: IntentLabel(slug, legible(name), pk) for slug, name, pk in rows}

    @cached_property
    def _examples(self) -> dict[int, tuple[str, str | None]]:
        mentioned = {row["example"]["id"] for row in self._result["mislabelled"]}
        for row in (*self._result["confusions"], *self._result["shared_texts"]):
            mentioned |= {example["id"] for example in row["examples"]}
        rows = Example.objects.filter(pk__in=mentioned).values_list("pk", "text", "intent__slug")
        return {pk: (text, slug) for pk, text, slug in rows}

    def _intent(self, slug: str) -> IntentLabel:
        return self._intents.get(slug) or IntentLabel(slug, slug, None)

    def _listed(self, examples: list[dict[str, Any]]) -> tuple[ReportedExample, ...]:
        return tuple(map(self._example, examples))

    def _example(self, judged: dict[str, Any]) -> ReportedExample:
        stood_under = self._intent(judged["intent"])
        if judged["id"] not in self._examples:
            return ReportedExample(None, "", stood_under, "deleted since")
        text, slug = self._examples[judged["id"]]
        if slug is None:
            change = "out of scope since"
        elif slug != judged["intent"]:
            change = f"under {self._intent(slug).name} since"
        elif text_key(text).hex() != judged["key"]:
            change = "reworded since"
        else:
            change = ""
        return ReportedExample(judged["id"], legible(text), stood_under, change)
