"""The demo shop in the database: complete, marked as demo, and never overwriting what people changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.db.models import F
from django.utils import timezone

from chatbot.conversations.models import Conversation, Message, Review, Turn
from chatbot.exceptions import FrontdeskError
from chatbot.intents.models import Example, Intent
from chatbot.intents.shop import load_shop
from chatbot.knowledge.models import Article
from chatbot.operations.seeding import DEMO_DIR, seed_demo
from chatbot.training.curation.options import CurationOptions
from chatbot.training.evaluation.gates import GateRules
from chatbot.training.freezing import preview_dataset

pytestmark = pytest.mark.django_db


def test_everything_is_there_after_one_time_and_nothing_is_new_after_the_second() -> None:
    first = seed_demo()
    assert first.intents >= 30
    assert first.examples >= 30 * 25
    assert first.articles >= 40
    assert first.conversations >= 50
    assert Example.objects.filter(intent=None).exists()
    again = seed_demo()
    assert (again.intents, again.examples, again.articles, again.conversations) == (0, 0, 0, 0)


def test_what_people_changed_stays() -> None:
    seed_demo()
    Intent.objects.filter(slug="cancel_order").update(guidance="Ours.")
    Article.objects.filter(slug="cancel-an-order").update(title="Ours")
    Conversation.objects.filter(is_demo=True).order_by("pk").first().delete()  # type: ignore[union-attr]
    seed_demo()
    assert Intent.objects.get(slug="cancel_order").guidance == "Ours."
    assert Article.objects.get(slug="cancel-an-order").title == "Ours"


def test_conversations_are_whole_reviewed_and_marked_as_demo() -> None:
    seeded = seed_demo()
    conversations = Conversation.objects.filter(is_demo=True)
    assert conversations.count() == Conversation.objects.count() == seeded.conversations
    stopped = Message.objects.filter(stopped=True)
    assert set(Turn.objects.exclude(status=Turn.Status.DONE)) == {message.turn for message in stopped} != set()
    assert Turn.objects.count() == Message.objects.filter(role=Message.Role.BOT, turn__isnull=False).count()
    for conversation in conversations:
        messages = list(conversation.messages.order_by("seq"))
        assert [message.seq for message in messages] == list(range(1, conversation.last_seq + 1))
        times = [message.created_at for message in messages]
        assert times == sorted(times)
        assert conversation.created_at == times[0]
        assert conversation.updated_at == times[-1]
        assert times[-1] < timezone.now()
    verdicts = set(Review.objects.values_list("verdict", flat=True))
    assert verdicts == set(Review.Verdict.values)
    for review in Review.objects.filter(verdict=Review.Verdict.EDITED):
        assert review.edited_reply
    assert Review.objects.exclude(intent=None).exclude(intent=F("turn__intent")).exists()


def test_sources_lead_to_the_section_that_they_quote() -> None:
    seed_demo()
    turn = Turn.objects.get(conversation__title="How can I cancel my order?", number=1)
    [source] = turn.sources
    assert source["title"] == "Cancel an order"
    assert source["url"] == "/help/cancel-an-order/#how-to-cancel-your-order"
    assert "Account" in source["passage"]


def test_a_damaged_demo_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    shutil.copytree(DEMO_DIR, directory)
    (directory / "conversations.jsonl").write_text("{broken")
    with pytest.raises(FrontdeskError, match="demo is damaged"):
        seed_demo(directory)
    assert not Intent.objects.exists()
    assert not Article.objects.exists()


def test_the_shop_introduces_itself() -> None:
    shop = load_shop()
    assert shop.name
    assert shop.greeting
    assert "How can I cancel my order?" in shop.starters


def test_a_dataset_frozen_from_it_has_enough_rows_for_the_gate() -> None:
    seed_demo()
    counts = preview_dataset(options=CurationOptions())["counts"]
    assert counts["intents"]["held_out"] >= GateRules().fewest_rows
    assert counts["replies"]["held_out"] >= GateRules().fewest_rows
