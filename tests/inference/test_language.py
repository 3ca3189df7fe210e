"""Language detection, offline."""

from __future__ import annotations

import pytest

from chatbot.inference.language import detect_language


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
