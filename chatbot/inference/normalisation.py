"""When two texts are the same example, and what stands for one where its words must not be kept."""

from __future__ import annotations

import hashlib
import unicodedata

KEY_BYTES = 16


def normalise(text: str) -> str:
    """The text as it is trained on: composed characters, single blanks."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def text_key(text: str) -> bytes:
    """KEY_BYTES of the normalised text's SHA-256: finds an example again as long as somebody still has its words."""
    return hashlib.sha256(normalise(text).encode("utf-8", "replace")).digest()[:KEY_BYTES]
