"""What a label in somebody's file means in the catalogue."""

from __future__ import annotations

import unicodedata

from django.utils.text import slugify

LONGEST_SLUG = 80
# What CLINC150, Rasa and others call texts that no intent should answer.
OUT_OF_SCOPE_LABELS = frozenset({"oos", "out_of_scope", "out-of-scope", "nlu_fallback"})


def is_out_of_scope(label: str) -> bool:
    """Whether the label says that no intent should answer."""
    return label.strip().lower() in OUT_OF_SCOPE_LABELS


def intent_slug(label: str) -> str:
    """The slug that an intent of this label has; empty where the label has no letters or digits to make one of."""
    # Rasa's sub-intents are written with a slash, which an address cannot hold.
    return slugify(label.casefold().replace("/", "-"))


def same_label(one: str, other: str) -> bool:
    """Whether two labels differ only in case, accents and punctuation, and not in letters that a slug leaves out."""
    return _letters(one) == _letters(other)


def _letters(label: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", label.casefold()) if c.isalnum())
