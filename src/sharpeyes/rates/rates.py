"""Rates by any dimension over any span, from the store.

What is not over yet counts as far as it is known: open intervals reach to the prober's last sign of life. If
that is a moment ago the span simply ends there; if the prober has been silent for longer, the time since is
unknown.

Whole days that were added up before (:mod:`sharpeyes.rates.rollup`) are taken from there, the ragged ends
from the intervals: both come to the same, to the millisecond. What lies in the archive is known by whole
days only.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection

from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, Span, iso
from sharpeyes.rates import timeline
from sharpeyes.rates.rate import Excluded, Headcount, Rate
from sharpeyes.store import exclusions, rollups, telemetry
from sharpeyes.store.exclusions import ExclusionStage
from sharpeyes.store.telemetry import Dimension

SILENT_MS = 15_000
"""A prober not heard of for longer than this has stopped watching; it speaks about every second."""

TARGET = 0.95
"""What a rate is held to where no tier says otherwise."""


def rates(
    connection: Connection, span: Span, by: Dimension, now: Ms, *, target: float | None = TARGET
) -> list[Rate]:
    """A rate for each key of the dimension that had a member within the span, ordered by key.

    By ``area`` each area includes those below it, and areas that only have such are listed too; cameras
    are counted once in each. By ``tier`` the target is the tier's, otherwise it is ``target``.
    """
    span, known_until = _known(connection, span, now)
    if span.length_ms == 0:
        return []
    time: dict[str, Counter[State]] = defaultdict(Counter)
    left_out: dict[str, Excluded] = defaultdict(Excluded)
    whole = rollups.fresh_spans(connection, span)
    for part in whole:
        for key, figures in rollups.sums(connection, part, by).items():
            time[key].update(dict(zip(State, figures.states, strict=True)))
            left_out[key] += Excluded(*figures.excluded)
    for part in timeline.remainder(span, whole):
        _check_kept(connection, part)
        for key, state, ms in telemetry.durations(connection, part, by, known_until=known_until):
            time[key][state] += ms
        for key, x in _excluded(connection, part, by, known_until).items():
            left_out[key] += x
    heads, there = _heads(connection, span.end, by, known_until)
    cameras: Counter[str] = Counter()
    member_ms: Counter[str] = Counter()
    for membership in telemetry.memberships(connection, span, by):
        cameras[membership.key], member_ms[membership.key] = membership.cameras, membership.ms
    if by == "area":
        parents = telemetry.area_parents(connection)
        time, heads = _states_upwards(time, parents), _states_upwards(heads, parents)
        there, member_ms = _upwards(there, parents), _upwards(member_ms, parents)
        cameras = _upwards(cameras, parents)
        left_out = _excluded_upwards(left_out, parents)
        for areas in telemetry.movers(connection, span, by).values():
            for area, times in _upwards(Counter(areas), parents).items():
                cameras[area] -= times - 1
    targets = telemetry.tier_targets(connection) if by == "tier" else {}
    return [
        Rate.of(
            by,
            key,
            span,
            cameras=cameras[key],
            member_ms=member_ms[key],
            by_state=time.get(key, {}),
            headcount=Headcount.of(heads.get(key, {}), there[key]),
            target=targets.get(key, target),
            excluded=left_out.get(key, Excluded()),
        )
        for key in sorted(member_ms)
    ]


def ancestry(area: str, parents: Mapping[str, str | None]) -> list[str]:
    """The area and those that it lies in, nearest first. A loop in the tree ends where it closes."""
    line: list[str] = []
    here: str | None = area
    while here is not None and here not in line:
        line.append(here)
        here = parents.get(here)
    return line


def _known(connection: Connection, span: Span, now: Ms) -> tuple[Span, Ms]:
    """The span up to now, and up to when open intervals are known."""
    beat = telemetry.get_heartbeat(connection)
    alive = Ms(0) if beat is None else Ms(min(beat, now))
    until = alive if now - alive <= SILENT_MS else now
    return Span(span.start, Ms(max(span.start, min(span.end, until)))), alive


def _check_kept(connection: Connection, part: Span) -> None:
    kept = rollups.archived_until(connection)
    if part.start < kept:
        raise InvalidInputError(
            f"from: before {iso(kept)} only whole days of the site's time zone are known",
            mend="Begin and end at midnight there; the intervals are in the archive",
        )


def _excluded(connection: Connection, part: Span, by: Dimension, known_until: Ms) -> dict[str, Excluded]:
    """What approved exclusions cover, by key, from the intervals."""
    approved = exclusions.overlapping(connection, part, stage=ExclusionStage.APPROVED)
    total: dict[str, Excluded] = defaultdict(Excluded)
    for piece, over in timeline.slices([x.span for x in approved], part):
        where = exclusions.members_of(connection, [approved[n] for n in over])
        member = {m.key: m.ms for m in telemetry.memberships(connection, piece, by, where=where)}
        time: dict[str, Counter[State]] = defaultdict(Counter)
        for key, state, ms in telemetry.durations(
            connection, piece, by, known_until=known_until, where=where
        ):
            time[key][state] += ms
        for key, ms in member.items():
            total[key] += excluded_of(ms, time[key])
    return total


def excluded_of(member_ms: int, by_state: Mapping[State, int]) -> Excluded:
    """From time of membership within exclusions, and time by state."""
    return Excluded(
        member_ms - by_state.get(State.MAINTENANCE, 0),
        by_state.get(State.ONLINE, 0) + by_state.get(State.DEGRADED, 0),
        by_state.get(State.OFFLINE, 0),
    )


def _heads(
    connection: Connection, end: Ms, by: Dimension, known_until: Ms
) -> tuple[dict[str, Counter[State]], Counter[str]]:
    """Cameras by state, and all that there were, at the last millisecond before ``end``."""
    heads: dict[str, Counter[State]] = defaultdict(Counter)
    there: Counter[str] = Counter()
    kept = rollups.heads(connection, end, by)
    if kept is not None:
        for key, figures in kept.items():
            heads[key].update(dict(zip(State, figures.heads, strict=True)))
            there[key] = figures.present
        return heads, there
    last = Ms(end - 1)
    for key, state, number in telemetry.headcount(connection, last, by, known_until=known_until):
        heads[key][state] += number
    return heads, Counter(telemetry.members(connection, last, by))


def _upwards(numbers: Counter[str], parents: Mapping[str, str | None]) -> Counter[str]:
    total: Counter[str] = Counter()
    for area, number in numbers.items():
        for ancestor in ancestry(area, parents):
            total[ancestor] += number
    return total


def _states_upwards(
    states: Mapping[str, Counter[State]], parents: Mapping[str, str | None]
) -> dict[str, Counter[State]]:
    total: dict[str, Counter[State]] = defaultdict(Counter)
    for area, by_state in states.items():
        for ancestor in ancestry(area, parents):
            total[ancestor].update(by_state)
    return total


def _excluded_upwards(
    numbers: Mapping[str, Excluded], parents: Mapping[str, str | None]
) -> dict[str, Excluded]:
    total: dict[str, Excluded] = defaultdict(Excluded)
    for area, x in numbers.items():
        for ancestor in ancestry(area, parents):
            total[ancestor] += x
    return total
