"""Opening hours, over nights, holidays and changes of the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.sites.hours import BusinessHours, parse_holidays, parse_week

DUBLIN = ZoneInfo("Europe/Dublin")
OFFICE = "mon-fri 09:00-18:00\nsat 10:00-12:00, 13:00-16:00"


def hours(week: str = OFFICE, holidays: str = "", zone: ZoneInfo = DUBLIN) -> BusinessHours:
    return BusinessHours(parse_week(week), parse_holidays(holidays), zone)


def at(text: str, zone: ZoneInfo = DUBLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-25 08:59", False),
        ("2026-11-25 09:00", True),
        ("2026-11-25 17:59", True),
        ("2026-11-25 18:00", False),
        ("2026-11-28 12:30", False),
        ("2026-11-28 13:00", True),
        ("2026-11-29 12:00", False),
    ],
)
def test_open_from_the_first_minute_up_to_the_last(moment: str, is_open: bool):
    assert hours().is_open(at(moment)) == is_open


def test_the_next_opening_skips_sundays_and_holidays():
    desk = hours(holidays="2026-11-30 St Andrew\n2026-12-25")
    assert desk.next_opening(at("2026-11-28 16:00")) == at("2026-12-01 09:00")
    assert desk.next_opening(at("2026-12-01 09:00")) is None


def test_without_hours_somebody_is_always_there():
    desk = hours("")
    assert desk.is_open(at("2026-11-29 03:00"))
    assert desk.next_opening(at("2026-11-29 03:00")) is None


def test_a_night_is_two_shifts_that_meet_at_midnight():
    desk = hours("fri 20:00-24:00\nsat 00:00-04:00")
    assert desk.is_open(at("2026-11-27 23:59"))
    assert desk.is_open(at("2026-11-28 00:00"))
    assert not desk.is_open(at("2026-11-28 04:00"))


def test_a_moment_of_another_zone_is_the_same_moment():
    assert hours().is_open(datetime(2026, 7, 1, 8, 30, tzinfo=UTC))
    assert not hours().is_open(datetime(2026, 11, 25, 8, 30, tzinfo=UTC))


def test_a_closed_desk_has_no_next_opening():
    holidays = "\n".join(str(date(2026, 11, 1) + timedelta(days=number)) for number in range(90))
    assert hours(holidays=holidays).next_opening(at("2026-11-25 08:00")) is None


@pytest.mark.parametrize(
    ("week", "told"),
    [
        ("mon 9-18", "mon 9-18"),
        ("mon-fri", "mon-fri"),
        ("day 09:00-10:00", "day 09:00-10:00"),
        ("fri-mon 09:00-10:00", "fri-mon"),
        ("mon 18:00-09:00", "18:00-09:00"),
        ("mon 09:00-12:00, 11:00-13:00", "overlap"),
        ("mon-tue 09:00-24:00\ntue 23:00-24:00", "overlap"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(week: str, told: str):
    with pytest.raises(ValueError, match=told):
        parse_week(week)


def test_a_holiday_that_is_no_date_is_named():
    with pytest.raises(ValueError, match="Christmas"):
        parse_holidays("2026-12-24\nChristmas")


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)))
def test_the_next_opening_is_open_and_nothing_before_it_is(moment: datetime):
    desk = hours(holidays="2026-12-25\n2026-12-26")
    opening = desk.next_opening(moment)
    if opening is None:
        assert desk.is_open(moment)
        return
    assert opening > moment
    assert desk.is_open(opening)
    assert not desk.is_open(opening - timedelta(minutes=1))
