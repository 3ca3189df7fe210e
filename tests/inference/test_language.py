"""Language detection, offline."""

from __future__ import annotations

import pytest

from chatbot.inference.language import certain_language, detect_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How can I cancel my order?", "en"),
        ("Wie kann ich meine Bestellung stornieren?", "de"),
        ("¿Dónde está mi pedido?", "es"),
        ("何时发货\n请告诉我", "zh"),
        ("Je veux un remboursement", "fr"),
        ("", ""),
        ("12345", ""),
        ("👍👍", ""),
        ("\ud800", ""),
        ("\0\0", ""),
    ],
)
def test_language_of_a_message(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_a_whole_pasted_page_is_no_slower() -> None:
    assert detect_language("Where is my parcel? It should be here. " * 100_000) == "en"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Wie kann ich meine Bestellung stornieren, bitte?", "de"),
        ("我的订单在哪里？", "zh"),
        ("كيف يمكنني إلغاء طلبي؟", "ar"),
        ("Where is the parcel that I ordered last week?", "en"),
        ("ok danke", ""),
        ("refund", ""),
        ("#12345 12345", ""),
    ],
)
def test_one_acts_on_a_language_only_where_it_is_certain(text: str, language: str) -> None:
    assert certain_language(text) == language
