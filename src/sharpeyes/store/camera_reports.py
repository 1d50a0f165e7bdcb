"""What cameras reported of their scenes, and how it stands between us and each device's events.

All functions take a connection within a transaction. A report has an end; a camera keeps no more than
:data:`PER_CAMERA` of them, however much it says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from sharpeyes.domain.reports import CameraReport, EventsStatus, ReportKind
from sharpeyes.domain.time import Ms
from sharpeyes.store.database import upsert
from sharpeyes.store.device_schema import camera_report, device_events
from sharpeyes.store.schema import camera, chunks, device

PER_CAMERA = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEvents:
    """What is known of a device's events."""

    device: str
    status: EventsStatus
    at: Ms
    detail: str | None = None
    """Why, for a technician."""
    retry: Ms | None = None
    """Not to be asked before this instant."""


def add_reports(connection: Connection, reports: Iterable[CameraReport], *, expires: Ms) -> None:
    """Keep these; those of cameras that are not in the registry are left out."""
    given = list(reports)
    ids = {report.camera for report in given}
    known: set[str] = set()
    for some in chunks(ids):
        known.update(connection.scalars(select(camera.c.id).where(camera.c.id.in_(some))))
    rows = [
        {
            "camera_id": report.camera,
            "at_ms": report.at,
            "kind": report.kind.value,
            "active": report.active,
            "topic": report.topic,
            "expires_ms": expires,
        }
        for report in given
        if report.camera in known
    ]
    if not rows:
        return
    connection.execute(insert(camera_report), rows)
    t = camera_report.c
    for camera_id in known:
        surplus = (
            select(t.id)
            .where(t.camera_id == camera_id)
            .order_by(t.at_ms.desc(), t.id.desc())
            .offset(PER_CAMERA)
            .limit(-1 if connection.dialect.name == "sqlite" else None)  # SQLite has no OFFSET without LIMIT
        )
        connection.execute(delete(camera_report).where(t.id.in_(surplus)))


def list_reports(connection: Connection, camera_id: str, *, now: Ms, limit: int = 50) -> list[CameraReport]:
    """The last reports of a camera, newest first."""
    t = camera_report.c
    query = (
        select(camera_report)
        .where(t.camera_id == camera_id, t.expires_ms > now)
        .order_by(t.at_ms.desc(), t.id.desc())
        .limit(limit)
    )
    return [
        CameraReport(
            camera=row.camera_id,
            kind=ReportKind(row.kind),
            active=row.active,
            at=row.at_ms,
            topic=row.topic,
        )
        for row in connection.execute(query)
    ]


def forget_reports(connection: Connection, now: Ms) -> None:
    """Delete those whose time is over."""
    connection.execute(delete(camera_report).where(camera_report.c.expires_ms <= now))


def put_device_events(connection: Connection, items: Iterable[DeviceEvents]) -> None:
    """Insert or replace by device; those of devices that are not in the registry are left out."""
    given = {item.device: item for item in items}
    known: set[str] = set()
    for some in chunks(given):
        known.update(connection.scalars(select(device.c.id).where(device.c.id.in_(some))))
    rows = [
        {
            "device_id": item.device,
            "status": item.status.value,
            "at_ms": item.at,
            "detail": item.detail,
            "retry_ms": item.retry,
        }
        for item in given.values()
        if item.device in known
    ]
    if rows:
        connection.execute(upsert(connection, device_events, ("device_id",)), rows)


def load_device_events(connection: Connection) -> dict[str, DeviceEvents]:
    """All of them, by device."""
    return {
        row.device_id: DeviceEvents(
            device=row.device_id,
            status=EventsStatus(row.status),
            at=row.at_ms,
            detail=row.detail,
            retry=row.retry_ms,
        )
        for row in connection.execute(select(device_events))
    }
