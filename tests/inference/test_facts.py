"""Facts: one form for what is written in many ways, and no conversions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.inference.groundedness.facts import extract_facts


def found(text: str) -> set[tuple[str, str, str]]:
    return {(fact.kind.value, fact.value, fact.unit) for fact in extract_facts(text)}


@pytest.mark.parametrize(
    ("spellings", "fact"),
    [
        (
            ["14 days", "fourteen days", "14-day", "١٤ يوما", "14 Tage", "vierzehn Tage", "十四天"],
            ("duration", "14", "day"),
        ),
        (["5 working days", "five business days", "5 Werktage", "5个工作日"], ("duration", "5", "working day")),
        (["€4.95", "4,95 €", "4.95 EUR", "EUR 4.95 or 4,95 euros"], ("price", "4.95", "eur")),
        (["€1,299", "1.299,00 €", "1299 euros"], ("price", "1299", "eur")),
        (["50p", "50 cents"], ("price", "0.5", "")),
        (["free of charge", "It is free.", "at no extra cost", "kostenlos", "costs nothing"], ("price", "free", "")),
        (["10%", "10 %", "10 per cent", "10 Prozent"], ("percentage", "10", "%")),
        (["2 p.m.", "2pm", "14:00", "14 Uhr", "2:00 pm"], ("time", "14:00", "")),
        (["noon", "12:00", "12 p.m."], ("time", "12:00", "")),
        (["3 March", "March 3rd", "2026-03-03", "3. März", "3月3日", "between 3 and 5 March"], ("date", "03-03", "")),
        (["https://www.a.example/b/", "a.example/b", "see a.example/b."], ("link", "a.example/b", "")),
        (["Write to Help@A.example.", "help@a.example"], ("e-mail address", "help@a.example", "")),
        (["Wednesday", "Mon–Fri", "Monday to Friday", "周一至周五"], ("day", "wednesday", "")),
        (["€5 a month", "€5 per month", "€5 monthly"], ("duration", "per", "month")),
        (["once a year", "one time", "twice or once."], ("number", "1", "times")),
        (["two hundred and fifty kg", "250 kg"], ("number", "250", "kg")),
        (["use SAVE10 now", "the code “save10” is SAVE10"], ("code", "save10", "")),
    ],
)
def test_spellings_of_the_same_fact(spellings: list[str], fact: tuple[str, str, str]) -> None:
    for text in spellings:
        assert fact in found(text), text


@pytest.mark.parametrize(
    ("text", "absent"),
    [
        ("two weeks", ("duration", "14", "day")),
        ("Feel free to ask.", ("price", "free", "")),
        ("a gluten-free menu", ("price", "free", "")),
        ("You may cancel.", ("date", "05", "")),
        ("One of them is enough.", ("number", "1", "")),
        ("Once it ships, wait.", ("number", "1", "times")),
        ("It takes a week.", ("duration", "per", "week")),
        ("and/or", ("link", "/or", "")),
    ],
)
def test_what_is_no_such_fact(text: str, absent: tuple[str, str, str]) -> None:
    assert absent not in found(text)


def test_both_ends_of_a_range_have_its_unit() -> None:
    assert {("duration", "2", "working day"), ("duration", "4", "working day")} <= found("It takes 2–4 working days.")
    assert {("duration", "3", "week"), ("duration", "5", "week")} <= found("three to five weeks")


def test_a_phone_number_is_its_digits_and_an_address_is_no_price() -> None:
    assert found("+44 20 7946-0123") == {("phone number", "442079460123", "")}
    assert found("Mon to Fri 9 a.m. to 5 p.m.") >= {("time", "9:00", ""), ("time", "17:00", "")}
    assert not any(kind == "price" for kind, _, _ in found("until 5 p.m."))


@given(st.text())
def test_any_text_can_be_read_and_facts_stand_where_they_say(text: str) -> None:
    for fact in extract_facts(text):
        assert 0 <= fact.start < fact.end <= len(text)
