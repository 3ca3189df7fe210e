"""What a classifier is trained on, and the digest that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence


def examples_digest(examples: Sequence[tuple[str, str]], out_of_scope: Sequence[str]) -> str:
    """SHA-256 of what a classifier is trained on; the order does not matter."""
    content = json.dumps([sorted(examples), sorted(out_of_scope)], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
