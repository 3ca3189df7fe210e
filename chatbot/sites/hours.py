"""When people are there to answer: a week of opening hours and its holidays, in the site's own time zone. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# A desk that does not open within this long has, as far as a customer is concerned, no hours.
HORIZON = timedelta(days=30)
MIDNIGHT = time(0)


@dataclass(frozen=True, slots=True)
class Shift:
    """From `opens` up to `closes`, which is midnight where it is 00:00."""

    opens: time
    closes: time

    def __post_init__(self) -> None:
        if self.closes != MIDNIGHT and self.opens >= self.closes:
            raise ValueError(f"{self} ends before it begins")

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """The shifts of each day of the week, Monday first. Without any, somebody is always there."""

    week: tuple[tuple[Shift, ...], ...]
    holidays: frozenset[date]
    zone: ZoneInfo

    def is_open(self, moment: datetime) -> bool:
        """Whether people answer at the moment, which is aware."""
        if not any(self.week):
            return True
        # By UTC: within one zone Python compares what the wall shows, which repeats an hour in autumn.
        now = moment.astimezone(UTC)
        return any(begins <= now < ends for begins, ends in self._shifts(moment.astimezone(self.zone).date(), 1))

    def next_opening(self, moment: datetime) -> datetime | None:
        """When people answer again, in the site's zone; None while they do, or where it is further than HORIZON."""
        if self.is_open(moment):
            return None
        now, today = moment.astimezone(UTC), moment.astimezone(self.zone).date()
        return next((begins for begins, _ in self._shifts(today, HORIZON.days) if begins > now), None)

    def _shifts(self, first: date, days: int) -> Iterator[tuple[datetime, datetime]]:
        for day in (first + timedelta(days=number) for number in range(days)):
            if day in self.holidays:
                continue
            for shift in self.week[day.weekday()]:
                last = day + timedelta(days=shift.closes == MIDNIGHT)
                yield self._at(day, shift.opens), self._at(last, shift.closes)

    def _at(self, day: date, clock: time) -> datetime:
        return datetime.combine(day, clock, tzinfo=self.zone)


def parse_week(text: str) -> tuple[tuple[Shift, ...], ...]:
    """The week out of lines such as `mon-fri 09:00-18:00` or `sat 10:00-12:00, 13:00-16:00`; empty text has no shifts.

    Raises ValueError in one sentence that names the line.
    """
    week: list[list[Shift]] = [[] for _ in DAYS]
    for line in filter(None, (line.strip().lower() for line in text.splitlines())):
        days, _, shifts = line.partition(" ")
        try:
            parsed = [_parse_shift(shift) for shift in shifts.split(",")]
            for day in _parse_days(days):
                week[day] += parsed
        except (ValueError, IndexError) as error:
            raise ValueError(f"“{line}” is not like “mon-fri 09:00-18:00”.") from error
    for day, shifts_of_day in enumerate(week):
        ordered = sorted(shifts_of_day, key=lambda shift: shift.opens)
        for before, after in pairwise(ordered):
            if before.closes == MIDNIGHT or after.opens < before.closes:
                raise ValueError(f"On {DAYS[day]} {before} and {after} overlap.")
        week[day] = ordered
    return tuple(tuple(shifts_of_day) for shifts_of_day in week)


def parse_holidays(text: str) -> frozenset[date]:
    """Dates such as 2026-12-25, one a line; what follows a date is a remark. Raises ValueError that names the line."""
    holidays = set()
    for line in filter(None, (line.strip() for line in text.splitlines())):
        try:
            holidays.add(date.fromisoformat(line.split()[0]))
        except ValueError as error:
            raise ValueError(f"“{line}” does not begin with a date like 2026-12-25.") from error
    return frozenset(holidays)


def _parse_days(text: str) -> range:
    first, _, last = text.partition("-")
    begin = DAYS.index(first)
    end = DAYS.index(last) if last else begin
    if end < begin:
        raise ValueError(text)
    return range(begin, end + 1)


def _parse_shift(text: str) -> Shift:
    opens, closes = text.strip().split("-")
    return Shift(_parse_time(opens), MIDNIGHT if closes.strip() == "24:00" else _parse_time(closes))


def _parse_time(text: str) -> time:
    return datetime.strptime(text.strip(), "%H:%M").time()
