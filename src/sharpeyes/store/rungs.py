"""Time on each rung of the ladder, summed in SQL, and how the camera's own clock went on the topmost.

A camera has the clock of the device that it belongs to now. Where that is not known, and below the topmost
rung, where nobody needs it, its clock is *unknown*. All functions take a connection within a transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, String, and_, func, literal, select, union_all

from sharpeyes.domain.clock import ClockState
from sharpeyes.domain.health import Rung
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store.device_schema import clock_interval, device_clock
from sharpeyes.store.quality_schema import camera_rung, rung_interval
from sharpeyes.store.schema import camera
from sharpeyes.store.state_time import (
    WINDOW,
    Dimension,
    Greatest,
    Grid,
    Least,
    alike,
    bounds,
    is_recent,
    key_of,
    lasting,
    told,
    walk,
    walk_recent,
)

UNKNOWN = ClockState.UNKNOWN.value


class Step(NamedTuple):
    """Where a camera stood."""

    rung: int
    untried: bool
    """Nobody tried to come further; otherwise no rung above was reached."""
    clock: str = UNKNOWN
    """The value of a :class:`ClockState`."""


Climbed = Counter[Step]
"""Milliseconds by step."""


class RungPiece(NamedTuple):
    """Cameras of one key on one step, told as in :class:`sharpeyes.store.state_time.Piece`.

    A negative number takes away from what was told before: first without clocks, then with them.
    """

    key: str
    step: Step
    start: Ms
    end: Ms
    cameras: int
    started: int
    ended: int


def climbed(
    connection: Connection,
    span: Span,
    by: Dimension,
    *,
    known_until: Ms,
    where: ColumnElement[bool] | None = None,
) -> dict[str, Climbed]:
    """Time on each step within the span, by key; each camera counts where it was a member at the time."""
    found: dict[str, Climbed] = {}
    for query in _queries(connection, span, by, known_until, where):
        for key, rung, untried, clock, ms in connection.execute(query, bounds(span, known_until)):
            _count(found.setdefault(key, Counter()), Step(rung, bool(untried), clock), int(ms))
    return found


def climbed_by_stay(connection: Connection, span: Span, *, known_until: Ms) -> dict[tuple[str, Ms], Climbed]:
    """The same by camera and by when its membership began."""
    found: dict[tuple[str, Ms], Climbed] = {}
    clocked = _knows_clocks(connection, span, known_until)
    for part in _parts(key_of("camera"), None, walk, clocked=clocked):
        query = _summed(part, part.key, part.member_ms)
        for key, since, rung, untried, clock, ms in connection.execute(query, bounds(span, known_until)):
            _count(found.setdefault((key, since), Counter()), Step(rung, bool(untried), clock), int(ms))
    return found


def rung_pieces(
    connection: Connection,
    span: Span,
    by: Dimension,
    *,
    known_until: Ms,
    grid: Grid,
    where: ColumnElement[bool] | None = None,
) -> Iterator[RungPiece]:
    """What :func:`climbed` adds up, cut at nothing but the span: alike pieces of a key are told once."""
    if span.length_ms == 0:
        return
    recent = where is None and by != "camera" and is_recent(connection, rung_interval, span)
    clocked = _knows_clocks(connection, span, known_until)
    for part in _parts(key_of(by), where, walk_recent if recent else walk, clocked=clocked):
        query = alike(part, grid, part.key, part.rung, part.untried, part.clock).where(part.rung.is_not(None))
        for key, rung, untried, clock, *figures in connection.execute(query, bounds(span, known_until)):
            step = Step(rung, bool(untried), clock)
            piece = RungPiece(key, step, *told(span, *figures))
            yield piece
            if clock != UNKNOWN:
                less = (-piece.cameras, -piece.started, -piece.ended)
                yield RungPiece(key, step._replace(clock=UNKNOWN), piece.start, piece.end, *less)


def _count(climb: Climbed, step: Step, ms: int) -> None:
    climb[step] += ms
    if step.clock != UNKNOWN:  # it was counted as unknown before
        without = step._replace(clock=UNKNOWN)
        climb[without] -= ms
        if not climb[without]:
            del climb[without]


def _queries(
    connection: Connection, span: Span, by: Dimension, known_until: Ms, where: ColumnElement[bool] | None
) -> Iterable[Select[Any]]:
    if span.length_ms == 0:
        return ()
    clocked = _knows_clocks(connection, span, known_until)
    if where is not None:
        return _times.__wrapped__(by, False, clocked, where)
    return _times(by, by != "camera" and is_recent(connection, rung_interval, span), clocked)


@cache
def _times(
    by: Dimension, recent: bool, clocked: bool, where: ColumnElement[bool] | None = None
) -> tuple[Select[Any], ...]:
    """By key and step. Put together once, since that takes longer than to read few rows."""
    parts = _parts(key_of(by), where, walk_recent if recent else walk, clocked=clocked)
    return tuple(_summed(part, part.key) for part in parts)


def _summed(part: Any, *by: ColumnElement[Any]) -> Select[Any]:
    same = (*by, part.rung, part.untried, part.clock)
    real = (part.rung.is_not(None), part.end_ms > part.start_ms)  # the rest is there for an outer join only
    return select(*same, func.sum(part.end_ms - part.start_ms)).where(*real).group_by(*same)


def _parts(
    key: ColumnElement[Any], where: ColumnElement[bool] | None, closed: Callable[..., Any], *, clocked: bool
) -> Iterator[Any]:
    """First all of the time, with no clock known; then again what clocks are known of."""
    both = (
        closed(WINDOW, key, where, rung_interval, "rung", "asked"),
        lasting(WINDOW, key, where, camera_rung, "rung", "asked"),
    )
    clocks = _clocks()
    for p in both:
        columns = (p.key, p.member_ms, p.rung, (p.rung == p.asked).label("untried"))
        yield select(*columns, _word(UNKNOWN), p.start_ms, p.end_ms).subquery("rungs").c
        if not clocked:
            continue
        c = clocks.c
        start, end = Greatest(p.start_ms, c.start_ms), Least(p.end_ms, c.end_ms)
        query = (
            select(*columns, c.state.label("clock"), start.label("start_ms"), end.label("end_ms"))
            .join(camera, camera.c.id == p.camera_id)
            .join(clocks, and_(c.device_id == camera.c.device, c.end_ms > p.start_ms, c.start_ms < p.end_ms))
            .where(p.rung == int(Rung.USABLE))
        )
        yield query.subquery("clocked").c


def _word(value: str) -> ColumnElement[str]:
    return literal(value, String).label("clock")


def _knows_clocks(connection: Connection, span: Span, known_until: Ms) -> bool:
    """Whether any clock was known within the span."""
    return bool(connection.scalar(select(select(_clocks()).exists()), bounds(span, known_until)))


def _clocks() -> Any:
    """Clocks that were known within the span: device_id, state, start_ms, end_ms."""
    i, d = clock_interval.c, device_clock.c
    closed = select(i.device_id, i.state, i.started_ms.label("start_ms"), i.ended_ms.label("end_ms")).where(
        i.state != UNKNOWN, i.started_ms < WINDOW.end, i.ended_ms > WINDOW.start
    )
    until = WINDOW.known_until
    still = select(d.device_id, d.state, d.since_ms, until).where(
        d.state != UNKNOWN, d.since_ms < WINDOW.end, d.since_ms < until, until > WINDOW.start
    )
    return union_all(closed, still).subquery("clocks")
