"""Times in which we ourselves could not see a zone, and what its cameras seemed to be meanwhile.

An outage is open until the zone is seen again. What its cameras seemed to be is kept beside the unknown
(``seen_state``, ``seen_cause``), so that somebody who knows better can say that it was real: then it counts.

All functions take a connection within a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, insert, select, update

from sharpeyes.domain.errors import ConflictError, NotFoundError
from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store import pictures, telemetry
from sharpeyes.store.faults_schema import own_outage
from sharpeyes.store.schema import camera, camera_state, chunks, state_interval

FOREVER = Ms(1 << 62)
SEEN = (State.ONLINE, State.DEGRADED, State.OFFLINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOutage:
    """One time in which we did not see one zone."""

    id: int = 0
    zone: str
    reason: str
    since: Ms
    noticed: Ms
    ended: Ms | None = None
    fallen: int = 0
    seen: int = 0
    branches: int = 0
    real: Ms | None = None
    """When somebody said that it was real: the cameras did fail."""
    real_by: str | None = None
    remark: str | None = None


def begin(connection: Connection, outage: StoredOutage) -> StoredOutage:
    """Keep a new outage; the same with its number comes back. One is open a zone, says the schema."""
    done = connection.execute(
        insert(own_outage).values(
            zone=outage.zone,
            reason=outage.reason,
            since_ms=outage.since,
            noticed_ms=outage.noticed,
            fallen=outage.fallen,
            seen=outage.seen,
            branches=outage.branches,
        )
    )
    assert done.inserted_primary_key is not None
    return get(connection, done.inserted_primary_key[0])


def end(connection: Connection, key: int, *, at: Ms) -> None:
    """The zone is seen again."""
    o = own_outage.c
    connection.execute(update(own_outage).where(o.id == key, o.ended_ms.is_(None)).values(ended_ms=at))


def get(connection: Connection, key: int) -> StoredOutage:
    """NotFoundError."""
    row = connection.execute(select(own_outage).where(own_outage.c.id == key)).first()
    if row is None:
        raise NotFoundError(f"there is no outage of our own {key}")
    return _outage(row)


def open_outages(connection: Connection) -> dict[str, StoredOutage]:
    """Those that last, by zone; those too that are said to be real, until the zone has recovered."""
    query = select(own_outage).where(own_outage.c.ended_ms.is_(None))
    return {row.zone: _outage(row) for row in connection.execute(query)}


def list_outages(
    connection: Connection, *, before: int | None = None, limit: int = 100
) -> list[StoredOutage]:
    """Newest first; ``before``: only smaller numbers, for paging."""
    query = select(own_outage).order_by(own_outage.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(own_outage.c.id < before)
    return [_outage(row) for row in connection.execute(query)]


def say_real(connection: Connection, key: int, *, by: str, remark: str, at: Ms) -> StoredOutage:
    """Somebody knows that what was seen was so. ConflictError if that has been said already."""
    outage = get(connection, key)
    if outage.real is not None:
        raise ConflictError(f"outage {key} is said to be real already, by {outage.real_by}")
    connection.execute(
        update(own_outage).where(own_outage.c.id == key).values(real_ms=at, real_by=by, remark=remark)
    )
    return get(connection, key)


# --- what was recorded meanwhile ------------------------------------------------------------------------


def seen_since(connection: Connection, zone: str, since: Ms) -> list[Interval]:
    """Closed intervals of a zone's cameras that reach beyond ``since`` and in which something was seen."""
    i, c = state_interval.c, camera.c
    query = (
        select(i.camera_id, i.state, i.started_ms, i.ended_ms, i.cause)
        .join(camera, c.id == i.camera_id)
        .where(c.zone == zone, i.ended_ms > since, i.state.in_([state.value for state in SEEN]))
    )
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


def last_seen(connection: Connection, cameras: Iterable[str]) -> dict[str, State]:
    """What these cameras were seen to be before what they are now; without those that never were seen."""
    i = state_interval.c
    found: dict[str, State] = {}
    for some in chunks(cameras):
        latest = (
            select(i.camera_id, func.max(i.started_ms).label("started_ms"))
            .where(i.camera_id.in_(some), i.state.in_([state.value for state in SEEN]))
            .group_by(i.camera_id)
            .subquery()
        )
        same = and_(i.camera_id == latest.c.camera_id, i.started_ms == latest.c.started_ms)
        query = select(i.camera_id, i.state).join(latest, same)
        found |= {row.camera_id: State(row.state) for row in connection.execute(query)}
    return found


def unsaid_now(connection: Connection, zone: str) -> dict[str, Ms]:
    """Cameras of a zone of which we say that we do not see them though something is seen: since when."""
    s, c = camera_state.c, camera.c
    query = (
        select(s.camera_id, s.since_ms)
        .join(camera, c.id == s.camera_id)
        .where(c.zone == zone, s.state == State.UNKNOWN.value, s.seen_state.is_not(None))
    )
    return {row.camera_id: row.since_ms for row in connection.execute(query)}


def believe(connection: Connection, outage: StoredOutage) -> int:
    """What was seen during an outage was so: it counts, the rungs too. Returns how many intervals that were.

    Those that last are not among them: whoever writes standings writes them anew.
    """
    i, c = state_interval.c, camera.c
    until = outage.ended if outage.ended is not None else FOREVER
    pictures.say_rungs(connection, outage.zone, Span(outage.since, until))
    where = (
        i.state == State.UNKNOWN.value,
        i.seen_state.is_not(None),
        i.started_ms >= outage.since,
        i.started_ms < until,
        i.camera_id.in_(select(c.id).where(c.zone == outage.zone)),
    )
    span = connection.execute(select(i.started_ms, i.ended_ms).where(*where)).all()
    if not span:
        return 0
    telemetry.mark_stale(
        connection, Ms(min(row.started_ms for row in span)), Ms(max(row.ended_ms for row in span))
    )
    return connection.execute(
        update(state_interval)
        .where(*where)
        .values(state=i.seen_state, cause=i.seen_cause, seen_state=None, seen_cause=None)
    ).rowcount


def _outage(row: Any) -> StoredOutage:
    return StoredOutage(
        id=row.id,
        zone=row.zone,
        reason=row.reason,
        since=row.since_ms,
        noticed=row.noticed_ms,
        ended=row.ended_ms,
        fallen=row.fallen,
        seen=row.seen,
        branches=row.branches,
        real=row.real_ms,
        real_by=row.real_by,
        remark=row.remark,
    )
