"""The easy examples as a catalogue, with what operators get wrong planted in it."""

from __future__ import annotations

from typing import Any

from chatbot.intents.models import Example, Intent
from chatbot.training.execution import execute
from chatbot.training.models import TrainingRun
from tests.training.shop_examples import EXAMPLES, OUT_OF_SCOPE

# Stands under “Refund”, and is about cancelling. What it holds besides is markup, and steers a terminal.
HOSTILE = "please cancel order 12 <b>now\x1b"
SHARED = "cancel my order"
NAMES = {"cancel_order": "Cancel <i>an order</i>", "track_parcel": "Track a parcel", "refund": "Refund"}


def make_catalogue() -> dict[str, Intent]:
    """The intents by slug, with their examples, one of them mislabelled and one text under two intents."""
    intents = {slug: Intent.objects.create(slug=slug, name=name) for slug, name in NAMES.items()}
    planted = [(HOSTILE, "refund"), (SHARED, "refund")]
    Example.objects.bulk_create(Example(intent=intents[slug], text=text) for text, slug in [*EXAMPLES, *planted])
    Example.objects.bulk_create(Example(text=text) for text in OUT_OF_SCOPE)
    return intents


def checked(**fields: Any) -> TrainingRun:
    """A finished check of the catalogue as it is. Needs the shelf, for its encoder."""
    run = TrainingRun.objects.create(
        kind=TrainingRun.Kind.CROSS_VALIDATION, parameters={"preset": "fast", "folds": 4, "seed": 0}, **fields
    )
    execute(run_id=run.pk)
    run.refresh_from_db()
    assert run.status == TrainingRun.Status.DONE, run.error
    return run


def confused(*pairs: tuple[str, str, int]) -> dict[str, Any]:
    """What a run keeps of a catalogue in which so many examples of one intent were taken for another; ten were judged.

    The examples are of ids that no catalogue has.
    """
    slugs = sorted({slug for pair in pairs for slug in pair[:2]} | {"calm"})
    score = {"examples": 10, "judged": 10, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    return {
        "preset": "fast",
        "folds": 5,
        "intents": [{"intent": slug, **score} for slug in slugs],
        "confusions": [
            {
                "intent": intent,
                "given": given,
                "count": count,
                "examples": [{"id": 10**9 + number, "key": "00", "intent": intent} for number in range(count)],
            }
            for intent, given, count in pairs
        ],
        "merge": [],
        "split": [],
        "mislabelled": [],
        "shared_texts": [],
    }
