"""Clocks: what readings are judged to say, and when it is our own clock that is off. Time is an argument."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from sharpeyes.domain.clock import ClockPolicy, ClockReading, ClockState, DeviceClock
from sharpeyes.domain.time import Ms
from sharpeyes.health import clock as judge

POLICY = ClockPolicy()
T = 1_790_000_000_000
OK, WARN, FAIL, UNKNOWN = ClockState.OK, ClockState.WARN, ClockState.FAIL, ClockState.UNKNOWN


def reading(offset_s: float, *, at: int = T, unsure_s: float = 0.6) -> ClockReading:
    return ClockReading(at=Ms(at), offset_ms=round(1000 * offset_s), uncertainty_ms=round(1000 * unsure_s))


def standing(state: ClockState, offset_s: float = 0.0) -> DeviceClock:
    known = None if state is UNKNOWN else reading(offset_s, at=T)
    return DeviceClock(device="d", state=state, since=Ms(T), at=Ms(T), reading=known)


@pytest.mark.parametrize(
    ("offset_s", "unsure_s", "before", "said"),
    [
        (0.4, 0.6, UNKNOWN, OK),
        (-4.0, 0.6, UNKNOWN, OK),
        (6.0, 0.6, UNKNOWN, WARN),
        (-31.0, 0.6, UNKNOWN, FAIL),
        (28_800.0, 0.6, UNKNOWN, FAIL),
        (5.2, 0.6, UNKNOWN, OK),  # it may be 4.6: in doubt for the device
        (5.2, 0.6, OK, OK),
        (5.2, 0.6, WARN, WARN),  # nor has it become better
        (29.8, 0.6, FAIL, FAIL),
        (29.8, 0.6, OK, WARN),
        (20.0, 18.0, OK, OK),  # too coarse to say anything new
        (20.0, 18.0, UNKNOWN, UNKNOWN),
        (100.0, 18.0, OK, FAIL),  # coarse, and plain all the same
        (3.0, 3.0, FAIL, WARN),  # it cannot be 30 any more; it may be 6
    ],
)
def test_a_reading_is_a_range(offset_s: float, unsure_s: float, before: ClockState, said: ClockState) -> None:
    for sign in (1, -1):
        assert judge.assess(reading(sign * offset_s, unsure_s=unsure_s), POLICY, before) is said


def test_a_change_takes_two_readings_and_is_dated_to_the_first() -> None:
    clock, closed = judge.after(standing(OK), reading(90, at=T + 3_600_000), POLICY)
    assert (clock.state, clock.against, closed) == (OK, T + 3_600_000, None)
    relapsed, _ = judge.after(clock, reading(0.2, at=T + 3_630_000), POLICY)
    assert (relapsed.state, relapsed.against) == (OK, None)
    clock, closed = judge.after(clock, reading(90, at=T + 3_630_000), POLICY)
    assert (clock.state, clock.since) == (FAIL, T + 3_600_000)
    assert closed is not None
    assert (closed.state, closed.start, closed.end) == (OK, T, T + 3_600_000)
    assert clock.state.tolerable is False


def test_the_first_reading_of_all_counts_at_once() -> None:
    clock, closed = judge.after(judge.newcomer("d", Ms(T)), reading(90, at=T + 5_000), POLICY)
    assert (clock.state, clock.since, closed) == (FAIL, T + 5_000, None)


def test_what_nobody_reads_any_more_is_unknown_from_the_end_of_its_time() -> None:
    end = T + POLICY.validity_ms
    clock, closed = judge.unread(standing(FAIL, 90), Ms(end), "not answered", POLICY)
    assert (clock.state, closed) == (FAIL, None)
    clock, closed = judge.unread(clock, Ms(end + 1), "not answered", POLICY)
    assert (clock.state, clock.since, clock.why) == (UNKNOWN, end, "not answered")
    assert closed is not None
    assert (closed.state, closed.end) == (FAIL, end)
    assert clock.state.tolerable is None
    again, closed = judge.after(clock, reading(1, at=end + 99), POLICY)
    assert (again.state, again.since, closed) == (OK, end + 99, None), "the gap is no interval"


def test_many_off_alike_is_our_own_clock() -> None:
    alike = [reading(60 + n * 0.3) for n in range(6)]
    offset = judge.own_offset([*alike, reading(0.1)], POLICY)
    assert offset is not None
    assert 60_000 <= offset <= 62_000
    assert judge.own_offset(alike[: judge.WITNESSES - 1], POLICY) is None, "too few to tell"
    assert judge.own_offset([reading(0.2)] * 6 + alike, POLICY) is None, "half of them agree with us"
    assert judge.own_offset([reading(40 * n) for n in range(1, 9)], POLICY) is None, "each off by its own"
    clock, closed = judge.unheld(standing(FAIL, 60), Ms(T + 10))
    assert (clock.state, clock.why) == (UNKNOWN, judge.OWN_CLOCK)
    assert closed is not None
    assert closed.end == T + 10


@pytest.mark.parametrize("seed", range(40))
def test_whatever_our_own_clock_does_no_two_intervals_overlap(seed: int) -> None:
    """It is set back by an hour, jumps ahead, or stands still: time is told once."""
    chance = random.Random(seed)
    now, clock, closed = T, judge.newcomer("d", Ms(T)), []
    for _ in range(80):
        now += chance.choice([0, 30_000, 300_000, 900_000, -3_600_000, 7_200_000])
        match chance.randrange(10):
            case 7:
                clock, ended = judge.unread(clock, Ms(now), "no answer", POLICY)
            case 8:
                clock, ended = judge.unheld(clock, Ms(now))
            case 9:
                clock, ended = judge.lapse(clock, Ms(now), POLICY)
            case _:
                clock, ended = judge.after(clock, reading(chance.choice([0, 10, 90]), at=now), POLICY)
        closed += [] if ended is None else [ended]
    assert closed
    assert all(one.end is not None and one.end <= other.start for one, other in pairwise(closed))
    assert closed[-1].end is not None
    assert closed[-1].end <= clock.since
