"""Time as a value. Decisions take it as an argument; only the edge of the program reads a clock.

All instants are integer milliseconds of UTC since the epoch: they compare, subtract and store exactly, in
every database, and rates computed from them are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NewType

Ms = NewType("Ms", int)
"""An instant: milliseconds since 1970-01-01T00:00:00Z."""


LATEST = Ms(253_402_300_799_999)
"""The last that has four digits of a year in UTC."""


DAY_MS = 24 * 3_600_000
"""Of the clock; one of the calendar may have an hour more or less."""


AHEAD_MS = 60_000
"""Times of our own that lie further ahead than this were made by a clock that has been set back since; what
lies ahead by less counts as of now until its time has come."""


def iso(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds: ``2026-10-01T08:00:00.000Z``."""
    seconds, rest = divmod(ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def from_datetime(moment: datetime) -> Ms:
    """The instant of an *aware* datetime; a naive one is refused, since its zone would be a guess.

    One before the epoch is the epoch, one beyond the calendar is its end: a zone can carry a date out of it.
    """
    if moment.tzinfo is None:
        raise ValueError("a time needs its zone, for example 2026-10-01T08:00:00+08:00")
    return Ms(min(max(0, round(moment.timestamp() * 1000)), LATEST))


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open span of time ``[start, end)``, both in ms."""

    start: Ms
    end: Ms

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"span ends ({self.end}) before it starts ({self.start})")

    @property
    def length_ms(self) -> int:
        return self.end - self.start

    def clip(self, other: Span) -> Span | None:
        """What the two spans share, or None if that is empty."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Span(start, end) if start < end else None
