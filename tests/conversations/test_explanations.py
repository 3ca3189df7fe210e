"""An explanation is asked for by a page, made by a worker, kept with the turn, and shown to who may read it."""

from __future__ import annotations

import shutil
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError
from pytest_django import DjangoCaptureOnCommitCallbacks

from chatbot.conversations import explanations
from chatbot.conversations.explanations import explain_turn, request_explanation, show
from chatbot.conversations.models import PredictionExplanation, Turn
from chatbot.conversations.transcript import version_of
from chatbot.exceptions import NotFound
from chatbot.intents.models import Example, Intent
from chatbot.releases.models import Release
from chatbot.releases.selectors import release_directory
from chatbot.training import services as training
from tests.conversations.records import Told
from tests.conversations.test_admin import Staff, address, staff
from tests.releases.conftest import shelf
from tests.releases.shelf import ENCODER
from tests.training.shop_examples import EXAMPLES, OUT_OF_SCOPE

__all__ = ["shelf", "staff"]
pytestmark = pytest.mark.django_db

QUESTION = "cancel my <b>order</b> now \u202eplease"
Status = PredictionExplanation.Status


class Broker:
    """What was sent to workers; refuses everything while it is down."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, list[str]]] = []
        self.down = False

    def send_task(self, name: str, args: list[str]) -> None:
        if self.down:
            raise OperationalError("connection refused")
        self.sent.append((name, args))


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker()
    monkeypatch.setattr(explanations, "current_app", broker)
    explanations._loaded.cache_clear()
    return broker


@pytest.fixture
def classifier(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    monkeypatch.setattr(training, "load_encoder", lambda: ENCODER)
    intents = {slug: Intent.objects.create(slug=slug, name=slug) for slug in {slug for _, slug in EXAMPLES}}
    Example.objects.bulk_create(Example(intent=intents[slug], text=text) for text, slug in EXAMPLES)
    Example.objects.bulk_create(Example(text=text) for text in OUT_OF_SCOPE)
    return training.train_catalogue_classifier()


def asked(classifier: Release | None, question: str = QUESTION) -> Turn:
    told = Told()
    told.answered(question, "Open Account.", best="cancel_order", classifier=classifier)
    return told.conversation.turns.get()


def request(turn: Turn) -> PredictionExplanation:
    return request_explanation(turn_id=turn.pk, conversation_id=turn.conversation_id)


def test_a_worker_explains_what_is_waited_for_and_nothing_else(
    classifier: Release, broker: Broker, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    turn = asked(classifier)
    explain_turn(turn_id=turn.pk)
    assert not PredictionExplanation.objects.exists()
    with django_capture_on_commit_callbacks(execute=True):
        request(turn)
    assert broker.sent == [(explanations.EXPLAIN_TASK, [str(turn.pk)])]
    explain_turn(turn_id=turn.pk)
    stored = PredictionExplanation.objects.get(turn=turn)
    assert stored.status == Status.DONE
    assert stored.contents["intent"] == "cancel_order"
    shown = show(stored, turn.message.text)
    assert shown.weighed[0].text in ("cancel", "my")
    assert "".join(word.text for word in shown.words) == QUESTION
    assert shown.examples is not None
    assert len(shown.examples) == 5
    assert all((example.text, example.intent) in EXAMPLES for example in shown.examples)
    before = stored.changed_at
    explain_turn(turn_id=turn.pk)  # a second delivery of the same task
    stored.refresh_from_db()
    assert stored.changed_at == before


def test_an_example_that_is_deleted_is_gone_from_explanations_too(classifier: Release) -> None:
    turn = asked(classifier, "cancel my order")
    request(turn)
    explain_turn(turn_id=turn.pk)
    Example.objects.filter(text="cancel my order").delete()
    stored = PredictionExplanation.objects.get(turn=turn)
    assert "cancel my" not in str(stored.contents["neighbours"])
    shown = show(stored, turn.message.text)
    assert shown.examples is not None
    assert shown.examples[0].text == ""
    assert shown.examples[0].similarity == pytest.approx(1, abs=1e-3)


def test_the_turns_own_release_explains_it(classifier: Release) -> None:
    later = training.train_catalogue_classifier(seed=1, promote=True)
    turn = asked(classifier)
    shutil.rmtree(release_directory(later))
    request(turn)
    explain_turn(turn_id=turn.pk)
    assert PredictionExplanation.objects.get(turn=turn).status == Status.DONE


def test_a_release_whose_files_are_gone_is_a_sentence_and_can_be_asked_again(classifier: Release) -> None:
    turn = asked(classifier)
    moved = release_directory(classifier).rename(release_directory(classifier).with_suffix(".away"))
    request(turn)
    explain_turn(turn_id=turn.pk)
    stored = PredictionExplanation.objects.get(turn=turn)
    assert stored.status == Status.FAILED
    assert str(release_directory(classifier)) in stored.error
    moved.rename(release_directory(classifier))
    assert request(turn).status == Status.WAITING
    explain_turn(turn_id=turn.pk)
    stored.refresh_from_db()
    assert (stored.status, stored.error) == (Status.DONE, "")


def test_a_turn_that_was_not_classified_says_so() -> None:
    turn = asked(None)
    request(turn)
    explain_turn(turn_id=turn.pk)
    assert "not classified" in PredictionExplanation.objects.get(turn=turn).error


def test_a_dead_broker_is_told_to_who_asked(
    broker: Broker, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    broker.down = True
    turn = asked(None)
    with django_capture_on_commit_callbacks(execute=True):
        request(turn)
    stored = PredictionExplanation.objects.get(turn=turn)
    assert (stored.status, stored.error) == (Status.FAILED, explanations.NO_BROKER)


def test_what_no_worker_took_is_not_waited_for_without_end() -> None:
    turn = asked(None)
    stored = request(turn)
    assert show(stored, "").status == Status.WAITING
    stored.requested_at = timezone.now() - explanations.LOST_AFTER - timedelta(seconds=1)
    assert show(stored, "").status == Status.FAILED


def test_somebody_elses_turn_is_not_found() -> None:
    turn, other = asked(None), asked(None)
    with pytest.raises(NotFound):
        request_explanation(turn_id=turn.pk, conversation_id=other.conversation_id)


# --- The page ---------------------------------------------------------------------------------------


@pytest.fixture
def reviewer(staff: Staff) -> Client:
    return staff("view_conversation", "view_message", "view_turn", "view_review", "view_visitor")


def test_the_page_asks_waits_and_shows(classifier: Release, reviewer: Client) -> None:
    turn = asked(classifier)
    page = reviewer.get(address(turn.conversation)).content.decode()
    assert "Explain this prediction" in page
    before = version_of(turn.conversation_id)
    response = reviewer.post(address(turn.conversation, "explain"), {"turn": str(turn.pk)})
    assert response.status_code == 302
    assert response["Location"].endswith(f"#why-{turn.pk}")
    page = reviewer.get(address(turn.conversation)).content.decode()
    assert "A worker is looking into it" in page
    waiting = version_of(turn.conversation_id)
    explain_turn(turn_id=turn.pk)
    assert len({before, waiting, version_of(turn.conversation_id)}) == 3
    page = reviewer.get(address(turn.conversation)).content.decode()
    assert "Nearest training examples" in page
    assert '<th scope="col">Weight</th>' in page
    assert "fd-towards-3" in page
    assert "<b>order" not in page
    assert "\u202e" not in page
    assert "Explain this prediction" not in page


def test_a_failure_is_shown_with_what_to_do(reviewer: Client) -> None:
    turn = asked(None)
    request(turn)
    explain_turn(turn_id=turn.pk)
    page = reviewer.get(address(turn.conversation)).content.decode()
    assert "This message was not classified" in page
    assert "Explain again" in page


@pytest.mark.parametrize("turn", ["", "nonsense", str(uuid.UUID(int=1))])
def test_unknown_turns_are_not_found(turn: str, reviewer: Client) -> None:
    conversation = Told().conversation
    assert reviewer.post(address(conversation, "explain"), {"turn": turn}).status_code == 404


def test_only_who_may_read_the_transcript_may_ask(client: Client, staff: Staff) -> None:
    turn = asked(None)
    form: dict[str, Any] = {"turn": str(turn.pk)}
    assert client.post(address(turn.conversation, "explain"), form)["Location"].startswith(reverse("admin:login"))
    stranger = staff(username="stranger")
    assert stranger.post(address(turn.conversation, "explain"), form).status_code == 403
    assert stranger.get(address(turn.conversation, "explain")).status_code == 405
    assert not PredictionExplanation.objects.exists()
