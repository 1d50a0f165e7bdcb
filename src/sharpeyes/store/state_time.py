"""How long cameras were in which state, by whom they belonged to then: sums over any span, made in SQL.

All functions take a connection within a transaction (see :class:`sharpeyes.store.database.Database`). Sums
are of integers, so they are exact. A row is a row: rooms above convert to their own types.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    String,
    Table,
    and_,
    bindparam,
    case,
    cast,
    distinct,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store.schema import (
    area,
    camera,
    camera_state,
    membership,
    state_interval,
)

Dimension = Literal["tier", "department", "area", "zone", "camera", "all"]
"""What a figure may be broken down by."""

_STATES = {state.value: state for state in State}


class Duration(NamedTuple):
    """Time that the cameras of one key spent in one state, in ms."""

    key: str
    state: State
    ms: int
    standing: int
    """How many of them were in it at the last millisecond of the span."""


class Stay(NamedTuple):
    """One membership of one camera within a span: its length and the time in each state, in ms."""

    camera: str
    since: Ms
    """When the membership began, maybe long before the span."""
    tier: str
    department: str
    area: str
    zone: str
    ms: int
    states: tuple[int, ...]
    """In the order of :class:`State`."""


class Piece(NamedTuple):
    """Cameras of one key in one state, all from about ``start`` to about ``end`` (see :class:`Grid`)."""

    key: str
    state: State
    start: Ms
    end: Ms
    cameras: int
    started: int
    """The sum of the instants at which they began."""
    ended: int
    """The sum of those at which they ended."""


class Grid(NamedTuple):
    """Instants ``shift + n * every``, in ms: pieces are alike that begin between the same two of them and
    end between the same two; an instant belongs to what follows it. The end of the span stands for itself."""

    every: int = 1
    shift: int = 0


class Presence(NamedTuple):
    """One membership within a span, clipped to it."""

    camera: str
    key: str
    start: Ms
    end: Ms


class Membership(NamedTuple):
    """Obliged time of one key before maintenance is taken off, and how many cameras it is made of."""

    key: str
    cameras: int
    ms: int
    present: int
    """Of these cameras, how many were members at the last millisecond of the span."""


@dataclass(frozen=True, slots=True)
class Window:
    """A span, and up to when open intervals are known, as a statement names them."""

    start: ColumnElement[int]
    end: ColumnElement[int]
    known_until: ColumnElement[int]

    @classmethod
    def of(cls, span: Span, known_until: Ms) -> Window:
        """Of its own, for a statement that has several."""
        return cls(instant(span.start), instant(span.end), instant(known_until))


WINDOW = Window(*(bindparam(name, type_=BigInteger) for name in ("span_start", "span_end", "known_until")))
"""What a statement is given when it is executed: it can be put together once and be used for any span."""


def bounds(span: Span, known_until: Ms | None = None) -> dict[str, int | None]:
    """The parameters of a statement with :data:`WINDOW`."""
    return {"span_start": span.start, "span_end": span.end, "known_until": known_until}


def durations(
    connection: Connection,
    span: Span,
    by: Dimension,
    *,
    known_until: Ms,
    where: ColumnElement[bool] | None = None,
) -> list[Duration]:
    """Time by key and state within the span, each camera counted where it was a member at the time.

    ``where`` may say which memberships count.

    Open intervals reach to ``known_until`` (nothing was watched after it); what lies beyond is nobody's.
    Time without any interval is nobody's either: subtract from :func:`memberships`.
    """
    if span.length_ms == 0:
        return []
    if where is None:
        queries = _times(by, by != "camera" and is_recent(connection, state_interval, span))
    else:
        queries = _times.__wrapped__(by, False, where)
    total: dict[tuple[str, State], tuple[int, int]] = {}
    for query in queries:
        for key, *figures in connection.execute(query, bounds(span, known_until)):
            for n, state in enumerate(State):
                ms, standing = figures[n], figures[n + len(State)]
                if ms:
                    before = total.get((key, state), (0, 0))
                    total[key, state] = before[0] + int(ms), before[1] + int(standing)
    return [Duration(*label, *figures) for label, figures in sorted(total.items())]


def stays(
    connection: Connection, span: Span, *, known_until: Ms, where: ColumnElement[bool] | None = None
) -> list[Stay]:
    """Every membership that touches the span; in each :func:`durations` of its own."""
    m = membership.c
    start, end = _stay(WINDOW)
    places = select(
        m.camera_id, m.started_ms, m.tier, m.department, m.area, m.zone, (end - start).label("ms")
    ).where(_within(WINDOW), *_also(where))
    times: dict[tuple[str, int], list[int]] = {}
    each = _each_closed(WINDOW, literal(None, String), where)
    closed = select(each.camera_id, each.started_ms, *(each[state] for state in State))
    still = lasting(WINDOW, literal(None, String), where, camera_state, "state")
    lasted = select(still.camera_id, still.member_ms, still.state, still.end_ms - still.start_ms)
    given = bounds(span, known_until)
    for camera_id, started, *sums in connection.execute(closed, given):
        times[camera_id, started] = [int(ms or 0) for ms in sums]
    order = {state.value: n for n, state in enumerate(State)}
    for camera_id, started, state, ms in connection.execute(lasted, given):
        times.setdefault((camera_id, started), [0] * len(order))[order[state]] += int(ms)
    nothing = [0] * len(order)
    return [
        Stay(
            camera=camera_id,
            since=started,
            tier=tier,
            department=department,
            area=in_area,
            zone=zone,
            ms=int(ms),
            states=tuple(times.get((camera_id, started), nothing)),
        )
        for camera_id, started, tier, department, in_area, zone, ms in connection.execute(places, given)
    ]


def memberships(
    connection: Connection, span: Span, by: Dimension, *, where: ColumnElement[bool] | None = None
) -> list[Membership]:
    """Cameras and their time of membership within the span, by key. ``where`` may say which count."""
    if span.length_ms == 0:
        return []
    start, end = _stay(WINDOW)
    key = key_of(by)
    query = (
        select(
            key.label("key"),
            func.count(distinct(membership.c.camera_id)).label("cameras"),
            func.sum(end - start).label("ms"),
            func.count().filter(end == WINDOW.end).label("present"),
        )
        .where(_within(WINDOW), *_also(where))
        .group_by(key)
        .order_by(key)
    )
    return [
        Membership(row.key, row.cameras, int(row.ms), row.present)
        for row in connection.execute(query, bounds(span))
    ]


def pieces(
    connection: Connection,
    span: Span,
    by: Dimension,
    *,
    known_until: Ms,
    grid: Grid,
    where: ColumnElement[bool] | None = None,
) -> Iterator[Piece]:
    """What :func:`durations` adds up, cut at nothing but the span: alike pieces of a key are told once.

    Whoever asks for many hours of a span reads it once, and cuts it there.
    """
    if span.length_ms == 0:
        return
    key = key_of(by)
    recent = where is None and by != "camera" and is_recent(connection, state_interval, span)
    for part in (
        (walk_recent if recent else walk)(WINDOW, key, where, state_interval, "state"),
        lasting(WINDOW, key, where, camera_state, "state"),
    ):
        query = alike(part, grid, part.key, part.state)
        for name, state, *figures in connection.execute(query, bounds(span, known_until)):
            if state is not None:  # of a membership without any interval
                yield Piece(name, _STATES[state], *told(span, *figures))


def alike(part: Any, grid: Grid, *by: ColumnElement[Any]) -> Select[Any]:
    """Pieces told together: ``by``, then what :func:`told` makes figures of."""
    every, shift = instant(grid.every), instant(grid.shift)
    start, end = part.start_ms, part.end_ms
    query: Select[Any] = (
        select(
            *by,
            func.min(start),
            func.max(end),
            func.count(),
            # From the begin of the span on: sums of whole instants would leave 64 bits behind.
            func.sum(start - WINDOW.start),
            func.sum(end - WINDOW.start),
        )
        .where(end > start)
        .group_by(*by, (start - shift) // every, (end - shift) // every, end == WINDOW.end)
    )
    return query


def told(span: Span, start: int, end: int, cameras: int, begun: Any, ended: Any) -> tuple[Any, ...]:
    """Begin, end, number, sum of begins, sum of ends."""
    base = cameras * span.start
    return start, end, cameras, base + int(begun), base + int(ended)


def presences(
    connection: Connection, span: Span, by: Dimension, *, where: ColumnElement[bool] | None = None
) -> tuple[dict[str, int], list[Presence]]:
    """Memberships within the span: of those that last all through it only their number by key."""
    if span.length_ms == 0:
        return {}, []
    m, key = membership.c, key_of(by)
    through = and_(
        m.started_ms <= span.start, or_(m.ended_ms.is_(None), m.ended_ms >= span.end), *_also(where)
    )
    start, end = _stay(WINDOW)
    part = select(m.camera_id, key.label("key"), start, end).where(
        _within(WINDOW),
        or_(m.started_ms > span.start, m.ended_ms < span.end),
        *_also(where),
    )
    counted = connection.execute(select(key, func.count()).where(through).group_by(key))
    through_out = {row[0]: int(row[1]) for row in counted}
    return through_out, [Presence(*row) for row in connection.execute(part, bounds(span))]


def having(by: Dimension, keys: Collection[str]) -> ColumnElement[bool] | None:
    """The condition on memberships by which they count in any of these keys; areas by themselves."""
    return None if by == "all" else key_of(by).in_(keys)


def ancestry(area: str, parents: Mapping[str, str | None]) -> list[str]:
    """The area and those that it lies in, nearest first. A loop in the tree ends where it closes."""
    line: list[str] = []
    here: str | None = area
    while here is not None and here not in line:
        line.append(here)
        here = parents.get(here)
    return line


def movers(
    connection: Connection, span: Span, by: Dimension, *, where: ColumnElement[bool] | None = None
) -> dict[str, set[str]]:
    """Cameras that were members of more than one key within the span, with those keys."""
    m, key = membership.c, key_of(by)
    moved = (
        select(m.camera_id)
        .where(_within(WINDOW), *_also(where))
        .group_by(m.camera_id)
        .having(func.count(distinct(key)) > 1)
    ).scalar_subquery()
    query = (
        select(m.camera_id, key.label("key"))
        .where(_within(WINDOW), m.camera_id.in_(moved), *_also(where))
        .distinct()
    )
    found: dict[str, set[str]] = {}
    for row in connection.execute(query, bounds(span)):
        found.setdefault(row.camera_id, set()).add(row.key)
    return found


def area_parents(connection: Connection) -> dict[str, str | None]:
    """Every area that ever was, with the one it lies in."""
    return {row.id: row.parent for row in connection.execute(select(area.c.id, area.c.parent))}


def is_recent(connection: Connection, table: Table, span: Span) -> bool:
    """Whether so few intervals of the table ended after the span began, half as many as there are cameras,
    that it takes less to seek these (:func:`walk_recent`) than to look at each camera (:func:`walk`). Not for
    figures by camera: to have these in order, SQLite would begin with the cameras all the same."""
    cameras = int(connection.scalar(select(func.count()).select_from(camera)) or 0)
    ended = select(table.c.ended_ms).where(table.c.ended_ms > instant(span.start))
    many = ended.order_by(table.c.ended_ms).offset(cameras // 2).limit(1)
    return connection.execute(many).first() is None


def _within(window: Window) -> ColumnElement[bool]:
    """Memberships that touch the span."""
    m = membership.c
    return and_(m.started_ms < window.end, or_(m.ended_ms.is_(None), m.ended_ms > window.start))


def _also(where: ColumnElement[bool] | None) -> tuple[ColumnElement[bool], ...]:
    return () if where is None else (where,)


def _stay(window: Window) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """Begin and end of a membership within the span."""
    m = membership.c
    return Greatest(m.started_ms, window.start), Least(func.coalesce(m.ended_ms, window.end), window.end)


def instant(ms: int) -> ColumnElement[int]:
    """A bound value that is not mistaken for a 32-bit integer."""
    return literal(ms, BigInteger)


def walk(
    window: Window, key: ColumnElement[Any], where: ColumnElement[bool] | None, table: Table, *of: str
) -> Any:
    """Pieces of the closed intervals of a table by membership: camera_id, member_ms (when the membership
    began), key, the columns ``of`` the table, start_ms and end_ms, clipped; none of it if end <= start.

    For each membership the camera's intervals are walked in the order in which they are stored, from the one
    that its begin lies in: intervals of a camera do not overlap, so all before that one have ended. The outer
    join keeps this order (membership first) on every planner; what it adds is null and drops out of the sums.
    """
    interval = table.alias("interval")
    m, i = membership.c, interval.c
    stay_start, stay_end = _stay(window)
    earlier = table.alias("earlier").c
    first = (
        select(func.max(earlier.started_ms))
        .where(earlier.camera_id == m.camera_id, earlier.started_ms <= stay_start)
        .correlate(membership)
        .scalar_subquery()
    )
    joined = membership.outerjoin(
        interval,
        and_(
            i.camera_id == m.camera_id,
            i.started_ms >= func.coalesce(first, instant(0)),
            i.started_ms < stay_end,
        ),
    )
    return (
        _clipped(window, key, i, of, i.started_ms, i.ended_ms)
        .select_from(joined)
        .where(_within(window), *_also(where))
        .subquery("pieces")
    ).c


def walk_recent(
    window: Window, key: ColumnElement[Any], where: ColumnElement[bool] | None, table: Table, *of: str
) -> Any:
    """The same, for a span after whose begin little has ended: those intervals, each with the memberships
    that it lies in. An inner join: an interval within none is nobody's, and no null tells it on every
    database (PostgreSQL's greatest() passes over nulls, and the key of *all* is a constant)."""
    interval = table.alias("interval")
    m, i = membership.c, interval.c
    joined = interval.join(membership, and_(m.camera_id == i.camera_id, _within(window), *_also(where)))
    return (
        _clipped(window, key, i, of, i.started_ms, i.ended_ms)
        .select_from(joined)
        .where(i.ended_ms > window.start, i.started_ms < window.end)
        .subquery("pieces")
    ).c


def lasting(
    window: Window, key: ColumnElement[Any], where: ColumnElement[bool] | None, table: Table, *of: str
) -> Any:
    """The same of open intervals, which end where they are no longer known; only those with end > start."""
    m, t = membership.c, table.c
    clipped = _clipped(window, key, t, of, t.since_ms, window.known_until)
    columns = clipped.selected_columns
    return (
        clipped.select_from(membership.join(table, t.camera_id == m.camera_id))
        .where(_within(window), columns.end_ms > columns.start_ms, *_also(where))
        .subquery("lasting")
    ).c


def _clipped(
    window: Window,
    key: ColumnElement[Any],
    table: Any,
    of: Sequence[str],
    start: ColumnElement[int],
    end: ColumnElement[int],
) -> Select[Any]:
    stay_start, stay_end = _stay(window)
    return select(
        membership.c.camera_id,
        membership.c.started_ms.label("member_ms"),
        key.label("key"),
        *(table[name] for name in of),
        Greatest(start, stay_start).label("start_ms"),
        Least(end, stay_end).label("end_ms"),
    )


@cache
def _times(
    by: Dimension, recent: bool, where: ColumnElement[bool] | None = None
) -> tuple[Select[Any], Select[Any]]:
    """Of closed and of open intervals, by key: milliseconds in each of the states, and how many cameras are
    in it at the end. Put together once, since that takes longer than to read few rows."""
    key = key_of(by)
    still = _summed(lasting(WINDOW, key, where, camera_state, "state"))
    if recent:
        return _summed(walk_recent(WINDOW, key, where, state_interval, "state")), still
    each = _each_closed(WINDOW, key, where)
    times = (func.sum(each[state]) for state in State)
    heads = (func.count().filter(each.last == state.value) for state in State)
    return _by_key(each.key, [*times, *heads]), still


def _summed(part: Any) -> Select[Any]:
    length = part.end_ms - part.start_ms
    times = [func.sum(length).filter(part.state == state.value, length > 0) for state in State]
    ends = part.end_ms == WINDOW.end
    return _by_key(
        part.key, [*times, *(func.count().filter(part.state == state.value, ends) for state in State)]
    )


def _each_closed(window: Window, key: ColumnElement[Any], where: ColumnElement[bool] | None) -> Any:
    """Milliseconds in each of the states by membership, from closed intervals; the state ``last`` at the end
    of the span."""
    pieces = walk(window, key, where, state_interval, "state")
    length = Greatest(pieces.end_ms - pieces.start_ms, instant(0))
    times = [func.sum(length).filter(pieces.state == state.value).label(state) for state in State]
    # Summed first by membership, in the order of the walk, so that nothing has to be sorted: that is why the
    # key, which a membership has one of, is not among what is grouped by.
    return (
        select(
            pieces.camera_id,
            pieces.member_ms.label("started_ms"),
            func.min(pieces.key).label("key"),
            *times,
            func.max(pieces.state).filter(pieces.end_ms == window.end).label("last"),
        )
        .group_by(pieces.camera_id, pieces.member_ms)
        .subquery()
    ).c


def camera_times(connection: Connection, span: Span, known_until: Ms) -> list[Select[Any]]:
    """By camera, the ms ``online`` (degraded time included) and ``offline`` within the span: two queries."""
    key, window = key_of("camera"), Window.of(span, known_until)
    open_ones = lasting(window, key, None, camera_state, "state")
    if is_recent(connection, state_interval, span):
        closed = walk_recent(window, key, None, state_interval, "state")
        return [_good_and_bad(closed), _good_and_bad(open_ones)]
    each = _each_closed(window, key, None)
    good = func.coalesce(each[State.ONLINE], 0) + func.coalesce(each[State.DEGRADED], 0)
    walked = select(each.key, good.label("online"), func.coalesce(each[State.OFFLINE], 0).label("offline"))
    return [walked, _good_and_bad(open_ones)]


def _good_and_bad(part: Any) -> Select[Any]:
    length = part.end_ms - part.start_ms
    delivers = part.state.in_([State.ONLINE.value, State.DEGRADED.value])
    return select(
        part.key,
        case((delivers, length), else_=0).label("online"),
        case((part.state == State.OFFLINE.value, length), else_=0).label("offline"),
    ).where(length > 0)


def _by_key(key: ColumnElement[Any], sums: Sequence[ColumnElement[Any]]) -> Select[Any]:
    query: Select[Any] = select(key, *sums).group_by(key)
    return query


def key_of(by: Dimension) -> ColumnElement[str]:
    """The column of memberships that names the key of a dimension."""
    if by == "all":
        return cast(literal_column("'all'", String), String)  # PostgreSQL groups by no bare constant
    return membership.c.camera_id if by == "camera" else membership.c[by]


class Least(FunctionElement[int]):
    """The smaller of two numbers: SQLite has it under the name of the aggregate."""

    type = BigInteger()
    inherit_cache = True


class Greatest(FunctionElement[int]):
    """The larger of two numbers."""

    type = BigInteger()
    inherit_cache = True


@compiles(Least)
def _least(element: Least, compiler: SQLCompiler, **kw: Any) -> str:
    return f"least({compiler.process(element.clauses, **kw)})"


@compiles(Greatest)
def _greatest(element: Greatest, compiler: SQLCompiler, **kw: Any) -> str:
    return f"greatest({compiler.process(element.clauses, **kw)})"


@compiles(Least, "sqlite")
def _least_on_sqlite(element: Least, compiler: SQLCompiler, **kw: Any) -> str:
    return f"min({compiler.process(element.clauses, **kw)})"


@compiles(Greatest, "sqlite")
def _greatest_on_sqlite(element: Greatest, compiler: SQLCompiler, **kw: Any) -> str:
    return f"max({compiler.process(element.clauses, **kw)})"
