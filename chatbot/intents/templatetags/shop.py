"""The shop in any template: `{% load shop %}{% shop as shop %}{{ shop.name }}`."""

from __future__ import annotations

from django import template

from chatbot.intents.shop import Shop, load_shop

register = template.Library()


@register.simple_tag
def shop() -> Shop:
    """Whose support desk this is."""
    return load_shop()
