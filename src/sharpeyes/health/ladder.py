"""How far up the ladder a camera comes over time: the rung by the rules of the states, so that rates agree.

The rung moves as a state does: down after ``fails`` looks in a row that came less far, up after ``passes`` in
a row that came further, dated to the first of them; out of the unseen at once. While a camera's state is
unknown or in maintenance, its rung is not seen either. So the time at rung *keyframe* and above is the time
in which the camera delivered.

Pure: time is an argument, and a look that changes nothing costs a comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from sharpeyes.domain.health import Rung, RungInterval
from sharpeyes.domain.time import Ms
from sharpeyes.health.judge import Policy

_NEVER = Ms(0)


class Climb(NamedTuple):
    """How far one look came, and how far it would have gone."""

    rung: Rung
    asked: Rung
    """Above this nobody tried; a look that failed below it has answered for all rungs above."""


class _Streak(NamedTuple):
    """Looks in a row on one side of the present rung: how many, since when, and the nearest of them."""

    length: int
    since: Ms
    climb: Climb


@dataclass(frozen=True, slots=True)
class Ladder:
    """What is known of one camera's climb now; ``climb`` is None while it is not seen."""

    camera: str
    climb: Climb | None = None
    since: Ms = _NEVER
    lower: _Streak | None = None
    higher: _Streak | None = None

    def look(self, at: Ms, climb: Climb, policy: Policy) -> tuple[Ladder, RungInterval | None]:
        """Take a look into account that was not blind; also the stretch that has closed, if one has.

        ``at`` is the instant that the evidence dates back to: the look, or the first that showed a fault.
        """
        now = self.climb
        if climb == now:
            if self.lower is None and self.higher is None:
                return self, None
            return Ladder(self.camera, now, self.since), None
        if now is None:
            return Ladder(self.camera, climb, Ms(max(at, self.since))), None
        if _only_asks_else(climb, now):
            return self._move(at, climb)
        if climb < now:
            lower = _longer(self.lower, at, climb, max)
            if lower.length >= policy.fails:
                return self._move(lower.since, lower.climb)
            return Ladder(self.camera, now, self.since, lower=lower), None
        higher = _longer(self.higher, at, climb, min)
        if higher.length >= policy.passes:
            return self._move(higher.since, higher.climb)
        return Ladder(self.camera, now, self.since, higher=higher), None

    def unseen(self, at: Ms) -> tuple[Ladder, RungInterval | None]:
        """From ``at`` on nothing is known."""
        if self.climb is None:
            return self, None
        return self._move(at, None)

    def set_back(self, now: Ms) -> tuple[Ladder, RungInterval | None]:
        """Our own clock was ahead, and it is ``now``: not seen, and what began later than now never was."""
        return self.unseen(now) if self.since < now else (Ladder(self.camera), None)

    def cut(self, at: Ms) -> tuple[Ladder, RungInterval | None]:
        """The same from ``at`` on, as an interval of its own."""
        if self.climb is None or at <= self.since:
            return self, None
        return replace(self, since=at), _interval(self.camera, self.climb, self.since, at)

    @property
    def open(self) -> RungInterval | None:
        """The interval that lasts, None while nothing is seen."""
        return None if self.climb is None else _interval(self.camera, self.climb, self.since, None)

    @classmethod
    def resumed(cls, stored: RungInterval) -> Ladder:
        """As an earlier run left it."""
        return cls(stored.camera, Climb(stored.rung, stored.asked), stored.start)

    def _move(self, at: Ms, climb: Climb | None) -> tuple[Ladder, RungInterval | None]:
        start = Ms(max(at, self.since))
        closed = None
        if self.climb is not None and start > self.since:
            closed = _interval(self.camera, self.climb, self.since, start)
        return Ladder(self.camera, climb, start), closed


def _interval(camera: str, climb: Climb, start: Ms, end: Ms | None) -> RungInterval:
    return RungInterval(camera=camera, rung=climb.rung, asked=climb.asked, start=start, end=end)


def _only_asks_else(one: Climb, other: Climb) -> bool:
    """Nothing has changed but how far was asked: it is known at once, and needs no confirmation."""
    if one.asked == other.asked:
        return False
    less, more = (one, other) if one.asked < other.asked else (other, one)
    return less.rung == less.asked <= more.rung


def _longer(
    streak: _Streak | None, at: Ms, climb: Climb, nearest: Callable[[Climb, Climb], Climb]
) -> _Streak:
    if streak is None:
        return _Streak(1, at, climb)
    return _Streak(streak.length + 1, streak.since, nearest(streak.climb, climb))
