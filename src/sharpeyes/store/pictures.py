"""What is known of pictures: rungs over time, the last look at each, and what is normal for a camera.

All functions take a connection within a transaction. What a look found is a JSON document here: the room
above knows what is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from sharpeyes.domain.health import Rung, RungInterval
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store.database import upsert
from sharpeyes.store.quality_schema import (
    camera_picture,
    camera_rung,
    picture_reference,
    rung_interval,
    unsaid_rung,
)
from sharpeyes.store.schema import camera, chunks
from sharpeyes.store.telemetry import mark_stale, rewritten_since


class StoredPicture(NamedTuple):
    """The last look at one camera's picture."""

    camera: str
    at: Ms
    found: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReference:
    """What is normal for a camera in a mode. ``data`` is None for one that was replaced."""

    camera: str
    mode: str
    version: int
    learned: Ms
    pictures: int
    """How many it was learned from."""
    data: bytes | None
    retired: Ms | None = None


# --- rungs and looks, written by the recorder ---------------------------------------------------------


def write_rungs(
    connection: Connection,
    closed: Iterable[RungInterval],
    current: Iterable[RungInterval],
    unseen: Iterable[str],
    *,
    known_only: bool = False,
) -> int:
    """Closed intervals, open ones, and the cameras that have none now. Written twice, it is as once.

    Of the closed ones those that are not said are kept apart.

    ``known_only``: see :func:`sharpeyes.store.telemetry.write_batch`; returns how many rows were left out.
    """
    ended: list[dict[str, Any]] = []
    unsaid: list[dict[str, Any]] = []
    for i in closed:
        (ended if i.said else unsaid).append(_rung_row(i) | {"started_ms": i.start, "ended_ms": i.end})
    lasting = [_rung_row(i) | {"since_ms": i.start} for i in current]
    rows = len(ended) + len(unsaid) + len(lasting)
    if known_only:
        ended, unsaid, lasting = (_known(connection, some) for some in (ended, unsaid, lasting))
    gone = list(unseen)
    since = rewritten_since(connection, camera_rung, ("rung", "asked"), ended, lasting, gone)
    if since is not None:
        mark_stale(connection, since)
    if ended:
        connection.execute(upsert(connection, rung_interval, ("camera_id", "started_ms")), ended)
    if unsaid:
        connection.execute(upsert(connection, unsaid_rung, ("camera_id", "started_ms")), unsaid)
    if lasting:
        connection.execute(upsert(connection, camera_rung, ("camera_id",)), lasting)
    for some in chunks(gone):
        connection.execute(delete(camera_rung).where(camera_rung.c.camera_id.in_(some)))
    return rows - len(ended) - len(unsaid) - len(lasting)


def unsee_rungs(connection: Connection, camera_id: str, span: Span) -> None:
    """Nothing is said of a camera in this time, so no rung either: what was closed of it is kept apart."""
    i = rung_interval.c
    touched = (i.camera_id == camera_id, i.started_ms < span.end, i.ended_ms > span.start)
    found = connection.execute(select(rung_interval).where(*touched)).all()
    if not found:
        return
    mark_stale(connection, span.start, Ms(max(row.ended_ms for row in found)))
    connection.execute(delete(rung_interval).where(*touched))
    unsaid = [
        {
            **row._mapping,
            "started_ms": max(row.started_ms, span.start),
            "ended_ms": min(row.ended_ms, span.end),
        }
        for row in found
    ]
    connection.execute(upsert(connection, unsaid_rung, ("camera_id", "started_ms")), unsaid)
    rows = [
        {**row._mapping, "started_ms": start, "ended_ms": end}
        for row in found
        for start, end in ((row.started_ms, span.start), (span.end, row.ended_ms))
        if start < end
    ]
    if rows:
        connection.execute(insert(rung_interval), rows)


def say_rungs(connection: Connection, zone: str, span: Span) -> None:
    """What was seen of a zone's cameras from within this time on was so: their rungs count."""
    u = unsaid_rung.c
    which = (
        u.started_ms >= span.start,
        u.started_ms < span.end,
        u.camera_id.in_(select(camera.c.id).where(camera.c.zone == zone)),
    )
    rows = [dict(row._mapping) for row in connection.execute(select(unsaid_rung).where(*which))]
    if not rows:
        return
    mark_stale(connection, min(row["started_ms"] for row in rows), max(row["ended_ms"] for row in rows))
    connection.execute(upsert(connection, rung_interval, ("camera_id", "started_ms")), rows)
    connection.execute(delete(unsaid_rung).where(*which))


def _known(connection: Connection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = set(connection.scalars(select(camera.c.id)))
    return [row for row in rows if row["camera_id"] in known]


def _rung_row(interval: RungInterval) -> dict[str, Any]:
    return {"camera_id": interval.camera, "rung": int(interval.rung), "asked": int(interval.asked)}


def load_rungs(connection: Connection) -> dict[str, RungInterval]:
    """The open intervals, by camera."""
    return {
        row.camera_id: RungInterval(
            camera=row.camera_id, rung=Rung(row.rung), asked=Rung(row.asked), start=row.since_ms, end=None
        )
        for row in connection.execute(select(camera_rung))
    }


def write_pictures(
    connection: Connection, pictures: Iterable[StoredPicture], *, known_only: bool = False
) -> int:
    """What the last looks found; returns how many rows were left out."""
    rows = [{"camera_id": p.camera, "at_ms": p.at, "found": p.found} for p in pictures]
    kept = _known(connection, rows) if known_only else rows
    if kept:
        connection.execute(upsert(connection, camera_picture, ("camera_id",)), kept)
    return len(rows) - len(kept)


def load_pictures(connection: Connection) -> dict[str, StoredPicture]:
    """The last looks, by camera."""
    return {
        row.camera_id: StoredPicture(row.camera_id, row.at_ms, row.found)
        for row in connection.execute(select(camera_picture))
    }


# --- references ---------------------------------------------------------------------------------------


def load_references(connection: Connection, camera_id: str) -> dict[str, StoredReference]:
    """The references of a camera that hold now, by mode."""
    r = picture_reference.c
    query = select(picture_reference).where(r.camera_id == camera_id, r.retired_ms.is_(None))
    return {row.mode: _reference(row) for row in connection.execute(query)}


def put_reference(connection: Connection, reference: StoredReference) -> int:
    """This is normal from now on; the one before keeps its row without its data. Returns the version given.

    ``reference.version`` does not matter: versions of a camera's mode count up from 1.
    """
    r = picture_reference.c
    which = (r.camera_id == reference.camera, r.mode == reference.mode)
    latest = connection.scalar(select(func.max(r.version)).where(*which)) or 0
    _retire(connection, (*which, r.retired_ms.is_(None)), reference.learned)
    connection.execute(
        insert(picture_reference),
        {
            "camera_id": reference.camera,
            "mode": reference.mode,
            "version": latest + 1,
            "learned_ms": reference.learned,
            "pictures": reference.pictures,
            "data": reference.data,
        },
    )
    return latest + 1


def retire_references(connection: Connection, camera_id: str, *, now: Ms) -> int:
    """Nothing is known to be normal for this camera any more. Returns how many references went."""
    r = picture_reference.c
    return _retire(connection, (r.camera_id == camera_id, r.retired_ms.is_(None)), now)


def list_references(connection: Connection, camera_id: str) -> list[StoredReference]:
    """All versions, newest first, without their data."""
    r = picture_reference.c
    query = (
        select(r.camera_id, r.mode, r.version, r.learned_ms, r.pictures, r.retired_ms)
        .where(r.camera_id == camera_id)
        .order_by(r.learned_ms.desc(), r.mode)
        .limit(100)
    )
    return [_reference(row, data=False) for row in connection.execute(query)]


def _retire(connection: Connection, which: tuple[Any, ...], now: Ms) -> int:
    return connection.execute(
        update(picture_reference).where(*which).values(retired_ms=now, data=None)
    ).rowcount


def _reference(row: Any, *, data: bool = True) -> StoredReference:
    return StoredReference(
        camera=row.camera_id,
        mode=row.mode,
        version=row.version,
        learned=row.learned_ms,
        pictures=row.pictures,
        data=row.data if data else None,
        retired=row.retired_ms,
    )
