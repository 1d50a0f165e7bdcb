"""What each canary shows when: one fault after the other, with time to be well in between.

Pure: time is an argument. It is counted in UTC, so that no day is an hour longer or shorter.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sharpeyes.domain.time import Ms


class Show(StrEnum):
    """What a canary shows."""

    HEALTHY = "healthy"
    BLACK = "black"
    REFUSAL = "refusal"
    """It refuses every login (401)."""
    FREEZE = "freeze"
    HANG = "hang"
    """It accepts the connection and answers nothing."""
    BLUR = "blur"
    CLOCK = "clock"
    """Its clock is off."""
    SHIFT = "shift"


FAULTS = tuple(show for show in Show if show is not Show.HEALTHY)
"""In this order: of the picture and of the dialogue in turn."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One thing is shown from ``start`` to ``end`` (ms, half-open)."""

    show: Show
    start: Ms
    end: Ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Healthy at first, long enough for its view to be learnt; then each fault in turn, for ever."""

    begin: Ms
    warm_ms: int
    """How long it is healthy at first."""
    fault_ms: int = 180_000
    healthy_ms: int = 180_000

    def at(self, now: Ms) -> Phase:
        """The phase of this instant; before the begin, which a clock that was set back may say, the first."""
        first = self.begin + self.warm_ms
        if now < first:
            return Phase(Show.HEALTHY, self.begin, Ms(first))
        turn, within = divmod(now - first, self.fault_ms + self.healthy_ms)
        start = Ms(now - within)
        if within < self.fault_ms:
            return Phase(FAULTS[turn % len(FAULTS)], start, Ms(start + self.fault_ms))
        start = Ms(start + self.fault_ms)
        return Phase(Show.HEALTHY, start, Ms(start + self.healthy_ms))
