"""What reports ask of the store beyond rates: outages one by one, names, and how full the registry is."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, or_, select

from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store.schema import (
    area,
    camera,
    camera_state,
    department,
    membership,
    state_interval,
    zone,
)


class Outage(NamedTuple):
    """An offline interval of a camera where it was a member, unclipped; ``end`` None while it lasts."""

    camera: str
    start: Ms
    end: Ms | None
    cause: str | None
    member: Span
    """The membership, within the span asked for."""
    tier: str
    department: str
    area: str
    zone: str


def outages(connection: Connection, span: Span) -> list[Outage]:
    """Offline intervals that touch a membership within the span, once for each of both."""
    m, i, s = membership.c, state_interval.c, camera_state.c
    within = and_(m.started_ms < span.end, or_(m.ended_ms.is_(None), m.ended_ms > span.start))
    place = (m.started_ms, m.ended_ms, m.tier, m.department, m.area, m.zone)
    closed = (
        select(i.camera_id, i.started_ms.label("start"), i.ended_ms.label("end"), i.cause, *place)
        .join(membership, m.camera_id == i.camera_id)
        .where(
            i.state == State.OFFLINE.value,
            i.ended_ms > span.start,
            i.started_ms < span.end,
            within,
            m.started_ms < i.ended_ms,
            or_(m.ended_ms.is_(None), m.ended_ms > i.started_ms),
        )
    )
    lasting = (
        select(s.camera_id, s.since_ms.label("start"), s.cause, *place)
        .join(membership, m.camera_id == s.camera_id)
        .where(
            s.state == State.OFFLINE.value,
            s.since_ms < span.end,
            within,
            or_(m.ended_ms.is_(None), m.ended_ms > s.since_ms),
        )
    )
    found = [_outage(row, span, row.end) for row in connection.execute(closed)]
    return found + [_outage(row, span, None) for row in connection.execute(lasting)]


def _outage(row: Any, span: Span, end: Ms | None) -> Outage:
    ended = span.end if row.ended_ms is None else min(row.ended_ms, span.end)
    return Outage(
        camera=row.camera_id,
        start=row.start,
        end=end,
        cause=row.cause,
        member=Span(Ms(max(row.started_ms, span.start)), Ms(ended)),
        tier=row.tier,
        department=row.department,
        area=row.area,
        zone=row.zone,
    )


def names(connection: Connection) -> dict[str, dict[str, str]]:
    """Names by id, of departments, areas and zones, retired ones included."""
    return {
        table.name: {row.id: row.name for row in connection.execute(select(table.c.id, table.c.name))}
        for table in (department, area, zone)
    }


def camera_places(connection: Connection) -> dict[str, tuple[str, str, str]]:
    """Name, department and area of every camera, retired ones included."""
    c = camera.c
    return {
        key: (name, unit, place)
        for key, name, unit, place in connection.execute(select(c.id, c.name, c.department, c.area))
    }


def areas_without_cameras(connection: Connection) -> list[str]:
    """Areas in use in which, themselves, no camera in service stands."""
    used = select(camera.c.area).where(camera.c.retired_ms.is_(None))
    query = select(area.c.id).where(area.c.retired_ms.is_(None), area.c.id.not_in(used)).order_by(area.c.id)
    return list(connection.scalars(query))
