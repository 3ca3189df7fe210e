"""Which days the overview shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from chatbot.conversations.outcomes import Period

DEFAULT_DAYS = 30
_PRESETS = {"7 days": 7, "30 days": 30, "90 days": 90, "year": 365}


@dataclass(frozen=True, slots=True)
class Preset:
    """A period that ends today, under its name."""

    name: str
    period: Period


def last_days(days: int) -> Period:
    """So many days, the last of them today."""
    today = timezone.localdate()
    return Period(today - timedelta(days=days - 1), today)


def presets() -> list[Preset]:
    return [Preset(name, last_days(days)) for name, days in _PRESETS.items()]


class PeriodForm(forms.Form):
    """From a day to a day. What is left out is taken from the usual period."""

    first = forms.DateField(required=False, label="From", widget=forms.DateInput(attrs={"type": "date"}))
    last = forms.DateField(required=False, label="To", widget=forms.DateInput(attrs={"type": "date"}))
    demo = forms.BooleanField(required=False, label="With the demo shop’s conversations")

    def __init__(self, data: Any) -> None:
        super().__init__(data, label_suffix="")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if self.errors:
            return given
        last: date = given["last"] or timezone.localdate()
        try:
            given["period"] = Period(given["first"] or last - timedelta(days=DEFAULT_DAYS - 1), last)
        except OverflowError as error:
            raise forms.ValidationError("That is before the calendar begins.") from error
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        return given
