"""Arithmetic of state intervals: clip, tile, sum; and the days and months that figures are asked for.

All of it on half-open spans of integer milliseconds, so every sum is exact. What SQL adds up in the store
must come to the same as what is added up here.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.time import Ms, Span, from_datetime

Label = TypeVar("Label", bound=Hashable)

HOUR_MS = 3_600_000


class Every(StrEnum):
    """A step of the calendar, in a time zone."""

    HOUR = "hour"
    """Of sixty minutes from midnight: a day on which the clocks change has 23 or 25 of them."""
    DAY = "day"
    WEEK = "week"
    """From Monday."""
    MONTH = "month"


def clip(intervals: Iterable[Interval], span: Span, *, known_until: Ms | None = None) -> list[Interval]:
    """What of the intervals lies within the span, in their order.

    An open interval reaches to ``known_until``, or to the end of the span if that is None.
    """
    clipped = []
    for interval in intervals:
        end = interval.end
        if end is None:
            end = span.end if known_until is None else known_until
        start, end = max(interval.start, span.start), min(end, span.end)
        if start < end:
            clipped.append(replace(interval, start=start, end=end))
    return clipped


def durations(intervals: Iterable[Interval], span: Span, *, known_until: Ms | None = None) -> Counter[State]:
    """Milliseconds of the span spent in each state; what no interval covers is in none."""
    total: Counter[State] = Counter()
    for interval in clip(intervals, span, known_until=known_until):
        assert interval.end is not None
        total[interval.state] += interval.end - interval.start
    return total


def gaps(intervals: Iterable[Interval], span: Span) -> list[Span]:
    """The parts of the span that no interval covers. The intervals are of one camera, oldest first."""
    found: list[Span] = []
    reached = span.start
    for interval in clip(intervals, span):
        if interval.start > reached:
            found.append(Span(reached, interval.start))
        assert interval.end is not None
        reached = max(reached, interval.end)
    if reached < span.end:
        found.append(Span(reached, span.end))
    return found


def tile(camera: str, intervals: Iterable[Interval], span: Span) -> list[Interval]:
    """The span without holes: what no interval of the camera covers is unknown."""
    pieces = list(intervals)
    missing = [
        Interval(camera=camera, state=State.UNKNOWN, start=gap.start, end=gap.end, cause=None)
        for gap in gaps(pieces, span)
    ]
    return sorted([*clip(pieces, span), *missing], key=lambda interval: interval.start)


def slices(spans: Sequence[Span], within: Span) -> Iterator[tuple[Span, tuple[int, ...]]]:
    """``within``, cut wherever a span begins or ends: each piece that some lie over, and which (indices)."""
    clipped = [(n, part) for n, span in enumerate(spans) if (part := span.clip(within)) is not None]
    edges = sorted({edge for _, part in clipped for edge in (part.start, part.end)})
    for start, end in itertools.pairwise(edges):
        over = tuple(n for n, part in clipped if part.start <= start and end <= part.end)
        if over:
            yield Span(start, end), over


def remainder(span: Span, parts: Iterable[Span]) -> list[Span]:
    """What of the span none of the parts covers. The parts lie within it, apart from each other, in order."""
    left, reached = [], span.start
    for part in parts:
        if part.start > reached:
            left.append(Span(reached, part.start))
        reached = part.end
    if reached < span.end:
        left.append(Span(reached, span.end))
    return left


class Run(NamedTuple, Generic[Label]):
    """Pieces of one label that begin in one slot and end in one slot."""

    label: Label
    start: int
    """Of any of them."""
    end: int
    number: int
    started: int
    """The sum of their begins, in ms."""
    ended: int
    """The sum of their ends."""


def spread(edges: Sequence[int], runs: Iterable[Run[Label]]) -> dict[Label, tuple[list[int], list[int]]]:
    """By label, between each two edges: milliseconds, and how many pieces lie over the last of these.

    The pieces lie within the edges. One that covers many slots costs as much as one that covers two.
    """
    slots = len(edges) - 1
    found: dict[Label, tuple[list[int], list[int]]] = {}
    for label, start, end, number, started, ended in runs:
        if label not in found:
            found[label] = [0] * (slots + 1), [0] * (slots + 1)
        times, changes = found[label]
        first, last = bisect_right(edges, start) - 1, bisect_right(edges, end) - 1
        changes[first] += number
        changes[last] -= number
        times[first] -= started - number * edges[first]
        times[last] += ended - number * edges[last]
    spent: dict[Label, tuple[list[int], list[int]]] = {}
    for label, (times, changes) in found.items():
        there = list(itertools.accumulate(changes[:-1]))
        whole = [number * (edges[slot + 1] - edges[slot]) for slot, number in enumerate(there)]
        spent[label] = [part + full for part, full in zip(times, whole, strict=False)], there
    return spent


def day(on: date, zone: tzinfo) -> Span:
    """A calendar day of a time zone: 23 or 25 hours long when its clocks change."""
    return Span(_midnight(on, zone), _midnight(on + timedelta(days=1), zone))


def month(on: date, zone: tzinfo) -> Span:
    """The calendar month of a time zone that a day lies in."""
    first = on.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return Span(_midnight(first, zone), _midnight(following, zone))


def days(span: Span, zone: tzinfo) -> Iterator[Span]:
    """The calendar days of a time zone that touch the span, whole, oldest first."""
    on = datetime.fromtimestamp(span.start / 1000, zone).date()
    while (whole := day(on, zone)).start < span.end:
        yield whole
        on += timedelta(days=1)


def week(on: date, zone: tzinfo) -> Span:
    """The week from Monday of a time zone that a day lies in."""
    monday = on - timedelta(days=on.weekday())
    return Span(_midnight(monday, zone), _midnight(monday + timedelta(days=7), zone))


def steps(span: Span, every: Every, zone: tzinfo) -> Iterator[Span]:
    """The steps of the calendar that touch the span, the first and the last clipped to it, oldest first."""
    at = span.start
    while at < span.end:
        on = datetime.fromtimestamp(at / 1000, zone).date()
        match every:
            case Every.HOUR:
                midnight = day(on, zone)
                gone = (at - midnight.start) // HOUR_MS
                end = min(midnight.start + (gone + 1) * HOUR_MS, midnight.end)
            case Every.DAY:
                end = day(on, zone).end
            case Every.WEEK:
                end = week(on, zone).end
            case Every.MONTH:
                end = month(on, zone).end
        end = Ms(min(end, span.end))
        yield Span(at, end)
        at = end


def _midnight(on: date, zone: tzinfo) -> Ms:
    return from_datetime(datetime(on.year, on.month, on.day, tzinfo=zone))
