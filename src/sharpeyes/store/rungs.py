"""Time on each rung of the ladder, summed in SQL, and how the camera's own clock went on the topmost.

A camera has the clock of the device that it belongs to now. Where that is not known, and below the topmost
rung, where nobody needs it, its clock is *unknown*. All functions take a connection within a transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, String, and_, func, literal, select, union_all

from sharpeyes.domain.clock import ClockState
from sharpeyes.domain.health import Rung
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store.device_schema import clock_interval, device_clock
from sharpeyes.store.quality_schema import camera_rung, rung_interval
from sharpeyes.store.schema import camera
from sharpeyes.store.telemetry import Dimension, Greatest, Least, instant, key_of, lasting, walk

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
    """So many cameras of one key stood on one step from ``start`` to ``end``.

    A negative number takes away from what was told before: first without clocks, then with them.
    """

    key: str
    step: Step
    start: Ms
    end: Ms
    cameras: int


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
    for part in _parts(connection, span, key_of(by), known_until, where):
        for key, rung, untried, clock, ms in connection.execute(_summed(part, part.key)):
            _count(found.setdefault(key, Counter()), Step(rung, bool(untried), clock), int(ms))
    return found


def climbed_by_stay(connection: Connection, span: Span, *, known_until: Ms) -> dict[tuple[str, Ms], Climbed]:
    """The same by camera and by when its membership began."""
    found: dict[tuple[str, Ms], Climbed] = {}
    for part in _parts(connection, span, key_of("camera"), known_until, None):
        for key, since, rung, untried, clock, ms in connection.execute(
            _summed(part, part.key, part.member_ms)
        ):
            _count(found.setdefault((key, since), Counter()), Step(rung, bool(untried), clock), int(ms))
    return found


def rung_pieces(
    connection: Connection,
    span: Span,
    by: Dimension,
    *,
    known_until: Ms,
    where: ColumnElement[bool] | None = None,
) -> Iterator[RungPiece]:
    """What :func:`climbed` adds up, cut at nothing but the span: alike pieces of a key are told once."""
    for part in _parts(connection, span, key_of(by), known_until, where):
        columns = (part.key, part.rung, part.untried, part.clock, part.start_ms, part.end_ms)
        rows = connection.execute(select(*columns).where(*_real(part))).all()
        for alike, cameras in Counter(map(tuple, rows)).items():
            key, rung, untried, clock, start, end = alike
            step = Step(rung, bool(untried), clock)
            yield RungPiece(key, step, start, end, cameras)
            if clock != UNKNOWN:
                yield RungPiece(key, step._replace(clock=UNKNOWN), start, end, -cameras)


def _count(climb: Climbed, step: Step, ms: int) -> None:
    climb[step] += ms
    if step.clock != UNKNOWN:  # it was counted as unknown before
        without = step._replace(clock=UNKNOWN)
        climb[without] -= ms
        if not climb[without]:
            del climb[without]


def _summed(part: Any, *by: ColumnElement[Any]) -> Select[Any]:
    same = (*by, part.rung, part.untried, part.clock)
    return select(*same, func.sum(part.end_ms - part.start_ms)).where(*_real(part)).group_by(*same)


def _real(part: Any) -> Sequence[ColumnElement[bool]]:
    """Without what only an outer join is there for."""
    return part.rung.is_not(None), part.end_ms > part.start_ms


def _parts(
    connection: Connection,
    span: Span,
    key: ColumnElement[Any],
    known_until: Ms,
    where: ColumnElement[bool] | None,
) -> Iterator[Any]:
    """First all of the time, with no clock known; then again what clocks are known of."""
    if span.length_ms == 0:
        return
    both = (
        walk(span, key, where, rung_interval, "rung", "asked"),
        lasting(span, key, where, camera_rung, "rung", "asked", known_until=known_until),
    )
    clocks = _clocks(span, known_until)
    known = connection.scalar(select(select(clocks).exists()))
    for p in both:
        columns = (p.key, p.member_ms, p.rung, (p.rung == p.asked).label("untried"))
        yield select(*columns, _word(UNKNOWN), p.start_ms, p.end_ms).subquery("rungs").c
        if not known:
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


def _clocks(span: Span, known_until: Ms) -> Any:
    """Clocks that were known within the span: device_id, state, start_ms, end_ms."""
    i, d = clock_interval.c, device_clock.c
    closed = select(i.device_id, i.state, i.started_ms.label("start_ms"), i.ended_ms.label("end_ms")).where(
        i.state != UNKNOWN, i.started_ms < span.end, i.ended_ms > span.start
    )
    until = instant(known_until)
    still = select(d.device_id, d.state, d.since_ms, until).where(
        d.state != UNKNOWN, d.since_ms < span.end, d.since_ms < until, until > span.start
    )
    return union_all(closed, still).subquery("clocks")
