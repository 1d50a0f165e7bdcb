"""Figures of whole days, kept: of each camera, and of all cameras of a key.

A day's figures are written in one transaction, and count only while nothing has changed what they were added
up from (:func:`sharpeyes.store.telemetry.mark_stale`). All functions take a connection within a transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, insert, select, update

from sharpeyes.domain.errors import ConflictError
from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store.database import found_first, upsert
from sharpeyes.store.quality_schema import rung_interval, unsaid_rung
from sharpeyes.store.rates_schema import (
    archived,
    camera_month,
    day_rollup,
    group_day,
    group_rung_day,
    rollup_day,
    rollup_month,
    rung_day,
)
from sharpeyes.store.rungs import Climbed, Step
from sharpeyes.store.schema import chunks, membership, state_interval
from sharpeyes.store.state_time import Dimension

GROUPS: tuple[Dimension, ...] = ("all", "tier", "department", "area", "zone")
"""Dimensions whose sums are kept. Single cameras have a table of their own."""


class Day(NamedTuple):
    """A day that was, or is to be, added up."""

    span: Span
    revision: int
    fresh: bool


@dataclass(slots=True)
class Figures:
    """Sums in ms of one key, over a day or many; ``states`` and ``heads`` in the order of :class:`State`."""

    cameras: int = 0
    member_ms: int = 0
    states: list[int] = field(default_factory=lambda: [0] * len(State))
    excluded: list[int] = field(default_factory=lambda: [0, 0, 0])
    """Of the time in approved exclusions: obliged, online, offline."""
    heads: list[int] = field(default_factory=lambda: [0] * len(State))
    """Cameras by state at the end of the day."""
    present: int = 0
    """Members at the end of the day, those in no state included."""
    rungs: Climbed = field(default_factory=Counter)


_OF_A_DAY = (day_rollup, group_day, rung_day, group_rung_day)
_STATES = tuple(f"{state.value}_ms" for state in State)
_EXCLUDED = ("excluded_ms", "excluded_online_ms", "excluded_offline_ms")
_HEADS = tuple(f"head_{state.value}" for state in State)


def days(connection: Connection) -> list[Day]:
    """All days known here, oldest first."""
    d = rollup_day.c
    return [
        Day(Span(row.started_ms, row.ended_ms), row.revision, row.computed_ms is not None)
        for row in connection.execute(select(rollup_day).order_by(d.started_ms))
    ]


def fresh_spans(connection: Connection, span: Span) -> list[Span]:
    """The parts of the span made of whole days whose figures hold, oldest first; neighbours are joined."""
    d = rollup_day.c
    query = (
        select(d.started_ms, d.ended_ms)
        .where(d.started_ms >= span.start, d.ended_ms <= span.end, d.computed_ms.is_not(None))
        .order_by(d.started_ms)
    )
    joined: list[Span] = []
    for start, end in connection.execute(query):
        if joined and joined[-1].end == start:
            joined[-1] = Span(joined[-1].start, end)
        elif not joined or joined[-1].end < start:
            joined.append(Span(start, end))
    return joined


def open_day(connection: Connection, day: Span) -> int:
    """The revision to add the day up at; from now on, what changes it is noticed."""
    d = rollup_day.c
    found = connection.scalar(select(d.revision).where(d.started_ms == day.start, d.ended_ms == day.end))
    if found is None:
        row = {"started_ms": day.start, "ended_ms": day.end, "revision": 0, "computed_ms": None}
        connection.execute(insert(rollup_day), row)
        return 0
    return int(found)


def forget_days(connection: Connection, spans: Iterable[Span]) -> None:
    """Days with other bounds than those that count now."""
    for span in spans:
        for table in (rollup_day, *_OF_A_DAY):
            connection.execute(delete(table).where(table.c.started_ms == span.start))
    for table in (rollup_month, camera_month):
        connection.execute(delete(table))


def put_day(
    connection: Connection,
    day: Span,
    revision: int,
    cameras: Sequence[tuple[str, Figures]],
    groups: Sequence[tuple[Dimension, str, Figures]],
    *,
    now: Ms,
) -> bool:
    """Write the day's figures, in place of any before. False, and nothing, if it has changed meanwhile."""
    d = rollup_day.c
    done = connection.execute(
        update(rollup_day)
        .where(d.started_ms == day.start, d.ended_ms == day.end, d.revision == revision)
        .values(computed_ms=now)
    )
    if done.rowcount != 1:
        return False
    for table in _OF_A_DAY:
        connection.execute(delete(table).where(table.c.started_ms == day.start))
    states = tuple(State)
    if cameras:
        connection.execute(
            insert(day_rollup),
            [
                {
                    "started_ms": day.start,
                    "camera_id": camera,
                    "member_ms": f.member_ms,
                    **dict(zip(_STATES, f.states, strict=True)),
                    **dict(zip(_EXCLUDED, f.excluded, strict=True)),
                    "present": bool(f.present),
                    "last": next((s.value for s, n in zip(states, f.heads, strict=True) if n), None),
                }
                for camera, f in cameras
            ],
        )
    if groups:
        connection.execute(
            insert(group_day),
            [
                {
                    "dimension": dimension,
                    "started_ms": day.start,
                    "key": key,
                    "cameras": f.cameras,
                    "member_ms": f.member_ms,
                    **dict(zip(_STATES, f.states, strict=True)),
                    **dict(zip(_EXCLUDED, f.excluded, strict=True)),
                    **dict(zip(_HEADS, f.heads, strict=True)),
                    "head_total": f.present,
                }
                for dimension, key, f in groups
            ],
        )
    single = [
        {"started_ms": day.start, "camera_id": camera, **step._asdict(), "ms": ms}
        for camera, f in cameras
        for step, ms in f.rungs.items()
    ]
    if single:
        connection.execute(insert(rung_day), single)
    together = [
        {"dimension": dimension, "started_ms": day.start, "key": key, **step._asdict(), "ms": ms}
        for dimension, key, f in groups
        for step, ms in f.rungs.items()
    ]
    if together:
        connection.execute(insert(group_rung_day), together)
    return True


def sums(
    connection: Connection, span: Span, by: Dimension, *, keys: Collection[str] | None = None
) -> dict[str, Figures]:
    """Sums over the days within the span, which are all fresh; cameras and heads are left at 0."""
    table, key = (day_rollup, day_rollup.c.camera_id) if by == "camera" else (group_day, group_day.c.key)
    columns = (table.c.member_ms, *(table.c[name] for name in (*_STATES, *_EXCLUDED)))
    found: dict[str, Figures] = {}
    for some in _some(keys):
        query = (
            select(key, *(func.sum(column) for column in columns))
            .where(*_of(table, by, some), _started(connection, table, span, some))
            .group_by(key)
        )
        for name, member, *rest in connection.execute(query):
            values = [int(value) for value in rest]
            found[name] = Figures(
                member_ms=int(member), states=values[: len(_STATES)], excluded=values[len(_STATES) :]
            )
        rungs, r = _rung_table(by)
        steps = (r.rung, r.untried, r.clock)
        climbs = (
            select(_rung_key(by), *steps, func.sum(r.ms))
            .where(*_of(rungs, by, some), _started(connection, rungs, span, some))
            .group_by(_rung_key(by), *steps)
        )
        for name, rung, untried, clock, ms in connection.execute(climbs):
            found[name].rungs[Step(rung, bool(untried), clock)] += int(ms)
    return found


def by_day(
    connection: Connection, span: Span, by: Dimension, *, keys: Collection[str] | None = None
) -> dict[Span, dict[str, Figures]]:
    """Figures of each kept day within the span, oldest first, by key. ``keys`` are a must for cameras."""
    d = rollup_day.c
    table = day_rollup if by == "camera" else group_day
    rungs, r = _rung_table(by)
    kept = (
        d.started_ms >= span.start,
        d.ended_ms <= span.end,
        d.computed_ms.is_not(None),
    )
    days = {
        row.started_ms: Span(row.started_ms, row.ended_ms)
        for row in connection.execute(select(d.started_ms, d.ended_ms).where(*kept).order_by(d.started_ms))
    }
    found: dict[Span, dict[str, Figures]] = {day: {} for day in days.values()}
    for some in _some(keys):
        within = (span.start <= table.c.started_ms, table.c.started_ms < span.end)
        for row in connection.execute(select(table).where(*_of(table, by, some), *within)):
            if (day := days.get(row.started_ms)) is not None:
                key, figures = (
                    (row.camera_id, _camera_figures(row)) if by == "camera" else (row.key, _figures(row))
                )
                found[day][key] = figures
        columns = (r.started_ms, _rung_key(by), r.rung, r.untried, r.clock, r.ms)
        query = select(*columns).where(
            *_of(rungs, by, some), r.started_ms >= span.start, r.started_ms < span.end
        )
        for start, key, rung, untried, clock, ms in connection.execute(query):
            if (day := days.get(start)) is not None:
                found[day][key].rungs[Step(rung, bool(untried), clock)] += ms
    return found


def _some(keys: Collection[str] | None) -> Iterator[list[str] | None]:
    if keys is None:
        yield None
    else:
        yield from chunks(keys)


def _of(table: Table, by: Dimension, keys: Sequence[str] | None) -> list[ColumnElement[bool]]:
    """Rows of this dimension, of these keys or of all."""
    key = table.c.camera_id if by == "camera" else table.c.key
    where = [] if by == "camera" else [table.c.dimension == by]
    return where if keys is None else [*where, key.in_(keys)]


def _started(
    connection: Connection, table: Table, span: Span, keys: Sequence[str] | None
) -> ColumnElement[bool]:
    """Rows of the days within the span. For some keys day by day: each day has its keys in order, so that a
    page of cameras does not read all cameras of these days."""
    started = table.c.started_ms
    if keys is None:
        return and_(started >= span.start, started < span.end)
    d = rollup_day.c.started_ms
    return started.in_(connection.scalars(select(d).where(d >= span.start, d < span.end)).all())


def _rung_table(by: Dimension) -> tuple[Table, Any]:
    table = rung_day if by == "camera" else group_rung_day
    return table, table.c


def _rung_key(by: Dimension) -> ColumnElement[str]:
    return rung_day.c.camera_id if by == "camera" else group_rung_day.c.key


def heads(
    connection: Connection, end: Ms, by: Dimension, *, keys: Collection[str] | None = None
) -> dict[str, Figures]:
    """Cameras by state at the last millisecond of the day that ends there; none if that day is not kept."""
    d = rollup_day.c
    start = connection.scalar(select(d.started_ms).where(d.ended_ms == end, d.computed_ms.is_not(None)))
    if start is None:
        return {}
    table = day_rollup if by == "camera" else group_day
    found = {}
    for some in _some(keys):
        for row in connection.execute(
            select(table).where(*_of(table, by, some), table.c.started_ms == start)
        ):
            if by == "camera":
                if row.present:
                    found[row.camera_id] = _camera_figures(row)
            elif row.head_total:
                found[row.key] = _figures(row)
    return found


def first_member(connection: Connection) -> Ms | None:
    """When the first camera was entered."""
    found: Ms | None = connection.scalar(select(func.min(membership.c.started_ms)))
    return found


def archived_until(connection: Connection) -> Ms:
    """Intervals that ended before this are no longer here; 0 if all are."""
    return Ms(connection.scalar(select(func.max(archived.c.until_ms))) or 0)


def archive_files(connection: Connection) -> set[str]:
    """Names of the files that intervals went to."""
    return set(connection.scalars(select(archived.c.file)))


class Kind(StrEnum):
    """What goes to the archive."""

    INTERVALS = "intervals"
    RUNGS = "rungs"


KEPT: Mapping[Kind, tuple[Table, tuple[str, ...]]] = {
    Kind.INTERVALS: (
        state_interval,
        ("camera_id", "started_ms", "ended_ms", "state", "cause", "seen_state", "seen_cause"),
    ),
    Kind.RUNGS: (rung_interval, ("camera_id", "started_ms", "ended_ms", "rung", "asked")),
}
"""The columns that go, and where from."""


def first_end(connection: Connection) -> Ms | None:
    """When the oldest interval ended that is still here."""
    found = [connection.scalar(select(func.min(table.c.ended_ms))) for table, _ in KEPT.values()]
    return min((end for end in found if end is not None), default=None)


def count_ended(connection: Connection, kind: Kind, until: Ms) -> int:
    """How many intervals ended by then."""
    table, _ = KEPT[kind]
    query = select(func.count()).select_from(table).where(table.c.ended_ms <= until)
    return int(connection.scalar(query) or 0)


def ended(connection: Connection, kind: Kind, until: Ms, *, batch: int) -> Iterator[list[tuple[Any, ...]]]:
    """Intervals that ended by then, in batches, with the columns of :data:`KEPT`."""
    table, names = KEPT[kind]
    found = found_first(select(*(table.c[name] for name in names)).where(table.c.ended_ms <= until))
    query = select(found).order_by(found.c.camera_id, found.c.started_ms)
    for rows in connection.execute(query, execution_options={"yield_per": batch}).partitions(batch):
        yield [tuple(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Filed:
    """A file of the archive, and its digest."""

    kind: Kind
    file: str
    rows: int
    sha256: str


def put_archived(connection: Connection, files: Sequence[Filed], *, until: Ms, now: Ms) -> None:
    """These files hold all that ended by then, which therefore goes from here.

    ConflictError, and everything stays, if there is not just what the files hold.
    """
    for kind, (table, _) in KEPT.items():
        gone = connection.execute(delete(table).where(table.c.ended_ms <= until)).rowcount
        held = sum(one.rows for one in files if one.kind is kind)
        if gone != held:
            raise ConflictError(
                f"the files of {kind} have {held} rows, the database {gone}: they are written anew"
            )
    connection.execute(delete(unsaid_rung).where(unsaid_rung.c.ended_ms <= until))
    for one in files:
        row = {"file": one.file, "until_ms": until, "rows": one.rows, "sha256": one.sha256, "at_ms": now}
        connection.execute(upsert(connection, archived, ("file",)), row)


def _figures(row: Any) -> Figures:
    return Figures(
        cameras=row.cameras,
        member_ms=row.member_ms,
        states=[getattr(row, name) for name in _STATES],
        excluded=[getattr(row, name) for name in _EXCLUDED],
        heads=[getattr(row, name) for name in _HEADS],
        present=row.head_total,
    )


def _camera_figures(row: Any) -> Figures:
    return Figures(
        cameras=1,
        member_ms=row.member_ms,
        states=[getattr(row, name) for name in _STATES],
        excluded=[getattr(row, name) for name in _EXCLUDED],
        heads=[int(row.last == state.value) for state in State],
        present=int(row.present),
    )
