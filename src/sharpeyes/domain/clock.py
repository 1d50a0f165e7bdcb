"""The clock of a device against ours: what was read, how it is judged, and since when it is so.

Evidence is only as good as the time burnt into it: a picture whose clock is a minute off proves little. A
clock belongs to a device; all cameras of a recorder share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sharpeyes.domain.time import Ms


class ClockState(StrEnum):
    """How a device's clock stands."""

    OK = "ok"
    WARN = "warn"
    """Off by more than is fine, and still within tolerance."""
    FAIL = "fail"
    """Outside tolerance."""
    UNKNOWN = "unknown"
    """Not assessable, not asked lately, or it may be our own clock that is off: neither good nor bad."""

    @property
    def tolerable(self) -> bool | None:
        """Whether the clock is within tolerance; None where that is not known, and not to be held against
        anybody."""
        return None if self is ClockState.UNKNOWN else self is not ClockState.FAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """One look at a clock: device minus ours, at the middle of the exchange."""

    at: Ms
    offset_ms: int
    """Positive: the device is ahead."""
    uncertainty_ms: int
    """The truth lies within so much of it: half of the round trip, and half of the second that devices
    round to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockPolicy:
    """What is held of clocks, and how often they are asked."""

    warn_ms: int = 5_000
    fail_ms: int = 30_000
    every_s: float = 3_600.0
    """Seconds between two looks at one device's clock."""

    @property
    def validity_ms(self) -> int:
        """So long a reading speaks for the clock."""
        return round(3_000 * self.every_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceClock:
    """A device's clock as it stands: the open interval, and the last reading."""

    device: str
    state: ClockState
    since: Ms
    at: Ms
    """When it was last asked, answered or not."""
    reading: ClockReading | None = None
    """The last that there was."""
    why: str | None = None
    """For :attr:`ClockState.UNKNOWN`: what stands in the way, in words."""
    against: Ms | None = None
    """The first reading that speaks for another state than this one; a second in a row changes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockInterval:
    """A device's clock was in one state from ``start`` to ``end`` (ms, half-open; None while it lasts)."""

    device: str
    state: ClockState
    start: Ms
    end: Ms | None
