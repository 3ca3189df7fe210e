"""Generators that run elsewhere, on the model server that the settings name, as releases.

Such a release is a folder like any other whose manifest names the model and the server, and holds no files. So every
message says who wrote it, and promoting and rolling back need to know nothing new. What the server has really loaded is
its operator's word: only the names can be checked here.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from chatbot.exceptions import ReleaseError
from chatbot.releases.models import Release

ENGINE = "openai"


def named_by_settings() -> dict[str, str]:
    """The model and its server as manifests name them; a server's path says nothing about the model."""
    return {"engine": ENGINE, "model": settings.OPENAI_MODEL, "server": urlsplit(settings.OPENAI_BASE_URL).netloc}


def is_remote(release: Release) -> bool:
    """Whether the release is a model of a server."""
    return named_by(release).get("engine") == ENGINE


def named_by(release: Release) -> dict[str, Any]:
    """What the release's manifest says of how it was made."""
    return release.manifest.get("configuration") or {}


def check_fits_engine(release: Release) -> None:
    """Raise ReleaseError where the engine that the settings choose can't serve this generator."""
    if settings.ENGINE != ENGINE:
        reason = "models on disk" if is_remote(release) else ""
    else:
        reason = f"{settings.OPENAI_MODEL} on its server" if named_by(release) != named_by_settings() else ""
    if reason:
        raise ReleaseError(
            f"{release.name} is {release.base or 'a model on disk'}, but ENGINE={settings.ENGINE} serves {reason}. "
            "Follow the settings with: python manage.py prepare_models"
        )
