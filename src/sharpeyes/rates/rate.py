"""One rate: what it counts, what it is held to, and how much of it was seen.

Formula version 3, times in ms, over all cameras of a key and a span, each for the time that it was a member:

- *U*, obliged: membership less declared maintenance.
- *K*, unknown: obliged time in which the camera was not observed (prober blind, stopped, not yet started).
- observed: U - K. **coverage** = (U - K) / U.
- online: observed time in which it delivered, degraded time included and shown apart.
- **raw** = online / (U - K). What was not seen is neither good nor bad.
- *X*, excluded: obliged time within approved exclusions, seen or not; where several overlap it counts once.
- **adjusted** = online outside X / (U - X - K outside X). K within X has gone with X already and is not taken
  off twice. Without approved exclusions it is raw; raw itself never knows of any.
- **headcount** = cameras online at the end of the span / cameras neither unknown nor in maintenance then.

The verdict compares raw, exactly, with the target that was in force at the end of the span; below 95 %
coverage there is none yet: *collecting*. The adjusted verdict does the same with adjusted and the coverage
outside X.

Of the ladder (see docs/states.md), for each rung from *reachable* to *usable*:

- reached: observed time in which the camera came at least so far.
- judged: reached, and the time in which it stopped below although more was tried. The rungs above *keyframe*
  take a look at the picture: without one there is no judgement.
- **rate** of the rung = reached / judged, with its own coverage = judged / U.

- **intact** = reached *usable* with a clock that is not known to be out of tolerance / judged *usable*; its
  coverage is that of *usable*. A camera is intact while it is online, its picture has no critical fault and
  its clock is right; where nobody knows its clock, that is not held against it, and the share of the time in
  which it was known is told beside. Whether it is recorded is not looked at.

Version 2 was the same without the ladder and intact, version 1 without X and adjusted besides; their other
figures are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from sharpeyes.domain.clock import ClockState
from sharpeyes.domain.health import Rung, State
from sharpeyes.domain.time import Span
from sharpeyes.store.rungs import Step

FORMULA = "3"
"""Version of the formulas above. A changed formula is another version, never another meaning of the same."""

COVERAGE = Fraction(95, 100)
"""Share of the obliged time that must have been observed before there is a verdict."""


class Verdict(StrEnum):
    """Whether the promise was kept."""

    MET = "met"
    MISSED = "missed"
    COLLECTING = "collecting"
    """Too little was seen to say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headcount:
    """Cameras by state at one instant."""

    total: int = 0
    online: int = 0
    """Degraded ones included."""
    degraded: int = 0
    offline: int = 0
    unknown: int = 0
    maintenance: int = 0

    @property
    def rate(self) -> float | None:
        """online / (total - unknown - maintenance), 0..1; None if nothing is left to count."""
        return ratio(self.online, self.total - self.unknown - self.maintenance)

    @classmethod
    def of(cls, by_state: Mapping[State, int], total: int) -> Headcount:
        """``total`` cameras of which so many are in these states; the rest is unknown."""
        degraded, offline = by_state.get(State.DEGRADED, 0), by_state.get(State.OFFLINE, 0)
        online = by_state.get(State.ONLINE, 0) + degraded
        maintenance = by_state.get(State.MAINTENANCE, 0)
        return cls(
            total=total,
            online=online,
            degraded=degraded,
            offline=offline,
            unknown=total - online - offline - maintenance,
            maintenance=maintenance,
        )


@dataclass(frozen=True, slots=True)
class Excluded:
    """Time within approved exclusions, in ms; degraded time counts as online."""

    obliged_ms: int = 0
    online_ms: int = 0
    offline_ms: int = 0

    def __add__(self, other: Excluded) -> Excluded:
        return Excluded(
            self.obliged_ms + other.obliged_ms,
            self.online_ms + other.online_ms,
            self.offline_ms + other.offline_ms,
        )


RUNGS = tuple(rung for rung in Rung if rung is not Rung.NONE)
"""Those that there is a rate for."""


@dataclass(frozen=True, slots=True)
class Climb:
    """How far up the ladder cameras came, in ms: by rung, :attr:`Rung.NONE` first."""

    stopped: tuple[int, ...] = (0,) * len(Rung)
    """So far and no further, though more was tried."""
    untried: tuple[int, ...] = (0,) * len(Rung)
    """So far, and nobody tried more."""
    clock_known_ms: int = 0
    """Of the time on the topmost rung: its clock was known."""
    clock_off_ms: int = 0
    """Of that: out of tolerance."""

    @classmethod
    def of(cls, steps: Mapping[Step, int]) -> Climb:
        stopped, untried, known, off = [0] * len(Rung), [0] * len(Rung), 0, 0
        for step, ms in steps.items():
            (untried if step.untried else stopped)[step.rung] += ms
            if step.rung == Rung.USABLE and step.clock != ClockState.UNKNOWN:
                known += ms
                off += ms if step.clock == ClockState.FAIL else 0
        return cls(tuple(stopped), tuple(untried), known, off)

    def reached_ms(self, rung: Rung) -> int:
        return sum(self.stopped[rung:]) + sum(self.untried[rung:])

    def judged_ms(self, rung: Rung) -> int:
        return self.reached_ms(rung) + sum(self.stopped[:rung])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The online rate of one key (a tier, a department ...) over a span, with all that it is made of."""

    dimension: str
    key: str
    span: Span
    """What it covers: the span asked for, up to the last moment that is known."""
    cameras: int
    """Cameras that were members within the span, each counted once."""
    obliged_ms: int
    online_ms: int
    """Degraded time included."""
    degraded_ms: int
    offline_ms: int
    unknown_ms: int
    maintenance_ms: int
    """Outside the obliged time."""
    headcount: Headcount
    target: float | None
    excluded: Excluded = Excluded()
    """X, and what of it was online and offline."""
    climb: Climb = Climb()
    formula: str = FORMULA

    @classmethod
    def of(
        cls,
        dimension: str,
        key: str,
        span: Span,
        *,
        cameras: int,
        member_ms: int,
        by_state: Mapping[State, int],
        headcount: Headcount,
        target: float | None,
        excluded: Excluded = Excluded(),
        climb: Climb = Climb(),
    ) -> Rate:
        """From time of membership and time by state; member time in no state, or in unknown, was not seen."""
        degraded, offline = by_state.get(State.DEGRADED, 0), by_state.get(State.OFFLINE, 0)
        online = by_state.get(State.ONLINE, 0) + degraded
        maintenance = by_state.get(State.MAINTENANCE, 0)
        obliged = member_ms - maintenance
        return cls(
            dimension=dimension,
            key=key,
            span=span,
            cameras=cameras,
            obliged_ms=obliged,
            online_ms=online,
            degraded_ms=degraded,
            offline_ms=offline,
            unknown_ms=obliged - online - offline,
            maintenance_ms=maintenance,
            headcount=headcount,
            target=target,
            excluded=excluded,
            climb=climb,
        )

    @property
    def observed_ms(self) -> int:
        return self.obliged_ms - self.unknown_ms

    @property
    def coverage(self) -> float | None:
        """Share of the obliged time that was observed, 0..1; None if nothing was obliged."""
        return ratio(self.observed_ms, self.obliged_ms)

    @property
    def raw(self) -> float | None:
        """The time-weighted online rate, 0..1; None if nothing was observed."""
        return ratio(self.online_ms, self.observed_ms)

    @property
    def adjusted(self) -> float | None:
        """The rate outside of approved exclusions, 0..1; None if nothing was observed there."""
        return ratio(self.online_ms - self.excluded.online_ms, self._observed_outside_ms)

    def reached(self, rung: Rung) -> float | None:
        """The rate of a rung, 0..1; None if it was not judged at all."""
        return ratio(self.climb.reached_ms(rung), self.climb.judged_ms(rung))

    def judged(self, rung: Rung) -> float | None:
        """The coverage of a rung, 0..1; None if nothing was obliged."""
        return ratio(self.climb.judged_ms(rung), self.obliged_ms)

    @property
    def intact_ms(self) -> int:
        return self.climb.reached_ms(Rung.USABLE) - self.climb.clock_off_ms

    @property
    def intact(self) -> float | None:
        """The share of the judged time in which cameras were intact, 0..1; None if none was judged."""
        return ratio(self.intact_ms, self.climb.judged_ms(Rung.USABLE))

    @property
    def clock_coverage(self) -> float | None:
        """The share of the usable time in which the clock was known, 0..1; None if nothing was usable."""
        return ratio(self.climb.clock_known_ms, self.climb.reached_ms(Rung.USABLE))

    @property
    def intact_verdict(self) -> Verdict | None:
        """There is no target of its own: *collecting*, or None."""
        judged = self.climb.judged_ms(Rung.USABLE)
        if self.obliged_ms and Fraction(judged, self.obliged_ms) < COVERAGE:
            return Verdict.COLLECTING
        return None

    @property
    def verdict(self) -> Verdict | None:
        """Of raw. None if there is no target, or nothing was obliged to meet it."""
        return self._verdict(self.online_ms, self.observed_ms, self.obliged_ms)

    @property
    def adjusted_verdict(self) -> Verdict | None:
        """Of adjusted, in the same way."""
        return self._verdict(
            self.online_ms - self.excluded.online_ms,
            self._observed_outside_ms,
            self.obliged_ms - self.excluded.obliged_ms,
        )

    @property
    def _observed_outside_ms(self) -> int:
        return self.observed_ms - self.excluded.online_ms - self.excluded.offline_ms

    def _verdict(self, online: int, observed: int, obliged: int) -> Verdict | None:
        if self.target is None or not obliged:
            return None
        if not observed or Fraction(observed, obliged) < COVERAGE:
            return Verdict.COLLECTING
        kept = Fraction(online, observed) >= Fraction(str(self.target))
        return Verdict.MET if kept else Verdict.MISSED


def ratio(part: int, whole: int) -> float | None:
    """None of nothing."""
    return part / whole if whole else None
