"""Arithmetic of intervals, and days of time zones."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import defaultdict
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.time import Ms, Span, iso
from sharpeyes.rates import timeline
from sharpeyes.rates.rates import grid_of
from sharpeyes.store.state_time import Grid

HOUR = 3_600_000
SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")


def spell(state: State, start: int, end: int | None) -> Interval:
    return Interval(camera="c", state=state, start=Ms(start), end=None if end is None else Ms(end))


@st.composite
def histories(draw: st.DrawFn) -> list[Interval]:
    """Intervals of one camera, oldest first, with holes, perhaps an open one at the end."""
    edges = sorted(draw(st.lists(st.integers(0, 1000), unique=True, max_size=16)))
    found = []
    for start, end in itertools.pairwise(edges):
        if draw(st.booleans()):
            found.append(spell(draw(st.sampled_from(State)), start, end))
    if edges and draw(st.booleans()):
        found.append(spell(draw(st.sampled_from(State)), edges[-1], None))
    return found


spans = st.tuples(st.integers(0, 1000), st.integers(0, 1000)).map(lambda t: Span(Ms(min(t)), Ms(max(t))))


@given(histories(), spans)
def test_what_is_covered_and_what_is_not_make_the_span(history: list[Interval], span: Span) -> None:
    covered = sum(timeline.durations(history, span).values())
    missing = sum(gap.length_ms for gap in timeline.gaps(history, span))
    assert covered + missing == span.length_ms


@given(histories(), spans)
def test_a_tiled_span_has_no_hole_and_no_overlap(history: list[Interval], span: Span) -> None:
    reached = span.start
    for piece in timeline.tile("c", history, span):
        assert piece.start == reached
        assert piece.end is not None
        assert piece.end > piece.start
        reached = piece.end
    assert reached == span.end


@given(histories(), spans, st.integers(0, 1000))
def test_sums_of_parts_are_the_sum_of_the_whole(history: list[Interval], span: Span, cut: int) -> None:
    middle = Ms(min(max(cut, span.start), span.end))
    parts = timeline.durations(history, Span(span.start, middle))
    parts.update(timeline.durations(history, Span(middle, span.end)))
    assert +parts == +timeline.durations(history, span)


def test_an_open_interval_reaches_as_far_as_is_known() -> None:
    span = Span(Ms(0), Ms(100))
    assert timeline.durations([spell(State.ONLINE, 10, None)], span) == {State.ONLINE: 90}
    assert timeline.durations([spell(State.ONLINE, 10, None)], span, known_until=Ms(40)) == {State.ONLINE: 30}
    assert not timeline.durations([spell(State.ONLINE, 10, None)], span, known_until=Ms(5))


@pytest.mark.parametrize(
    ("zone", "on", "start", "hours"),
    [
        (SHANGHAI, date(2026, 3, 29), "2026-03-28T16:00:00.000Z", 24),
        (SHANGHAI, date(2026, 10, 25), "2026-10-24T16:00:00.000Z", 24),
        (BERLIN, date(2026, 3, 28), "2026-03-27T23:00:00.000Z", 24),
        (BERLIN, date(2026, 3, 29), "2026-03-28T23:00:00.000Z", 23),
        (BERLIN, date(2026, 10, 25), "2026-10-24T22:00:00.000Z", 25),
    ],
)
def test_a_day_is_as_long_as_its_time_zone_makes_it(zone: ZoneInfo, on: date, start: str, hours: int) -> None:
    span = timeline.day(on, zone)
    assert iso(span.start) == start
    assert span.length_ms == hours * HOUR


@given(st.dates(date(1995, 1, 1), date(2040, 1, 1)), st.sampled_from([SHANGHAI, BERLIN, ZoneInfo("UTC")]))
def test_days_join_without_a_gap_and_make_the_month(on: date, zone: ZoneInfo) -> None:
    month = timeline.month(on, zone)
    days = list(timeline.days(month, zone))
    assert days[0].start == month.start
    assert days[-1].end == month.end
    assert 28 <= len(days) <= 31
    for earlier, later in itertools.pairwise(days):
        assert earlier.end == later.start


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 200), st.integers(0, 200)), max_size=12),
)
def test_pieces_told_together_are_spread_as_each_by_itself(lengths: list[int], drawn: list[Any]) -> None:
    edges = [0, *itertools.accumulate(lengths)]
    pieces = [("ab"[n % 2], *sorted((min(a, edges[-1]), min(b, edges[-1])))) for n, a, b in drawn]
    together: dict[Any, list[tuple[int, int]]] = defaultdict(list)
    for label, start, end in pieces:
        slots = bisect_right(edges, start), bisect_right(edges, end)
        together[label, slots].append((start, end))
    runs = [
        timeline.Run(label, *some[0], len(some), sum(a for a, _ in some), sum(b for _, b in some))
        for (label, _), some in together.items()
    ]
    found = timeline.spread(edges, runs)
    assert found.keys() == {label for label, _, _ in pieces}
    for label, (times, there) in found.items():
        mine = [(start, end) for one, start, end in pieces if one == label]
        for slot, (begin, end) in enumerate(itertools.pairwise(edges)):
            assert times[slot] == sum(max(0, min(b, end) - max(a, begin)) for a, b in mine)
            assert there[slot] == sum(a < end <= b for a, b in mine)


def test_a_grid_fits_the_steps_it_is_for() -> None:
    """Lord Howe's clocks are set by half an hour: no hour of UTC begins with all of its days."""
    for zone, every, expected in (
        (BERLIN, timeline.Every.DAY, Grid(HOUR, 0)),
        (ZoneInfo("Asia/Kolkata"), timeline.Every.HOUR, Grid(HOUR, HOUR // 2)),
        (ZoneInfo("Australia/Lord_Howe"), timeline.Every.DAY, Grid()),
    ):
        start = timeline.day(date(2026, 9, 30), zone).start
        steps = list(timeline.steps(Span(Ms(start + 1), Ms(start + 10 * 24 * HOUR)), every, zone))
        assert grid_of([steps[0].start, *(step.end for step in steps)]) == expected
