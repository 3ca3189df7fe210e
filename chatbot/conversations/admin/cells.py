"""What the support desk's lists show in their cells."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from chatbot.conversations.confidence import band_of
from chatbot.conversations.legibility import legible

EMPTY = "–"
EXCERPT_CHARACTERS = 90


def badge(label: str, tone: str) -> SafeString:
    """A word on a coloured ground; `tone` names a rule of admin.css."""
    return format_html('<span class="fd-badge fd-badge-{}">{}</span>', tone, label)


def confidence(value: float | None) -> SafeString | str:
    """A probability as a percentage and the name of its band."""
    if value is None:
        return EMPTY
    band = band_of(value)
    return format_html('<span class="fd-badge fd-badge-{}">{}% {}</span>', band, round(value * 100), band.label.lower())


def excerpt(text: str) -> SafeString:
    """The start of a customer's or the bot's text, isolated so that it cannot turn its neighbours around."""
    return format_html('<bdi class="fd-excerpt">{}</bdi>', Truncator(legible(text)).chars(EXCERPT_CHARACTERS))


def whole(text: str) -> SafeString:
    """All of a text, with its line breaks, closed in itself."""
    return format_html('<div class="fd-whole" dir="auto">{}</div>', legible(text) or EMPTY)


def thumbs(direction: str, count: int) -> SafeString:
    """How many customers' thumbs point up or down."""
    return format_html(
        '<span class="fd-thumbs fd-thumbs-{0}" role="img" aria-label="{1} thumbs {0}" title="{1} thumbs {0}">'
        '<span class="fd-thumb fd-thumb-{0}"></span> {1}</span>',
        direction,
        count,
    )


def moment(value: datetime) -> SafeString:
    """A time as short as it can be told: today without the date, this year without the year."""
    local, now = timezone.localtime(value), timezone.localtime()
    if local.date() == now.date():
        text = f"{local:%H:%M}"
    elif local.year == now.year:
        text = f"{local.day} {local:%b, %H:%M}"
    else:
        text = f"{local.day} {local:%b %Y}"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', value.isoformat(), f"{local:%Y-%m-%d %H:%M:%S}", text
    )
