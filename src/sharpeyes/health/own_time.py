"""Our own clock: whether it was ahead and has been set back, and what is known by it that cannot be so.

A clock that runs ahead and is set back makes times that have not come yet; whatever compares with them waits
until they have. Whoever remembers times asks :class:`OwnTime` now and then, and forgets them when it says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sharpeyes.domain.time import AHEAD_MS, Ms
from sharpeyes.health.sight import Sight, Trail


class OwnTime:
    """The latest time that our clock has told, beside what it tells now."""

    def __init__(self, clock: Callable[[], Ms]) -> None:
        self._clock = clock
        self._latest = Ms(0)

    def look(self) -> tuple[Ms, int]:
        """Now, and by how much (ms) our clock was ahead until it was set back; 0 if it was not, or by so
        little (:data:`~sharpeyes.domain.time.AHEAD_MS`, summed over several times) that it is waited for."""
        now = self._clock()
        ahead = self._latest - now
        if ahead > AHEAD_MS:
            self._latest = now
            return now, ahead
        self._latest = Ms(max(now, self._latest))
        return now, 0


def no_later(sight: Sight, now: Ms) -> Sight:
    """What is known of a picture, without times that have not come: it was seen by now at the latest."""
    if sight.at <= now:
        return sight
    return replace(
        sight,
        at=now,
        defects=tuple(replace(d, since=Ms(min(d.since, now))) for d in sight.defects),
        trails={
            kind: Trail(tuple((Ms(min(at, now)), shown) for at, shown in trail.looks))
            for kind, trail in sight.trails.items()
        },
    )
