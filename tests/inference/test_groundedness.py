"""The judge: labelled pairs as a whole, and what each rule is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from chatbot.inference.groundedness import Sources, judge
from chatbot.inference.prompt import GroundingPassage

PAIRS = Path(__file__).parent / "groundedness_pairs.yaml"
CANCELLING = GroundingPassage(
    "Cancel an order",
    "To cancel your order, open Account → Orders → Cancel order and confirm. You can cancel until it ships. "
    "Standard delivery costs €4.95 and express delivery costs €9.95. Write to help@shop.example. "
    "Orders above €50 ship free of charge. The shop is open Monday to Friday.",
)


def reasons(sentence: str, question: str = "", passage: GroundingPassage = CANCELLING) -> set[str]:
    return {reason.kind for reason in judge(sentence, Sources([passage], question=question)).reasons}


def labelled() -> list[tuple[str, bool, Sources]]:
    articles: list[dict[str, Any]] = yaml.safe_load(PAIRS.read_text(encoding="utf-8"))
    return [
        (sentence, supported, Sources([GroundingPassage(article["title"], article["passage"])], question=asked(rest)))
        for article in articles
        for sentence, supported, _, *rest in article["pairs"]
    ]


def asked(rest: list[dict[str, str]]) -> str:
    return rest[0]["asked"] if rest else ""


def test_labelled_sentences_are_mostly_judged_as_a_person_did() -> None:
    """Floors below what is reached (docs/benchmarks.md), so that a change that makes it worse is noticed."""
    judged = [(judge(sentence, sources).supported, supported) for sentence, supported, sources in labelled()]
    let_through = [supported for verdict, supported in judged if verdict]
    honest = [verdict for verdict, supported in judged if supported]
    assert len(judged) >= 150
    assert sum(let_through) / len(let_through) >= 0.85
    assert sum(honest) / len(honest) >= 0.82


def test_every_made_up_figure_of_the_labelled_sentences_is_found() -> None:
    articles: list[dict[str, Any]] = yaml.safe_load(PAIRS.read_text(encoding="utf-8"))
    wrong = {"wrong number", "invented number", "wrong link", "wrong address", "wrong phone number", "wrong currency"}
    missed = [
        sentence
        for article in articles
        for sentence, supported, why, *_ in article["pairs"]
        if why in wrong
        and not supported
        and judge(sentence, Sources([GroundingPassage(article["title"], article["passage"])])).supported
    ]
    assert missed == []


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("Cancelling takes 3 days.", "duration"),
        ("Express delivery costs €4.95.", "price"),  # the other one's
        ("Write to orders@shop.example.", "e-mail address"),
        ("Cancel at shop.example/cancel.", "link"),
        ("The shop is open on Saturday.", "day"),
        ("Use the code STOP24 to cancel.", "code"),
        ("Ask Royal Mail to cancel your order.", "name"),
        ("Click the button to cancel your order.", "step"),
        ("You can always cancel your order.", "absolute"),
        ("You can cancel after it ships.", "contradiction"),
        ("Open Account → Returns → Cancel order.", "step"),
        ("We can't help you.", "content"),
        ("We can't give refunds for this order.", "content"),
        ("I don't know, but you can press the red button.", "step"),
        ("You can't cancel until it ships.", "contradiction"),
        ("Gift wrapping comes in three colours.", "content"),
        ("Orders below €50 ship free of charge.", "price"),
    ],
)
def test_what_is_found_wrong(sentence: str, kind: str) -> None:
    assert kind in reasons(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Open Account → Orders → Cancel order and confirm.",
        "Go to Account, then Orders, and choose Cancel order.",
        "You can't cancel after it ships.",
        "Standard delivery is €4.95, and express delivery is €9.95.",
        "The shop is open on Wednesdays.",
        "I'm sorry to hear that.",
        "I don't know how long it takes.",
        "The article doesn't say whether gifts can be wrapped.",
        "The help page does not give opening hours.",
        "I can't see where your parcel is.",
        "Would you like to talk to a person?",
    ],
)
def test_what_is_let_through(sentence: str) -> None:
    assert reasons(sentence) == set()


def test_what_the_customer_said_may_be_repeated_but_not_confirmed() -> None:
    asks = "I heard refunds take 90 days? my order is 4711-22"
    refunds = GroundingPassage("Refunds", "We refund an order within 10 days.")
    assert reasons("No, refunds do not take 90 days.", asks, refunds) == set()
    assert "duration" in reasons("Refunds take 90 days.", asks, refunds)
    assert "answer" in reasons("Yes, we refund an order.", asks, refunds)
    assert reasons("We refund your order 4711-22 within 10 days.", asks, refunds) == set()


def test_a_condition_is_not_dropped_unless_the_customer_named_it() -> None:
    fees = GroundingPassage("Fees", "The account costs nothing while at least £700 a month come in.")
    assert reasons("The account costs nothing.", "what does it cost", fees) == {"condition"}
    shipping = GroundingPassage("Shipping", "From €40 shipping is free.")
    assert reasons("Shipping is free.", "what is shipping", shipping) == {"condition"}
    assert reasons("From €40 shipping is free.", "what is shipping", shipping) == set()
    assert reasons("The account costs nothing.", "is it free if £900 come in every month?", fees) == set()


def test_yes_is_an_answer_to_what_was_asked() -> None:
    asks = "can i still cancel after it shipped?"
    verdict = judge("Yes, you can cancel until it ships.", Sources([CANCELLING], question=asks))
    assert verdict.only_its_opener
    assert reasons("No, you can cancel until it ships.", asks) == set()
    assert reasons("Yes, you can cancel until it ships.", "can i cancel my order") == set()


def test_the_shops_name_is_known_where_it_is_given() -> None:
    sentence = "At Hazel Harbour you can cancel your order until it ships."
    assert judge(sentence, Sources([CANCELLING], known=["Hazel Harbour"])).supported
    assert not judge(sentence, Sources([CANCELLING])).supported


@given(st.text(), st.text(), st.text())
def test_any_text_can_be_judged(sentence: str, passage: str, question: str) -> None:
    verdict = judge(sentence, Sources([GroundingPassage("", passage)], question=question))
    assert 0 <= verdict.score <= 1


def test_hostile_text_takes_no_time_that_grows_with_its_square() -> None:
    """Nested repetitions in a pattern would; the runner's own timeout ends such a test."""
    for piece in (
        "a",
        "1",
        "a.",
        "1,",
        "a@",
        "A → ",
        "“a",
        "not ",
        "/a",
        "-",
        "two hundred ",
        "monday to ",
        "1a",
        "(1 ",
    ):
        asks = piece * (20_000 // len(piece))
        sources = Sources([CANCELLING], question=asks)
        assert judge("You can cancel until it ships.", sources).supported
        judge(asks[:400] + ".", sources)


@pytest.mark.parametrize("place", range(len(CANCELLING.text.split(". "))))
def test_the_sources_own_words_are_supported(place: int) -> None:
    assert reasons(CANCELLING.text.split(". ")[place] + ".") == set()
