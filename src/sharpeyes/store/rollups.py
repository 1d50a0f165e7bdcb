"""Figures of whole days, kept: of each camera, and of all cameras of a key.

A day's figures are written in one transaction, and count only while nothing has changed what they were added
up from (:func:`sharpeyes.store.telemetry.mark_stale`). All functions take a connection within a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from sharpeyes.domain.errors import ConflictError
from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store.rates_schema import archived, day_rollup, group_day, rollup_day
from sharpeyes.store.schema import membership, state_interval
from sharpeyes.store.telemetry import Dimension, upsert

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
        for table in (rollup_day, day_rollup, group_day):
            connection.execute(delete(table).where(table.c.started_ms == span.start))


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
    for table in (day_rollup, group_day):
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
    return True


def sums(connection: Connection, span: Span, by: Dimension) -> dict[str, Figures]:
    """Sums over the days within the span, which are all fresh; cameras and heads are left at 0."""
    table, key = (day_rollup, day_rollup.c.camera_id) if by == "camera" else (group_day, group_day.c.key)
    columns = (table.c.member_ms, *(table.c[name] for name in (*_STATES, *_EXCLUDED)))
    query = (
        select(key, *(func.sum(column) for column in columns))
        .where(table.c.started_ms >= span.start, table.c.started_ms < span.end)
        .group_by(key)
    )
    if by != "camera":
        query = query.where(group_day.c.dimension == by)
    found = {}
    for name, member, *rest in connection.execute(query):
        values = [int(value) for value in rest]
        found[name] = Figures(
            member_ms=int(member), states=values[: len(_STATES)], excluded=values[len(_STATES) :]
        )
    return found


def by_day(connection: Connection, span: Span, by: Dimension) -> dict[tuple[Ms, str], Figures]:
    """Figures of each kept day within the span, by its start and the key. Not of single cameras."""
    g = group_day.c
    query = (
        select(group_day)
        .join(rollup_day, rollup_day.c.started_ms == g.started_ms)
        .where(
            g.dimension == by,
            g.started_ms >= span.start,
            rollup_day.c.ended_ms <= span.end,
            rollup_day.c.computed_ms.is_not(None),
        )
    )
    return {(row.started_ms, row.key): _figures(row) for row in connection.execute(query)}


def heads(connection: Connection, end: Ms, by: Dimension) -> dict[str, Figures] | None:
    """Cameras by state at the last millisecond of the day that ends there; None if that day is not kept."""
    d = rollup_day.c
    start = connection.scalar(select(d.started_ms).where(d.ended_ms == end, d.computed_ms.is_not(None)))
    if start is None:
        return None
    if by != "camera":
        g = group_day.c
        rows = connection.execute(select(group_day).where(g.dimension == by, g.started_ms == start))
        return {row.key: _figures(row) for row in rows if row.head_total}
    r = day_rollup.c
    found = {}
    for camera, last in connection.execute(
        select(r.camera_id, r.last).where(r.started_ms == start, r.present)
    ):
        counts = [int(last == state.value) for state in State]
        found[camera] = Figures(heads=counts, present=1)
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


def first_end(connection: Connection) -> Ms | None:
    """When the oldest interval ended that is still here."""
    found: Ms | None = connection.scalar(select(func.min(state_interval.c.ended_ms)))
    return found


def count_ended(connection: Connection, until: Ms) -> int:
    """How many intervals ended by then."""
    query = select(func.count()).select_from(state_interval).where(state_interval.c.ended_ms <= until)
    return int(connection.scalar(query) or 0)


def ended(connection: Connection, until: Ms, *, batch: int) -> Iterator[list[tuple[Any, ...]]]:
    """Intervals that ended by then, in batches: camera, start, end, state, cause."""
    i = state_interval.c
    query = (
        select(i.camera_id, i.started_ms, i.ended_ms, i.state, i.cause)
        .where(i.ended_ms <= until)
        .order_by(i.camera_id, i.started_ms)
        .execution_options(yield_per=batch)
    )
    for rows in connection.execute(query).partitions(batch):
        yield [tuple(row) for row in rows]


def put_archived(connection: Connection, file: str, *, until: Ms, rows: int, sha256: str, now: Ms) -> None:
    """This file holds all that ended by then, which therefore goes from here.

    ConflictError, and everything stays, if there is not just what the file holds.
    """
    gone = connection.execute(delete(state_interval).where(state_interval.c.ended_ms <= until)).rowcount
    if gone != rows:
        raise ConflictError(f"{file} has {rows} intervals, the database {gone}: it is written anew")
    row = {"file": file, "until_ms": until, "rows": rows, "sha256": sha256, "at_ms": now}
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
