"""Training tests write where release tests do."""

from __future__ import annotations

from tests.releases.conftest import shelf

__all__ = ["shelf"]
