"""How a device's clock is judged: pure, time is an argument.

A reading is a range, not a number: the truth lies within its uncertainty. A clock becomes worse only if the
whole range says so, and better only if the whole range does, which is all the hysteresis there is. A change
has to be read twice in a row, and is dated to the first of the two.

When many devices are off by the same amount at once, it is our clock that is off: then none of them is
judged. If ours is set back, what comes then counts as of the latest instant that was spoken of, so that no
two intervals of a device ever overlap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from statistics import median

from sharpeyes.domain.clock import ClockInterval, ClockPolicy, ClockReading, ClockState, DeviceClock
from sharpeyes.domain.time import Ms

WITNESSES = 5
"""Devices that have to be off alike before our own clock is suspected; with fewer nobody can tell."""
ALIKE = 0.6
"""Share of the devices read lately that have to agree."""
ALIKE_MS = 2_000
"""Offsets that are no further apart, uncertainty aside, are alike."""
OWN_CLOCK = "many devices are off by the same amount at once: it is our own clock that is suspected"
_ORDER = (ClockState.OK, ClockState.WARN, ClockState.FAIL)


def newcomer(device: str, now: Ms) -> DeviceClock:
    """A clock that nobody has asked yet."""
    return DeviceClock(device=device, state=ClockState.UNKNOWN, since=now, at=now, why="not asked yet")


def assess(reading: ClockReading, policy: ClockPolicy, before: ClockState) -> ClockState:
    """What one reading says, beside the state so far."""
    off = abs(reading.offset_ms)
    least, most = off - reading.uncertainty_ms, off + reading.uncertainty_ms
    limits = ((policy.warn_ms, ClockState.WARN), (policy.fail_ms, ClockState.FAIL))
    worst = max((s for limit, s in limits if least > limit), key=_ORDER.index, default=ClockState.OK)
    possible = max((s for limit, s in limits if most > limit), key=_ORDER.index, default=ClockState.OK)
    if worst is possible:
        return worst
    if before in _ORDER:  # between the two the reading cannot tell: what was, stands
        return max(worst, min(before, possible, key=_ORDER.index), key=_ORDER.index)
    # A first reading across a limit: in doubt for the device, unless it is too coarse to say anything.
    return worst if reading.uncertainty_ms <= policy.warn_ms else ClockState.UNKNOWN


def after(
    clock: DeviceClock, reading: ClockReading, policy: ClockPolicy
) -> tuple[DeviceClock, ClockInterval | None]:
    """The clock after one more reading, and the interval that this closes."""
    reading = replace(reading, at=_onwards(clock, reading.at))
    clock, lapsed = lapse(clock, reading.at, policy)
    found = assess(reading, policy, clock.state)
    if found is clock.state:
        why = "the answer takes too long to tell" if found is ClockState.UNKNOWN else None
        return replace(clock, at=reading.at, reading=reading, against=None, why=why), lapsed
    if clock.state is not ClockState.UNKNOWN and clock.against is None:
        return replace(clock, at=reading.at, reading=reading, against=reading.at), lapsed
    since = clock.against or reading.at
    why = "the answer takes too long to tell" if found is ClockState.UNKNOWN else None
    changed = replace(clock, state=found, since=since, at=reading.at, reading=reading, why=why, against=None)
    return changed, lapsed or _closed(clock, since)


def unread(
    clock: DeviceClock, at: Ms, why: str, policy: ClockPolicy
) -> tuple[DeviceClock, ClockInterval | None]:
    """The clock after it was asked in vain. What is known of it stands until it has lapsed."""
    at = _onwards(clock, at)
    clock, lapsed = lapse(clock, at, policy)
    if clock.state is ClockState.UNKNOWN:
        clock = replace(clock, why=why)
    return replace(clock, at=at), lapsed


def unheld(clock: DeviceClock, at: Ms) -> tuple[DeviceClock, ClockInterval | None]:
    """The clock while our own is suspected: nothing is held against it."""
    if clock.state is ClockState.UNKNOWN:
        return replace(clock, why=OWN_CLOCK, against=None), None
    at = _onwards(clock, at)
    changed = replace(clock, state=ClockState.UNKNOWN, since=at, why=OWN_CLOCK, against=None)
    return changed, _closed(clock, at)


def lapse(clock: DeviceClock, now: Ms, policy: ClockPolicy) -> tuple[DeviceClock, ClockInterval | None]:
    """A state that no reading speaks for any more is unknown from then on, a stop of the service included."""
    if clock.state is ClockState.UNKNOWN or clock.reading is None:
        return clock, None
    end = Ms(max(clock.reading.at + policy.validity_ms, clock.since))
    if now <= end:
        return clock, None
    gone = replace(clock, state=ClockState.UNKNOWN, since=end, why="not read lately", against=None)
    return gone, _closed(clock, end)


def own_offset(readings: Iterable[ClockReading], policy: ClockPolicy) -> int | None:
    """By how much our own clock seems to be off (ms; positive: we are behind), None if nothing says so.

    ``readings``: the latest of each device that was read lately.
    """
    found = list(readings)
    if len(found) < WITNESSES:
        return None
    middle = round(median(reading.offset_ms for reading in found))
    if abs(middle) <= policy.warn_ms:
        return None
    alike = sum(abs(reading.offset_ms - middle) <= ALIKE_MS + reading.uncertainty_ms for reading in found)
    return middle if alike >= max(WITNESSES, ALIKE * len(found)) else None


def _onwards(clock: DeviceClock, at: Ms) -> Ms:
    return Ms(max(at, clock.at, clock.since))


def _closed(clock: DeviceClock, end: Ms) -> ClockInterval | None:
    if clock.state is ClockState.UNKNOWN or end <= clock.since:
        return None  # what was not known is time without an interval
    return ClockInterval(device=clock.device, state=clock.state, start=clock.since, end=end)
