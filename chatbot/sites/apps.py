from __future__ import annotations

from django.apps import AppConfig


class SitesConfig(AppConfig):
    name = "chatbot.sites"
    # Django's own app of web sites has the plain name.
    label = "embedding"
    verbose_name = "Embedding"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from chatbot.sites.models import Site

        auditlog.register(Site, exclude_fields=["updated_at"], mask_fields=["identity_key"])
