"""A report is read with today's words, and says what became of those it was made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatbot.intents.models import Example, Intent
from chatbot.training.catalogue_report import CatalogueReport, ReportedExample, Suspect
from chatbot.training.models import TrainingRun
from tests.training.shop_catalogue import HOSTILE, SHARED, checked, confused, make_catalogue

pytestmark = pytest.mark.django_db(transaction=True)


def suspect_of(run: TrainingRun, pk: int) -> Suspect:
    """The suspect that the run keeps under this id."""
    position = [row["example"]["id"] for row in run.result["mislabelled"]].index(pk)
    return CatalogueReport(run).suspects[position]


def test_the_report_has_names_texts_and_figures(shelf: Path) -> None:
    intents = make_catalogue()
    run = checked()
    report = CatalogueReport(run)
    suspect = suspect_of(run, Example.objects.get(text=HOSTILE).pk)
    assert suspect.example.text == HOSTILE.replace("\x1b", "⟨U+001B⟩")
    assert suspect.example.intent.name == "Refund"
    assert suspect.looks_like.name == "Cancel <i>an order</i>"
    assert suspect.looks_like.pk == intents["cancel_order"].pk
    assert 0.5 < suspect.confidence <= 1
    assert {score.intent.slug for score in report.scores} == set(intents)
    assert [score.f1 for score in report.scores] == sorted(score.f1 or 0 for score in report.scores)
    [shared] = [pair for pair in report.shared_texts if pair.is_same]
    assert {example.text for example in shared.examples} == {SHARED}
    assert 0.5 < report.figures["accuracy"] < 1
    pair = report.pair("refund", "cancel_order")
    assert pair is not None
    assert HOSTILE[:8] in {example.text[:8] for example in pair.examples}
    assert report.pair("refund", "refund") is None


def test_what_became_of_an_example_is_said(shelf: Path) -> None:
    intents = make_catalogue()
    run = checked()
    example = Example.objects.get(text=HOSTILE)

    def told() -> ReportedExample:
        return suspect_of(run, pk).example

    pk = example.pk
    assert told().change == ""
    Example.objects.filter(pk=pk).update(text="cancel it at once")
    assert (told().text, told().change) == ("cancel it at once", "reworded since")
    Example.objects.filter(pk=pk).update(intent=intents["track_parcel"])
    assert told().change == "under Track a parcel since"
    assert told().intent.name == "Refund"
    Example.objects.filter(pk=pk).update(intent=None)
    assert told().change == "out of scope since"
    example.delete()
    assert told() == ReportedExample(None, "", told().intent, "deleted since")


def test_an_intent_that_has_left_goes_by_its_slug(shelf: Path) -> None:
    make_catalogue()
    run = checked()
    Intent.objects.get(slug="refund").delete()
    label = CatalogueReport(run).suspects[0].example.intent
    assert (label.name, label.pk) == ("refund", None)


def test_suggestions_name_their_intents() -> None:
    Intent.objects.create(slug="a", name="Apples")
    result = confused(("a", "b", 2))
    result["merge"] = [{"intents": ["a", "b"], "confused": 4, "rate": 0.2, "reason": "merge them"}]
    result["split"] = [{"intent": "a", "recall": 0.4, "lost_to": ["b", "calm"], "reason": "narrow it"}]
    report = CatalogueReport(TrainingRun(result=result))
    [merge] = report.merge
    assert [label.name for label in merge.intents] == ["Apples", "b"]
    assert (merge.rate, merge.reason) == (0.2, "merge them")
    [split] = report.split
    assert (split.intent.name, split.recall) == ("Apples", 0.4)
    assert [label.name for label in split.lost_to] == ["b", "calm"]
