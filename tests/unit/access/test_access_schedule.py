"""Daily hours on wall clocks that are put forward and back."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from access_people import SHANGHAI, at
from hypothesis import given
from hypothesis import strategies as st

from sharpeyes.access.schedule import next_start, open_until
from sharpeyes.domain.access import Schedule
from sharpeyes.domain.time import Ms

BERLIN = ZoneInfo("Europe/Berlin")  # 2026: forward on 29 March at 02:00, back on 25 October at 03:00
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # half an hour
APIA = ZoneInfo("Pacific/Apia")  # had no 30 December 2011


def hours(start: str, end: str, days: str = "0123456") -> Schedule:
    def minute(text: str) -> int:
        return int(text[:2]) * 60 + int(text[3:])

    return Schedule(start=minute(start), end=minute(end), days=frozenset(int(day) for day in days))


def window(schedule: Schedule, around: str, zone: ZoneInfo) -> tuple[str, str]:
    """The next window after an instant of UTC, in UTC."""
    start = next_start(schedule, at(around), zone)
    end = open_until(schedule, start, zone)
    assert end is not None
    assert open_until(schedule, Ms(start - 1), zone) is None
    return show(start), show(end)


def show(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment / 1000, UTC):%d %H:%M}"


@pytest.mark.parametrize(
    ("schedule", "around", "zone", "opens", "closes"),
    [
        (hours("08:00", "18:00"), "2026-09-20T12:00", SHANGHAI, "21 00:00", "21 10:00"),
        (hours("22:00", "06:00"), "2026-09-21T12:00", SHANGHAI, "21 14:00", "21 22:00"),
        (hours("00:00", "24:00", "5"), "2026-09-21T12:00", SHANGHAI, "25 16:00", "26 16:00"),
        (hours("22:00", "06:00", "6"), "2026-09-21T12:00", SHANGHAI, "27 14:00", "27 22:00"),
        # forward: 02:00-03:00 does not exist
        (hours("08:00", "09:00"), "2026-03-28T12:00", BERLIN, "29 06:00", "29 07:00"),
        (hours("01:30", "03:30"), "2026-03-28T12:00", BERLIN, "29 00:30", "29 01:30"),
        (hours("02:30", "04:00"), "2026-03-28T12:00", BERLIN, "29 01:00", "29 02:00"),
        (hours("01:00", "02:30"), "2026-03-28T12:00", BERLIN, "29 00:00", "29 01:00"),
        (hours("02:10", "02:50"), "2026-03-28T12:00", BERLIN, "30 00:10", "30 00:50"),
        # back: 02:00-03:00 happens twice
        (hours("02:15", "02:45"), "2026-10-24T12:00", BERLIN, "25 00:15", "25 00:45"),
        (hours("01:30", "03:30"), "2026-10-24T12:00", BERLIN, "24 23:30", "25 02:30"),
        (hours("00:00", "24:00", "6"), "2026-10-23T12:00", BERLIN, "24 22:00", "25 23:00"),
        (hours("02:15", "03:00"), "2026-10-03T12:00", LORD_HOWE, "03 15:30", "03 16:00"),
    ],
)
def test_windows(schedule: Schedule, around: str, zone: ZoneInfo, opens: str, closes: str) -> None:
    assert window(schedule, around, zone) == (opens, closes)


def test_days_that_touch_are_one_window() -> None:
    """A gateway's timer should not go off at midnight for nothing."""
    always = hours("00:00", "24:00")
    end = open_until(always, at("2026-09-21T12:00"), SHANGHAI)
    assert end is not None
    assert end - at("2026-09-21T12:00") > 7 * 24 * 3_600_000


def test_a_day_that_never_was() -> None:
    schedule = hours("08:00", "09:00", "4")  # Fridays; 30 December 2011 was to be one
    assert window(schedule, "2011-12-29T20:00", APIA) == ("05 18:00", "05 19:00")


@pytest.mark.parametrize(
    "bad",
    [
        {"start": -1},
        {"start": 1440},
        {"end": 0},
        {"end": 1441},
        {"start": 60, "end": 60},
        {"days": frozenset()},
        {"days": frozenset({7})},
    ],
)
def test_schedules_that_mean_nothing_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="schedule"):
        Schedule(**bad)  # type: ignore[arg-type]


@given(
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.sets(st.integers(0, 6), min_size=1),
    st.integers(0, 400 * 24 * 60),
    st.sampled_from([SHANGHAI, BERLIN, LORD_HOWE, ZoneInfo("America/St_Johns"), ZoneInfo("UTC")]),
)
def test_the_wall_clock_agrees(start: int, end: int, days: set[int], minutes: int, zone: ZoneInfo) -> None:
    """Away from the days on which clocks change, a window is open exactly if the wall clock says so."""
    if start == end:
        return
    schedule = Schedule(start=start, end=end, days=frozenset(days))
    moment = at("2026-01-01T00:00") + minutes * 60_000
    wall = datetime.fromtimestamp(moment / 1000, zone)
    offsets = {(wall + timedelta(days=day)).utcoffset() for day in (-2, -1, 0, 1, 2)}
    if len(offsets) > 1:
        return
    minute = wall.hour * 60 + wall.minute
    today, yesterday = wall.weekday() in days, (wall.weekday() - 1) % 7 in days
    if start < end:
        inside = today and start <= minute < end
    else:
        inside = (today and minute >= start) or (yesterday and minute < end)
    assert (open_until(schedule, Ms(moment), zone) is not None) == inside
