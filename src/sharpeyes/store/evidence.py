"""The index of evidence: which picture files there are, when each must go, and the probes worth keeping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from sharpeyes.domain.errors import NotFoundError
from sharpeyes.domain.time import Ms
from sharpeyes.store.database import upsert
from sharpeyes.store.quality_schema import evidence, probe_record
from sharpeyes.store.schema import chunks


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One file. ``id`` is its random name."""

    id: str
    camera: str
    at: Ms
    kind: str
    """``still``: a marked-up JPEG; ``sample``: a keyframe to learn from."""
    mode: str | None
    bytes: int
    expires: Ms


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRecord:
    """One probe with its working."""

    camera: str
    at: Ms
    ok: bool
    found: Mapping[str, Any]
    still: str | None
    """Id of its exhibit, which may have gone already."""
    expires: Ms


def add_exhibits(connection: Connection, exhibits: Iterable[Exhibit]) -> None:
    rows = [
        {
            "id": e.id,
            "camera_id": e.camera,
            "at_ms": e.at,
            "kind": e.kind,
            "mode": e.mode,
            "bytes": e.bytes,
            "expires_ms": e.expires,
        }
        for e in exhibits
    ]
    if rows:
        connection.execute(insert(evidence), rows)


def get_exhibit(connection: Connection, exhibit: str, *, camera: str, now: Ms) -> Exhibit:
    """NotFoundError if it is not there, of another camera, or past its time."""
    e = evidence.c
    row = connection.execute(
        select(evidence).where(e.id == exhibit, e.camera_id == camera, e.kind == "still", e.expires_ms > now)
    ).first()
    if row is None:
        raise NotFoundError(
            f"there is no still {exhibit[:64]} of camera {camera}",
            mend="Stills are kept for a limited time; see /probes for those that there are",
        )
    return _exhibit(row)


def list_exhibits(
    connection: Connection, *, camera: str, kind: str, mode: str | None = None
) -> list[Exhibit]:
    """Of one camera, oldest first."""
    e = evidence.c
    query = select(evidence).where(e.camera_id == camera, e.kind == kind).order_by(e.at_ms, e.id)
    if mode is not None:
        query = query.where(e.mode == mode)
    return [_exhibit(row) for row in connection.execute(query)]


def expired_exhibits(connection: Connection, now: Ms, *, limit: int = 500) -> list[str]:
    """Ids of files whose time is over."""
    e = evidence.c
    return list(
        connection.scalars(select(e.id).where(e.expires_ms <= now).order_by(e.expires_ms).limit(limit))
    )


def forget_exhibits(connection: Connection, ids: Iterable[str]) -> None:
    """Their files are gone."""
    for some in chunks(ids):
        connection.execute(delete(evidence).where(evidence.c.id.in_(some)))


def known_exhibits(connection: Connection) -> set[str]:
    return set(connection.scalars(select(evidence.c.id)))


# --- probes -------------------------------------------------------------------------------------------


def add_records(
    connection: Connection, records: Iterable[ProbeRecord], *, failures: int, successes: int
) -> None:
    """Keep these, and of each of their cameras only the newest so many that failed and succeeded."""
    rows = [
        {
            "camera_id": r.camera,
            "at_ms": r.at,
            "ok": r.ok,
            "found": r.found,
            "still": r.still,
            "expires_ms": r.expires,
        }
        for r in records
    ]
    if not rows:
        return
    connection.execute(upsert(connection, probe_record, ("camera_id", "at_ms")), rows)
    p = probe_record.c
    for camera, ok in {(row["camera_id"], row["ok"]) for row in rows}:
        bound = (
            select(p.at_ms)
            .where(p.camera_id == camera, p.ok.is_(ok))
            .order_by(p.at_ms.desc())
            .offset(successes if ok else failures)
            .limit(1)
        )
        oldest = connection.scalar(bound)
        if oldest is not None:
            connection.execute(
                delete(probe_record).where(p.camera_id == camera, p.ok.is_(ok), p.at_ms <= oldest)
            )


def list_records(connection: Connection, camera: str, *, now: Ms, limit: int = 100) -> list[ProbeRecord]:
    """The probes of a camera that are kept, newest first."""
    p = probe_record.c
    query = (
        select(probe_record)
        .where(p.camera_id == camera, p.expires_ms > now)
        .order_by(p.at_ms.desc())
        .limit(limit)
    )
    return [
        ProbeRecord(
            camera=row.camera_id,
            at=row.at_ms,
            ok=row.ok,
            found=row.found,
            still=row.still,
            expires=row.expires_ms,
        )
        for row in connection.execute(query)
    ]


def forget_records(connection: Connection, now: Ms) -> int:
    """Those whose time is over go; returns how many that were."""
    return connection.execute(delete(probe_record).where(probe_record.c.expires_ms <= now)).rowcount


def _exhibit(row: Any) -> Exhibit:
    return Exhibit(
        id=row.id,
        camera=row.camera_id,
        at=row.at_ms,
        kind=row.kind,
        mode=row.mode,
        bytes=row.bytes,
        expires=row.expires_ms,
    )
