"""Personal data goes, prices and dates stay, and no text takes long."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.training.redaction import Kind, Redactor, Span, public_values
from chatbot.training.redaction.numbers import passes_luhn, passes_mod_97
from chatbot.training.redaction.reading import read
from tests.training.planted import Recall, measure, read_messages

REDACTOR = Redactor()


# --- How much is found ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tuned() -> Recall:
    return measure(read_messages("tuned"), REDACTOR)


@pytest.fixture(scope="module")
def unseen() -> Recall:
    return measure(read_messages("unseen"), REDACTOR)


def test_what_is_planted_is_found(tuned: Recall, unseen: Recall) -> None:
    """`python -m tests.benchmarks.bench_redaction` prints the figures; these bars are a little below them."""
    assert tuned.planted.total() + unseen.planted.total() >= 200
    assert tuned.share_found >= 0.99, tuned.missed
    assert unseen.share_found >= 0.95, f"{len(unseen.missed)} of {unseen.planted.total()} missed"


@pytest.mark.parametrize(
    "kind", [Kind.EMAIL, Kind.CARD, Kind.IBAN, Kind.IP, Kind.PHONE, Kind.ORDER, Kind.LINK, Kind.BIRTH]
)
def test_what_has_a_form_is_found_nearly_always(tuned: Recall, unseen: Recall, kind: Kind) -> None:
    found = tuned.found[kind] + unseen.found[kind]
    planted = tuned.planted[kind] + unseen.planted[kind]
    assert found >= planted - max(1, planted // 20)


def test_prices_dates_and_article_numbers_stay(tuned: Recall, unseen: Recall) -> None:
    assert tuned.ordinary + unseen.ordinary >= 120
    assert tuned.swallowed + unseen.swallowed == []
    assert max(tuned.share_of_letters_swallowed, unseen.share_of_letters_swallowed) <= 0.01


@pytest.mark.parametrize(
    "text",
    [
        "Where is my parcel? It should have come on 24 December.",
        "I'm Irish and this is URGENT, thank you",
        "Is the Skerry 4 (4.3 kg) still €349.00, and the Tarn 5?",
        "5 days on the road and 10 minutes down the street",
        "my password is wrong, my card is declined, my order is late",
        "Die Straße ist gesperrt, der Fahrer braucht 20 Minuten",
        "Ich bin sehr enttäuscht, am Montag 10 Uhr sollte es kommen",
        "商品299元，2025年11月3日下单，已经12天了",
        "السعر ٢٥٠ ريال والمقاس ٤٠",
        "std::vector, 12:30:45, a::b, version 2.10.4.1, chapter 1.2.3.4",
        "I looked at this point just for 2 items",
        "Meet me at the shop. The dot is red.",
        "order 12 chairs, orders over 50 euros, in order to pay 1000 points",
    ],
)
def test_ordinary_messages_stay_as_they_are(text: str) -> None:
    assert REDACTOR.redact_text(text) == text


# --- What stands in their place -------------------------------------------------------------------


def test_each_value_keeps_its_placeholder_throughout_a_conversation() -> None:
    redacted = REDACTOR.redact(
        [
            "Not ann@old.example but Ann@New.example please",
            "You mean ann@new.example?",
            "yes. and call 0161 496 0777, not +44 161 496 0000",
        ]
    )
    assert redacted.texts == [
        "Not [email] but [email 2] please",
        "You mean [email 2]?",
        "yes. and call [phone], not [phone 2]",
    ]
    assert redacted.found == {"email": 3, "phone": 2}


def test_a_name_that_was_told_once_is_known_before_and_after() -> None:
    texts = [
        "Jane again!",
        "my name is Jane Doe, my husband Tom Doe paid",
        "Thanks, Doe. jane austen? A jane of all trades",
    ]
    redacted = REDACTOR.redact(texts).texts
    assert redacted == [
        "[name] again!",
        "my name is [name], my husband [name] paid",
        "Thanks, [name]. jane austen? A jane of all trades",
    ]


def test_what_the_shop_says_of_itself_is_no_secret() -> None:
    article = "Call +353 20 910 0142, write to help@shop.example or come to 28 Larch Street, Dublin."
    redactor = Redactor(public=public_values([article], REDACTOR))
    assert redactor.redact_text("You can call +353 20 9100142 or help@shop.example. It is in 28 Larch Street.") == (
        "You can call +353 20 9100142 or help@shop.example. It is in 28 Larch Street."
    )
    assert redactor.redact_text("I am ann@home.example, 29 Larch Street") == "I am [email], [address]"


def test_a_detector_of_names_adds_what_patterns_do_not_find() -> None:
    def detector(text: str) -> list[Span]:
        return [Span(match.start(), match.end(), Kind.NAME) for match in re.finditer("Zebediah", text)]

    redactor = Redactor(detector=detector)
    assert redactor.redact_text("Zebediah told me, z@x.example") == "[name] told me, [email]"


def test_numbers_are_found_in_every_script_and_through_invisible_signs() -> None:
    assert REDACTOR.redact_text("رقم الطلب ٤٨٢١٩٠٧ وشكرا") == "رقم الطلب [order number] وشكرا"
    assert REDACTOR.redact_text("卡号４１１１ １１１１ １１１１ １１１１") == "卡号[card number]"
    assert REDACTOR.redact_text("card 4111\u200b11111111\u20601111!") == "card [card number]!"
    assert REDACTOR.redact_text("a\u200bnn@x\u00ad.example") == "[email]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see http://shop.example/help?topic=2#faq now", "see [link] now"),
        ("see https://shop.example/help/returns, now", "see https://shop.example/help/returns, now"),
        ("[our page](/help/shipping-costs/)", "[our page](/help/shipping-costs/)"),
        ("https://user:pw@shop.example/", "[link]"),
        ("shop.example/orders/4821907 says so", "[link] says so"),
        ("4111 1111 1111 1112 is no card", "[number] is no card"),
        ("IBAN DE89 3704 0044 0532 0130 01", "IBAN [iban]"),
    ],
)
def test_checks_decide(text: str, expected: str) -> None:
    assert REDACTOR.redact_text(text) == expected


def test_check_digits() -> None:
    assert passes_luhn("4111111111111111")
    assert not passes_luhn("4111111111111112")
    assert passes_mod_97("GB82WEST12345698765432")
    assert not passes_mod_97("GB83WEST12345698765432")


# --- Any text at all ------------------------------------------------------------------------------

PIECES = [
    *("jane@x.example", "4111 1111 1111 1111", "[email]", "[name 2]", "[", "]", "order number ", "HH-4821907"),
    *("my name is ", "Jane Doe", "+353 87 123 4567", "12 Main Street, Dublin", "24.12.2025", "€ 59,90", "\n", "  "),
    *("DE89370400440532013000", "我叫王小明", "订单号", "北京市建国路88号", "اسمي أحمد", "رقم الطلب ٤٨٢", "\u200b"),
    *("e\u0301", "https://a.example/?t=1", "1", "-", "@"),
]
TEXTS = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(PIECES), max_size=8).map("".join))


@given(st.lists(TEXTS, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_redacting_twice_changes_nothing(texts: list[str]) -> None:
    once = REDACTOR.redact(texts).texts
    assert REDACTOR.redact(once).texts == once


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_what_is_not_taken_out_is_left_as_it_was(text: str) -> None:
    spans = REDACTOR.spans(text)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(left.end <= right.start for left, right in pairwise(spans))
    left_over = list(text)
    for span in reversed(spans):
        del left_over[span.start : span.end]
    kept = re.sub(r"\[(?:" + "|".join(Kind) + r")(?: \d+)?\]", "", REDACTOR.redact_text(text))
    rest = iter("".join(left_over))
    assert all(sign in rest for sign in kept)


@given(st.text(max_size=60))
def test_a_reading_leads_back_to_what_was_written(text: str) -> None:
    reading = read(text)
    assert len(reading.text) == len(reading.starts) == len(reading.ends)
    for place in range(len(reading.text)):
        start, end = reading.written(place, place + 1)
        assert 0 <= start < end <= len(text)


SEEDS = [
    *(
        "a",
        "1",
        "1 ",
        "1-",
        "0",
        "+",
        "@",
        "a@",
        "a.",
        "a@b.",
        ":",
        "1:",
        "::1",
        "1.",
        "(",
        "[email",
        "/",
        "https://",
        "x.y/",
    ),
    *("A ", "Ab", "my name is ", "no no ", "order number ", "#1", "12 Main ", "12 a ", "Am Ab ", "Flat 1 ", "calle a "),
    *("1 rue a ", "1 ab ", "Ab straße 1", "Ab Cd 1 ", "路1", "市", "号", "王", "شارع اب ", "٤", "\u200b", "e\u0301"),
    *("1 kg ", "€1", "DE1", "card 4", "regards,\n", "\nA", "hi A", "A1", "A-1", "call 0", " at ", " (at) ", " dot "),
    *("4111 1111 1111 111", "born 1.1.", "pin is 1"),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_time_grows_with_the_length_and_no_faster(seed: str) -> None:
    """Eight times the text takes about eight times the work; what backtracks would take sixty-four times."""

    def work(length: int) -> float:
        text = (seed * length)[:length]
        return min(_processor_time(text) for _ in range(3))

    assert work(16_000) < 24 * work(2_000) + 0.01


def _processor_time(text: str) -> float:
    started = time.process_time()
    REDACTOR.redact([text])
    return time.process_time() - started
