"""Rates by any dimension over any span, from the store.

What is not over yet counts as far as it is known: open intervals reach to the prober's last sign of life. If
that is a moment ago the span simply ends there; if the prober has been silent for longer, the time since is
unknown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection

from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.rates.rate import Headcount, Rate
from sharpeyes.store import telemetry
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
    last = Ms(span.end - 1)
    time: dict[str, Counter[State]] = defaultdict(Counter)
    for key, state, ms in telemetry.durations(connection, span, by, known_until=known_until):
        time[key][state] += ms
    heads: dict[str, Counter[State]] = defaultdict(Counter)
    for key, state, number in telemetry.headcount(connection, last, by, known_until=known_until):
        heads[key][state] += number
    there: Counter[str] = Counter(telemetry.members(connection, last, by))
    cameras: Counter[str] = Counter()
    member_ms: Counter[str] = Counter()
    for membership in telemetry.memberships(connection, span, by):
        cameras[membership.key], member_ms[membership.key] = membership.cameras, membership.ms
    if by == "area":
        parents = telemetry.area_parents(connection)
        time, heads = _states_upwards(time, parents), _states_upwards(heads, parents)
        there, member_ms = _upwards(there, parents), _upwards(member_ms, parents)
        cameras = _upwards(cameras, parents)
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
