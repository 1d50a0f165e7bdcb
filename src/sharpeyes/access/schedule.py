"""Daily hours on a wall clock, as instants. Safe where clocks are put forward and back.

A window is the span from the first instant at which the wall clock shows its start (or has jumped past it)
to the first instant at which it shows its end (or has jumped past it). So a window within an hour that
happens twice opens once, and one that begins in an hour that is skipped begins at the jump.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from sharpeyes.domain.access import MINUTES_A_DAY, Schedule
from sharpeyes.domain.time import Ms, Span

LOOK_AHEAD_DAYS = 9
"""A week on from yesterday: the rarest schedule (one weekday) has its next window within it."""


def open_until(schedule: Schedule, now: Ms, zone: tzinfo) -> Ms | None:
    """The end of the window that ``now`` is in, windows that touch taken as one; None outside of all."""
    end: Ms | None = None
    for span in _windows(schedule, now, zone):
        if end is None:
            if span.start <= now < span.end:
                end = span.end
        elif span.start <= end:
            end = max(end, span.end)
        else:
            break
    return end


def next_start(schedule: Schedule, now: Ms, zone: tzinfo) -> Ms:
    """The next instant after ``now`` at which a window begins."""
    return min(span.start for span in _windows(schedule, now, zone) if span.start > now)


def _windows(schedule: Schedule, now: Ms, zone: tzinfo) -> Iterator[Span]:
    """The windows of the days around ``now``, in order, empty ones (swallowed by a clock change) left out."""
    today = datetime.fromtimestamp(now / 1000, zone).date()
    for offset in range(-1, LOOK_AHEAD_DAYS):
        day = today + timedelta(days=offset)
        if day.weekday() not in schedule.days:
            continue
        last = day if schedule.end > schedule.start else day + timedelta(days=1)
        start, end = _instant(day, schedule.start, zone), _instant(last, schedule.end, zone)
        if start < end:
            yield Span(start, end)


def _instant(day: date, minute: int, zone: tzinfo) -> Ms:
    """The first instant at which the wall clock of ``zone`` shows ``minute`` of ``day``, or is past it."""
    day, minute = (day + timedelta(days=1), 0) if minute == MINUTES_A_DAY else (day, minute)
    wall = datetime.combine(day, time(minute // 60, minute % 60))
    earlier, later = _utc(wall, 0, zone), _utc(wall, 1, zone)
    if later >= earlier:  # shown once, or twice: then fold=0 is the first time
        return _ms(earlier)
    # Skipped. The clock jumps somewhere in (later, earlier]: the first instant that shows more than ``wall``.
    low, high = int(_ms(later)), int(_ms(earlier))
    while high - low > 1:
        middle = (low + high) // 2
        shown = datetime.fromtimestamp(middle / 1000, zone).replace(tzinfo=None, fold=0)
        low, high = (low, middle) if shown >= wall else (middle, high)
    return Ms(high)


def _utc(wall: datetime, fold: int, zone: tzinfo) -> datetime:
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _ms(moment: datetime) -> Ms:
    return Ms(round(moment.timestamp() * 1000))
