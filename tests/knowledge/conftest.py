"""What knowledge tests share: an encoder that counts words, and articles to index."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from chatbot.knowledge import services
from chatbot.knowledge.models import Article

DIMENSION = 512


class WordCounter:
    """Embeds a text as the words in it: a similarity that a test can work out in its head."""

    def __init__(self, digest: str = "words") -> None:
        self.digest = digest
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen += texts
        rows = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.casefold()):
                row[int.from_bytes(hashlib.sha256(word.encode()).digest()[:4]) % DIMENSION] += 1
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


@pytest.fixture
def encoder() -> WordCounter:
    return WordCounter()


@pytest.fixture
def write(db: None) -> Callable[..., Article]:
    """Stores an article, without an index."""

    def write(slug: str, body: str, **fields: Any) -> Article:
        fields = {"title": slug.replace("-", " ").capitalize()} | fields
        return services.save_article(article=Article(slug=slug, body=body, **fields))

    return write
