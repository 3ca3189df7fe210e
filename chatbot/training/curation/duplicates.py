"""When two texts are the same for a model, or nearly so.

Near is a Jaccard similarity of at least 0.8 between the sets of four-letter pieces (Broder 1997). Candidates come from
MinHash signatures in bands (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4), and each is then compared
for certain, so that nothing is taken for a repeat by chance. Four-letter pieces also serve scripts without blanks.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from chatbot.training.redaction import PLACEHOLDER

NEAR = 0.8
_PIECE = 4
# Sixteen bands of four: two texts at 0.8 meet in one of them with a probability of 0.9998.
_BANDS, _ROWS = 16, 4
_PRIME = np.uint64(4_294_967_311)
_NO_WORD = re.compile(r"[^\w\[\]]+")
_NUMBERED = re.compile(r" \d+\]")


def plain(text: str) -> str:
    """The text without what no model should tell it apart by: case, punctuation, widths, numbers of placeholders."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    unnumbered = PLACEHOLDER.sub(lambda match: _NUMBERED.sub("]", match.group()), folded)
    # Of a lone emoji nothing would be left.
    return _NO_WORD.sub(" ", unnumbered).strip() or " ".join(folded.split())


class NearTexts:
    """Texts that have been kept, by number, and which of them another one is nearly the same as."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self._factors = generator.integers(1, 2**31, size=_BANDS * _ROWS, dtype=np.uint64)
        self._shifts = generator.integers(0, 2**31, size=_BANDS * _ROWS, dtype=np.uint64)
        self._buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
        self._pieces: dict[int, frozenset[int]] = {}

    def near(self, text: str) -> list[int]:
        """The numbers of the texts that are near, in ascending order."""
        pieces = _pieces(text)
        candidates = {number for key in self._keys(pieces) for number in self._buckets.get(key, ())}
        return sorted(number for number in candidates if similarity(pieces, self._pieces[number]) >= NEAR)

    def add(self, number: int, text: str) -> None:
        """Keep the text under a number that no other has."""
        pieces = _pieces(text)
        self._pieces[number] = pieces
        for key in self._keys(pieces):
            self._buckets[key].append(number)

    def _keys(self, pieces: frozenset[int]) -> list[tuple[int, bytes]]:
        signature = self._signature(np.fromiter(pieces, dtype=np.uint64, count=len(pieces)))
        return [(band, signature[band].tobytes()) for band in range(_BANDS)]

    def _signature(self, pieces: NDArray[np.uint64]) -> NDArray[np.uint64]:
        hashed = (pieces[:, None] * self._factors + self._shifts) % _PRIME
        return hashed.min(axis=0).reshape(_BANDS, _ROWS)


def similarity(one: frozenset[int], other: frozenset[int]) -> float:
    """Jaccard: what both have of what either has, 0 to 1."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def _pieces(text: str) -> frozenset[int]:
    """Checksums of the pieces of a text, never none."""
    folded = f" {plain(text)} "
    return frozenset(
        zlib.crc32(folded[start : start + _PIECE].encode("utf-8", "surrogatepass"))
        for start in range(max(1, len(folded) - _PIECE + 1))
    )
