"""Splits that do not leak, caps, and what counts as a repeat, for any conversations whatever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.training.curation.duplicates import NEAR, NearTexts, _pieces, plain, similarity
from chatbot.training.curation.left_out import LeftOut
from chatbot.training.curation.options import CurationOptions
from chatbot.training.curation.reviewed import Judged, Reviewed, Said
from chatbot.training.curation.rows import ConversationRows, conversation_rows, counted_anew
from chatbot.training.curation.selection import Selection, select
from chatbot.training.dataset_rows import IntentRow, Origin
from chatbot.training.redaction import Redactor

REDACTOR = Redactor()
START = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = (
    "where",
    "is",
    "my",
    "order",
    "cancel",
    "please",
    "refund",
    "the",
    "parcel",
    "late",
    "again",
    "?",
    "!",
    "ORDER",
)
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
INTENTS = st.sampled_from(("cancel_order", "refund", ""))
TURNS = st.tuples(TEXTS, TEXTS, INTENTS, st.sampled_from((None, LeftOut.REPLY_REJECTED)))
CONVERSATIONS = st.lists(st.tuples(st.lists(TURNS, min_size=1, max_size=3), st.integers(0, 2)), max_size=14)


def conversation(number: int, turns: list[tuple[str, str, str, LeftOut | None]], visitor: int = 0) -> ConversationRows:
    said = [
        part
        for asked, replied, _, unfit in turns
        for part in (Said("user", asked), Said("assistant", replied, is_rejected=unfit is not None))
    ]
    judged = [
        Judged(f"{number}-{place}", 2 * place, START, intent, reply=replied, reply_unfit=unfit)
        for place, (_, replied, intent, unfit) in enumerate(turns)
    ]
    began = START + timedelta(hours=number)
    known = Reviewed(f"c{number:03}", f"v{visitor}", began, "en", tuple(said), tuple(judged))
    return conversation_rows(known, REDACTOR, "shop")


def example(number: int, text: str, intent: str) -> tuple[IntentRow, datetime]:
    return IntentRow(id=f"example-{number}", text=text, intent=intent, origin=Origin(example=number)), START


def are_near(one: str, other: str) -> bool:
    return similarity(_pieces(one), _pieces(other)) >= NEAR


# --- Splits ---------------------------------------------------------------------------------------


@given(CONVERSATIONS, st.lists(st.tuples(TEXTS, INTENTS), max_size=4), st.sampled_from((0.0, 0.1, 0.2, 0.5)))
@settings(max_examples=150, deadline=None)
def test_nothing_that_is_measured_on_is_trained_on(
    given_turns: list[tuple[list[tuple[str, str, str, LeftOut | None]], int]],
    examples: list[tuple[str, str]],
    share: float,
) -> None:
    conversations = [conversation(number, turns, visitor) for number, (turns, visitor) in enumerate(given_turns)]
    catalogue = [example(number, text, intent) for number, (text, intent) in enumerate(examples)]
    chosen = select(catalogue, conversations, CurationOptions(held_out_share=share))

    held_out = {row.origin.conversation for row in chosen.held_out_intents}
    held_out |= {row.origin.conversation for row in chosen.held_out_replies}
    trained = {row.origin.conversation for row in chosen.train_intents} - {""}
    trained |= {row.origin.conversation for row in chosen.train_replies}
    trained |= {row.origin.conversation for row in chosen.transcripts}
    assert held_out <= chosen.held_out_conversations
    assert not trained & chosen.held_out_conversations
    for measured in chosen.held_out_intents:
        assert not any(are_near(measured.text, row.text) for row in chosen.train_intents)
    for asked in chosen.held_out_replies:
        assert not any(are_near(asked.text, row.text) for row in chosen.train_replies)
        for row in chosen.transcripts:
            exchanges = (f"{one.text}\n{other.text}" for one, other in pairwise(row.messages))
            assert not any(are_near(f"{asked.text}\n{asked.reply}", exchange) for exchange in exchanges)
    intents: dict[str, set[str]] = {}
    for intent_row in chosen.train_intents:
        intents.setdefault(plain(intent_row.text), set()).add(intent_row.intent)
    assert all(len(under) == 1 for under in intents.values())


@given(CONVERSATIONS, st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_conversations_does_not_matter(
    given_turns: list[tuple[list[tuple[str, str, str, LeftOut | None]], int]], chance: object
) -> None:
    conversations = [conversation(number, turns, visitor) for number, (turns, visitor) in enumerate(given_turns)]
    shuffled = list(conversations)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert rows_of(select([], conversations, CurationOptions())) == rows_of(select([], shuffled, CurationOptions()))


def rows_of(chosen: Selection) -> list[object]:
    return [
        chosen.train_intents,
        chosen.held_out_intents,
        chosen.train_replies,
        chosen.held_out_replies,
        chosen.transcripts,
        chosen.left_out,
    ]


def unlike(number: int) -> ConversationRows:
    """A conversation that is like no other."""
    text = f"{number * 7919} asks about {number * 104729} and {number * 1299709}"
    return conversation(number, [(text, f"answer {number * 15485863}", "refund", None)], visitor=number)


def test_the_newest_but_one_is_held_out_and_the_newest_is_learned() -> None:
    chosen = select([], [unlike(number) for number in range(20)], CurationOptions(held_out_share=0.2))
    assert sorted(chosen.held_out_conversations) == ["c012", "c014", "c016", "c018"]
    assert {row.origin.conversation for row in chosen.held_out_intents} == chosen.held_out_conversations
    assert len(chosen.train_intents) == 16


def test_without_a_share_nothing_is_held_out() -> None:
    chosen = select([], [unlike(number) for number in range(4)], CurationOptions(held_out_share=0))
    assert chosen.held_out_conversations == frozenset()
    assert len(chosen.train_replies) == 4


# --- Caps -----------------------------------------------------------------------------------------


def test_one_customer_gives_no_more_rows_than_allowed_and_the_seed_draws_which() -> None:
    loud = [
        conversation(number, [(f"{number * 7919} and {number * 104729}", f"{number}", "refund", None)])
        for number in range(30)
    ]
    options = [CurationOptions(held_out_share=0, per_visitor=5, seed=seed) for seed in (0, 0, 1)]
    first, again, other = (select([], loud, each) for each in options)
    assert len(first.train_intents) == len(first.train_replies) == len(first.transcripts) == 5
    assert first.left_out["intents"][LeftOut.OVER_CAP] == 25
    assert first.train_intents == again.train_intents
    assert first.train_intents != other.train_intents


# --- Repeats --------------------------------------------------------------------------------------


def test_what_differs_in_case_and_punctuation_is_the_same() -> None:
    assert plain("Where  is my ORDER?!") == plain("where is my order")
    assert plain("ｗｈｅｒｅ is [email 2]") == plain("where is [email]")
    assert plain("👍") != plain("👎")


def test_near_texts_are_found_for_certain() -> None:
    near = NearTexts()
    texts = [
        f"how can i cancel the order that i placed {day} evening please" for day in ("monday", "tuesday", "sunday")
    ]
    for number, text in enumerate(texts):
        near.add(number, text)
    asked = "how can i cancel the order that i placed monday evening please!!"
    assert near.near(asked) == [number for number, text in enumerate(texts) if are_near(asked, text)]
    assert near.near("something else entirely") == []
    assert near.near("") == []


def test_a_customers_near_repeat_is_left_out_and_the_catalogues_is_kept() -> None:
    catalogue = [example(1, "i want to cancel my order now", "a"), example(2, "i want to cancel my order now pls", "a")]
    customers = [conversation(0, [("I want to cancel my order now!! pls", "ok", "a", LeftOut.REPLY_REJECTED)])]
    chosen = select(catalogue, customers, CurationOptions(held_out_share=0))
    assert [row.id for row in chosen.train_intents] == ["example-1", "example-2"]
    assert chosen.left_out["intents"][LeftOut.REPEAT] == 1


def test_a_review_overrules_the_catalogue() -> None:
    catalogue = [example(1, "My Order?", "track")]
    chosen = select(
        catalogue, [conversation(0, [("my order", "ok", "cancel", None)])], CurationOptions(held_out_share=0)
    )
    assert [(row.text, row.intent) for row in chosen.train_intents] == [("my order", "cancel")]
    assert chosen.overruled == [("example-1", "turn-0-0")]


def test_placeholders_count_from_one_in_each_row() -> None:
    assert counted_anew(["[email 3] and [phone 2]", "[email 3], [email]"]) == [
        "[email] and [phone]",
        "[email], [email 2]",
    ]
