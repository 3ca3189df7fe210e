"""Reads of sites."""

from __future__ import annotations

from chatbot.sites.models import Site


def active_site(key: str) -> Site | None:
    """The site of that key, if its chat may be opened."""
    return Site.objects.filter(key=key, is_active=True).first()
