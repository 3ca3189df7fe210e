"""Whose support desk this is: the name and greeting that the empty chat shows, and questions to start with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True, slots=True)
class Shop:
    """What a customer sees before the first message."""

    name: str
    tagline: str
    greeting: str
    starters: tuple[str, ...]


@lru_cache(maxsize=1)
def load_shop() -> Shop:
    """The shop of `SHOP_FILE`, with `SHOP_NAME` and `SHOP_GREETING` put over it where they are set.

    Raises:
        ImproperlyConfigured: the file is missing or is no description of a shop.
    """
    described = _read(Path(settings.SHOP_FILE))
    return Shop(
        name=settings.SHOP_NAME or described.name,
        tagline=described.tagline,
        greeting=settings.SHOP_GREETING or described.greeting,
        starters=described.starters,
    )


def _read(path: Path) -> Shop:
    try:
        fields: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Shop(
            name=str(fields["name"]),
            tagline=str(fields.get("tagline", "")),
            greeting=str(fields["greeting"]),
            starters=tuple(str(starter) for starter in fields.get("starters", ())),
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ImproperlyConfigured(f"SHOP_FILE={path} is no description of a shop: {error!r}") from error
