"""The model registry: releases, promotions, and the models that a worker serves."""

from __future__ import annotations

from django.apps import AppConfig


class ReleasesConfig(AppConfig):
    name = "chatbot.releases"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from chatbot.releases.models import Promotion, Release

        # The manifest can never change; its digest says which it was.
        auditlog.register(Release, exclude_fields=["manifest", "metrics"])
        auditlog.register(Promotion)
