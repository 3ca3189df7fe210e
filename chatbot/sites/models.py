"""A web site that embeds the chat."""

from __future__ import annotations

from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from chatbot.sites.hours import BusinessHours, parse_holidays, parse_week
from chatbot.sites.origins import origin_parts

# What the chat is written in; `frontend/src/chat/languages/` has the words.
LANGUAGES = ("en", "de", "ar", "zh-Hans")
# HS256 is as strong as its secret: as long as its hash, RFC 7518 §3.2.
SHORTEST_SECRET = 32


def lines_of(text: str) -> list[str]:
    """What stands on the lines that are not empty."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def validate_origins(text: str) -> None:
    for line in lines_of(text):
        if origin_parts(line) is None:
            raise ValidationError(f"“{line}” is not an origin such as https://www.shop.example, without a path.")


def validate_languages(text: str) -> None:
    for line in lines_of(text):
        if line not in LANGUAGES:
            raise ValidationError(f"“{line}” is none of the chat's languages: {', '.join(LANGUAGES)}.")


def validate_week(text: str) -> None:
    try:
        parse_week(text)
    except ValueError as error:
        raise ValidationError(str(error)) from error


def validate_holidays(text: str) -> None:
    try:
        parse_holidays(text)
    except ValueError as error:
        raise ValidationError(str(error)) from error


def validate_time_zone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError(f"There is no time zone “{name}”. One is called Europe/Dublin, for example.")


class Site(models.Model):
    """One place where the chat is embedded, by a key that its page names."""

    class Training(models.TextChoices):
        NEVER = "never", "Never"
        NOTICE = "notice", "Yes, and customers are told so"
        ASK = "ask", "Only of customers who agreed"

    class Identity(models.TextChoices):
        OFF = "off", "Nobody vouches for visitors"
        OPTIONAL = "optional", "The page may vouch for a visitor"
        ENFORCED = "enforced", "Only visitors whom the page vouches for may chat"

    class Algorithm(models.TextChoices):
        HS256 = "HS256", "HS256, a shared secret"
        RS256 = "RS256", "RS256, the page's public key"

    key = models.SlugField(max_length=40, unique=True, help_text="What the page writes into data-site. Not a secret.")
    name = models.CharField(max_length=80, help_text="Stands above the chat.")
    is_active = models.BooleanField(default=True, help_text="Where not, the chat does not open on this site.")
    allowed_origins = models.TextField(
        blank=True,
        validators=[validate_origins],
        help_text="Whose pages may embed the chat, one a line: https://www.shop.example",
    )
    accent = models.CharField(
        max_length=7,
        default="#0b6b5b",
        validators=[RegexValidator(r"^#[0-9a-fA-F]{6}$", "A colour such as #0b6b5b.")],
        help_text="The colour of the launcher and of what customers say.",
    )
    greeting = models.TextField(blank=True, max_length=500, help_text="The shop's own where this is empty.")
    starters = models.TextField(blank=True, help_text="Questions to start with, one a line; the shop's where empty.")
    languages = models.TextField(
        blank=True,
        validators=[validate_languages],
        help_text=f"Those that the chat offers, one a line, of {', '.join(LANGUAGES)}; all where empty.",
    )
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    hours = models.TextField(
        blank=True,
        validators=[validate_week],
        help_text="When people answer: lines such as “mon-fri 09:00-18:00”. Empty: always.",
    )
    holidays = models.TextField(
        blank=True, validators=[validate_holidays], help_text="When nobody does: dates such as 2026-12-25, one a line."
    )
    training = models.CharField(
        "training on conversations", max_length=8, choices=Training.choices, default=Training.NOTICE
    )
    attachments = models.BooleanField(
        "files", default=True, help_text="Customers may send pictures and PDF files, where the settings allow it."
    )
    identity = models.CharField("signed identity", max_length=10, choices=Identity.choices, default=Identity.OFF)
    identity_algorithm = models.CharField(max_length=5, choices=Algorithm.choices, default=Algorithm.HS256)
    identity_key = models.TextField(
        blank=True, help_text=f"The shared secret ({SHORTEST_SECRET} characters or more), or the public key in PEM."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """A site that takes signed identities needs the key that checks them."""
        if self.identity == self.Identity.OFF:
            return
        if self.identity_algorithm == self.Algorithm.HS256 and len(self.identity_key) < SHORTEST_SECRET:
            raise ValidationError({"identity_key": f"A secret of at least {SHORTEST_SECRET} characters is needed."})
        if self.identity_algorithm == self.Algorithm.RS256:
            from chatbot.sites.identity import check_public_key

            try:
                check_public_key(self.identity_key)
            except ValueError as error:
                raise ValidationError({"identity_key": str(error)}) from error

    @property
    def origins(self) -> list[str]:
        """Whose pages may embed the chat."""
        return lines_of(self.allowed_origins)

    @property
    def starter_questions(self) -> list[str]:
        return lines_of(self.starters)

    @property
    def offered_languages(self) -> list[str]:
        """What the chat may be switched to; empty for all."""
        return lines_of(self.languages)

    @property
    def business_hours(self) -> BusinessHours:
        """When people answer."""
        return BusinessHours(parse_week(self.hours), parse_holidays(self.holidays), ZoneInfo(self.time_zone))
