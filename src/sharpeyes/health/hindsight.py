"""What is said of a camera when more is known than its own probes can tell.

Two things lie beyond one camera: that *we* could not see its zone, and that something *upstream* of it is at
fault. Both are found out after the fact and about time that is judged already. So the judge goes on
undisturbed, and what it says is put through :func:`told` before anybody hears it: intervals that have closed,
the one that is open, and those stored since the outage began. What the probes alone said stays with it
(``seen_state``, ``seen_cause``), for whoever has to decide later whether it was real.

Pure: time is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sharpeyes.domain.health import UPSTREAM, Interval, RungInterval, State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.health.judge import Standing

_SEEN = frozenset({State.ONLINE, State.DEGRADED, State.OFFLINE})


@dataclass(frozen=True, slots=True)
class Blindness:
    """We do not see a zone."""

    since: Ms
    cause: str
    """Cause of the unknown state."""
    whole: bool
    """Nothing that was seen counts; else only falls do not, and who is seen well is well."""

    def by(self, now: Ms) -> Blindness:
        """The same, begun by ``now`` at the latest."""
        return self if self.since <= now else replace(self, since=now)


@dataclass(frozen=True, slots=True)
class Upstream:
    """A node above a camera takes the blame for its being offline."""

    node: str
    until: Ms | None = None
    """When the node was well again; what is still offline after that is so for a reason of its own."""

    def by(self, now: Ms) -> Upstream:
        """The same, ended by ``now`` at the latest."""
        return self if self.until is None or self.until <= now else replace(self, until=now)


def told(interval: Interval, blind: Blindness | None, upstream: Upstream | None) -> tuple[Interval, ...]:
    """What is said of the time of an interval that the judge made: pieces that tile it, oldest first."""
    if interval.state not in _SEEN:
        return (interval,)
    if blind is not None and _covers(blind, interval):
        before, after = _cut(interval, blind.since)
        return (*before, *(_unknown(piece, blind.cause) for piece in after))
    if upstream is not None and interval.state is State.OFFLINE:
        before, after = ((interval,), ()) if upstream.until is None else _cut(interval, upstream.until)
        return (*(_blamed(piece) for piece in before), *after)
    return (interval,)


def shown(
    standing: Standing, blind: Blindness | None, upstream: Upstream | None
) -> tuple[Standing, tuple[Interval, ...]]:
    """What is said of a standing now, and what of its open interval is over by that."""
    judged = Interval(
        camera=standing.camera, state=standing.state, start=standing.since, end=None, cause=standing.cause
    )
    *closed, last = told(judged, blind, upstream)
    if last is judged:
        return standing, ()
    said = replace(
        standing,
        state=last.state,
        since=last.start,
        cause=last.cause,
        seen_state=last.seen_state,
        seen_cause=last.seen_cause,
    )
    return said, tuple(closed)


def is_unsaid(state: Interval | Standing) -> bool:
    """Whether we say that we do not see, where the probes say something."""
    return state.state is State.UNKNOWN and state.seen_state is not None


def told_rung(climbed: RungInterval, unsaid: Sequence[Span]) -> tuple[RungInterval, ...]:
    """What is said of a rung that a camera stood on: pieces that tile its time, oldest first.

    ``unsaid``: ascending, apart from each other.
    """
    assert climbed.end is not None
    pieces, at = [], climbed.start
    for span in unsaid:
        start, end = max(at, span.start), min(climbed.end, span.end)
        if start >= end:
            continue
        if at < start:
            pieces.append(replace(climbed, start=at, end=start))
        pieces.append(replace(climbed, start=start, end=end, said=False))
        at = end
    if at < climbed.end:
        pieces.append(replace(climbed, start=at))
    return tuple(pieces)


def _covers(blind: Blindness, interval: Interval) -> bool:
    if blind.whole:
        return interval.end is None or interval.end > blind.since
    return interval.state is State.OFFLINE and interval.start >= blind.since


def _cut(interval: Interval, at: Ms) -> tuple[tuple[Interval, ...], tuple[Interval, ...]]:
    """What lies before an instant, and what after."""
    if at <= interval.start:
        return (), (interval,)
    if interval.end is not None and at >= interval.end:
        return (interval,), ()
    return (replace(interval, end=at),), (replace(interval, start=at),)


def _unknown(interval: Interval, cause: str) -> Interval:
    return replace(
        interval,
        state=State.UNKNOWN,
        cause=cause,
        seen_state=interval.state,
        seen_cause=interval.cause,
    )


def _blamed(interval: Interval) -> Interval:
    return replace(interval, cause=UPSTREAM, seen_state=interval.state, seen_cause=interval.cause)
