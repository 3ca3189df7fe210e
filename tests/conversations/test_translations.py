"""What the server says to customers, in every language of the chat."""

from __future__ import annotations

import string

import pytest

from chatbot.conversations import wording
from chatbot.conversations.translations import TRANSLATIONS, all_forms, translated

# Said by the page, in its own words.
SAID_BY_THE_PAGE = {wording.TURN_FAILED}
ENGLISH = {text for name, text in vars(wording).items() if name.isupper()} - SAID_BY_THE_PAGE


def _fields(text: str) -> set[str]:
    # When people are back stands in the banner below, in the page's language.
    return {field for _, field, _, _ in string.Formatter().parse(text) if field} - {"when"}


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_every_text_is_said_in_words_of_its_own(language: str) -> None:
    words = TRANSLATIONS[language]
    assert set(words) == ENGLISH
    for english, text in words.items():
        assert text.strip()
        assert text != english
        assert _fields(text) == _fields(english)


def test_other_languages_are_answered_in_english() -> None:
    assert translated(wording.BACK_TO_BOT, "fr") == translated(wording.BACK_TO_BOT, "") == wording.BACK_TO_BOT
    assert len(all_forms(wording.TALK_TO_A_PERSON)) == len(TRANSLATIONS) + 1
