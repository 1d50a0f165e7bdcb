"""What was observed: closed intervals, how each camera stands, the sign of life; and the days that this makes
stale. Written in batches.

All functions take a connection within a transaction (see :class:`sharpeyes.store.database.Database`). Batches
are idempotent: an interval is known by its camera and its start, a standing by its camera, so that a batch
whose commit was in doubt is simply written again.

Rooms above convert to their own types: here a row is a row. What intervals sum up to is next door, in
:mod:`sharpeyes.store.state_time`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Table,
    delete,
    func,
    select,
    update,
)

from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store.database import upsert
from sharpeyes.store.rates_schema import archived, rollup_day
from sharpeyes.store.schema import (
    camera,
    camera_state,
    chunks,
    heartbeat,
    state_interval,
)

PROBER = "prober"
"""The role whose heartbeat says up to when cameras were watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStanding:
    """The open interval of a camera and what was seen last, as stored."""

    camera: str
    state: State
    since: Ms
    cause: str | None
    observed: Ms | None
    fails: int
    passes: int
    streak: Ms | None
    last_probe: Mapping[str, Any] | None
    seen_state: State | None = None
    """What the probes alone say, where we know better."""
    seen_cause: str | None = None


# --- written by the recorder --------------------------------------------------------------------------


def write_batch(
    connection: Connection,
    *,
    intervals: Iterable[Interval] = (),
    standings: Iterable[StoredStanding] = (),
    removed: Iterable[str] = (),
    beat: Ms | None = None,
    known_only: bool = False,
) -> int:
    """Closed intervals, current standings, cameras that no longer stand anywhere, and the sign of life.

    The heartbeat goes with the batch: it vouches that all that was judged before it is stored.
    ``known_only`` leaves out rows of cameras that are not in the registry and returns how many that were;
    without it such a row fails the batch (IntegrityError). Raises ValueError if an interval is open.
    """
    closed = [
        {
            "camera_id": i.camera,
            "started_ms": i.start,
            "ended_ms": i.end,
            "state": i.state.value,
            "cause": i.cause,
            "seen_state": i.seen_state and i.seen_state.value,
            "seen_cause": i.seen_cause,
        }
        for i in intervals
    ]
    if any(row["ended_ms"] is None for row in closed):
        raise ValueError("an open interval belongs into a standing")
    current = [
        {
            "camera_id": s.camera,
            "state": s.state.value,
            "since_ms": s.since,
            "cause": s.cause,
            "seen_state": s.seen_state and s.seen_state.value,
            "seen_cause": s.seen_cause,
            "observed_ms": s.observed,
            "fails": s.fails,
            "passes": s.passes,
            "streak_ms": s.streak,
            "last_probe": s.last_probe,
        }
        for s in standings
    ]
    dropped = 0
    if known_only:
        known = set(connection.scalars(select(camera.c.id)))
        rows = len(closed) + len(current)
        closed = [row for row in closed if row["camera_id"] in known]
        current = [row for row in current if row["camera_id"] in known]
        dropped = rows - len(closed) - len(current)
    gone = list(removed)
    if (since := rewritten_since(connection, camera_state, ("state",), closed, current, gone)) is not None:
        mark_stale(connection, since)
    if closed:
        connection.execute(upsert(connection, state_interval, ("camera_id", "started_ms")), closed)
    if current:
        connection.execute(upsert(connection, camera_state, ("camera_id",)), current)
    for some in chunks(gone):
        connection.execute(delete(camera_state).where(camera_state.c.camera_id.in_(some)))
    if beat is not None:
        set_heartbeat(connection, beat)
    return dropped


def rewrite(connection: Connection, before: Interval, after: Sequence[Interval]) -> None:
    """Say something else of the time of one closed interval; ``after`` tile it."""
    assert before.end is not None
    mark_stale(connection, before.start, before.end)
    t = state_interval.c
    connection.execute(
        delete(state_interval).where(t.camera_id == before.camera, t.started_ms == before.start)
    )
    write_batch(connection, intervals=after)


def mark_stale(connection: Connection, since: Ms, until: Ms | None = None) -> None:
    """What days that touch ``[since, until)`` were added up from has changed: add them up anew.

    Not those in the archive: what they were added up from is no longer here.
    """
    day = rollup_day.c
    kept = select(func.coalesce(func.max(archived.c.until_ms), 0)).scalar_subquery()
    where = [day.ended_ms > since, day.started_ms >= kept]
    if until is not None:
        where.append(day.started_ms < until)
    connection.execute(update(rollup_day).where(*where).values(revision=day.revision + 1, computed_ms=None))


def rewritten_since(
    connection: Connection,
    standing: Table,
    what: Sequence[str],
    closed: Sequence[Mapping[str, Any]],
    current: Sequence[Mapping[str, Any]],
    gone: Sequence[str] = (),
) -> Ms | None:
    """The first instant of a day already added up that a batch says something new about; None if of none.

    ``standing`` has the open intervals, before the batch; its first column names whose they are, ``what``
    what they say. That an interval closes, or goes on, says nothing new about the time in which it was open.
    """
    rolled = connection.scalar(select(func.max(rollup_day.c.ended_ms)))
    if rolled is None:
        return None
    owner, t = next(iter(standing.columns)), standing.c

    def said(row: Mapping[str, Any], since: str) -> tuple[Any, ...]:
        return (*(row[name] for name in what), row[since])

    early = [row for row in closed if row["started_ms"] < rolled]
    before: dict[str, tuple[Any, ...]] = {}
    for some in chunks({row[owner.name] for row in (*early, *current)} | set(gone)):
        query = select(owner, t.since_ms, *(t[name] for name in what))
        rows = connection.execute(query.where(owner.in_(some), t.since_ms < rolled)).mappings()
        before |= {row[owner.name]: said(dict(row), "since_ms") for row in rows}
    told = {(row[owner.name], *said(row, "started_ms")) for row in early}
    moments = [
        row["ended_ms" if before.get(row[owner.name]) == said(row, "started_ms") else "started_ms"]
        for row in early
    ]
    kept = {row[owner.name]: said(row, "since_ms") for row in current}
    moments += [
        row["since_ms"]
        for row in current
        if row["since_ms"] < rolled and before.get(row[owner.name]) != said(row, "since_ms")
    ]
    moments += [
        was[-1]
        for key, was in before.items()
        if (key in kept or key in gone) and kept.get(key) != was and (key, *was) not in told
    ]
    first = min(moments, default=rolled)
    return Ms(first) if first < rolled else None


def set_heartbeat(connection: Connection, at: Ms, role: str = PROBER) -> None:
    """This role was alive at ``at``."""
    connection.execute(upsert(connection, heartbeat, ("role",)), {"role": role, "at_ms": at})


def get_heartbeat(connection: Connection, role: str = PROBER) -> Ms | None:
    """When this role was last known alive, None if it never was."""
    return connection.scalar(select(heartbeat.c.at_ms).where(heartbeat.c.role == role))


# --- read ---------------------------------------------------------------------------------------------


def load_standings(connection: Connection) -> dict[str, StoredStanding]:
    """All standings, by camera."""
    return {
        row.camera_id: StoredStanding(
            camera=row.camera_id,
            state=State(row.state),
            since=row.since_ms,
            cause=row.cause,
            observed=row.observed_ms,
            fails=row.fails,
            passes=row.passes,
            streak=row.streak_ms,
            last_probe=row.last_probe,
            seen_state=None if row.seen_state is None else State(row.seen_state),
            seen_cause=row.seen_cause,
        )
        for row in connection.execute(select(camera_state))
    }


def intervals(
    connection: Connection, camera_id: str, span: Span, *, after: Ms | None = None, limit: int = 1000
) -> list[Interval]:
    """Closed intervals of a camera that touch the span, unclipped, oldest first; at most ``limit`` of them.

    The next page is asked for with ``after`` = the start of the last interval of this one.
    """
    t = state_interval.c
    query = (
        select(state_interval)
        .where(t.camera_id == camera_id, t.started_ms < span.end, t.ended_ms > span.start)
        .order_by(t.started_ms)
        .limit(limit)
    )
    if after is not None:
        query = query.where(t.started_ms > after)
    return [
        Interval(
            camera=row.camera_id,
            state=State(row.state),
            start=row.started_ms,
            end=row.ended_ms,
            cause=row.cause,
        )
        for row in connection.execute(query)
    ]
