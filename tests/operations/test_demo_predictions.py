"""The demo's conversations as the first classifier reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatbot.conversations.models import Review, ReviewItem, Turn
from chatbot.intents.models import Example, Intent
from chatbot.operations.demo_predictions import READ_AFTERWARDS, read_demo_turns, unread_demo_turns
from chatbot.operations.seeding import seed_demo
from chatbot.releases import classifiers
from chatbot.releases.services import promote_release
from tests.conversations.records import Told
from tests.releases.conftest import shelf
from tests.releases.shelf import ENCODER, store_classifier

__all__ = ["shelf"]

pytestmark = pytest.mark.django_db


def test_the_demo_is_read_once_and_what_teaches_waits_for_a_review(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifiers, "load_encoder", lambda: ENCODER)
    seed_demo()
    told = Told()
    told.answered("a customer's own", "Yes.")
    before = dict(Turn.objects.values_list("pk", "intent"))
    assert read_demo_turns() == 0, "no classifier yet"
    release = store_classifier()
    promote_release(release=release, reason="the first")
    count = unread_demo_turns().count()
    assert read_demo_turns() == count > 150
    assert read_demo_turns() == 0
    demo = Turn.objects.filter(conversation__is_demo=True)
    assert dict(Turn.objects.values_list("pk", "intent")) == before, "the replies go with what was written"
    assert set(demo.values_list("classifier", "reason")) == {(release.pk, READ_AFTERWARDS)}
    assert all(turn.prediction["ranking"] for turn in demo)
    assert told.conversation.turns.get().classifier is None
    waiting = ReviewItem.objects.all()
    assert waiting.exists()
    assert not waiting.filter(turn__in=Review.objects.values("turn")).exists()
    kinds = {kind for item in waiting for kind in item.reasons}
    assert {"thumbs_down", "stopped", "missed_clarification", "chosen_afterwards"} <= kinds


def test_there_is_enough_that_was_reviewed_to_train_on() -> None:
    seed_demo()
    reviews = Review.objects.select_related("turn__conversation")
    assert reviews.count() >= 60
    assert all(review.turn.conversation.training_consent for review in reviews)
    assert len({review.intent_id for review in reviews if review.intent_id}) >= 30
    corrected = [review for review in reviews if review.intent_id != review.turn.intent_id]
    assert len(corrected) >= 15
    assert reviews.filter(verdict=Review.Verdict.EDITED).count() >= 10
    assert reviews.filter(out_of_scope=True).count() >= 10
    # A text that is taught again must not stand in the catalogue under something else.
    known = {example.text.casefold(): example.intent_id for example in Example.objects.all()}
    for review in reviews.select_related("turn__message"):
        text = review.turn.message.text.casefold()
        assert known.get(text, review.intent_id) == review.intent_id, text
    assert Intent.objects.filter(is_active=True).count() >= 30
