"""Cameras, their streams, and the history of where they counted."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from sharpeyes.domain.camera import Camera, Origin, Stream, StreamRole, Transport
from sharpeyes.domain.errors import NotFoundError
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.store.dossier_schema import dossier
from sharpeyes.store.schema import CHUNK, camera, chunks, membership, stream
from sharpeyes.store.telemetry import mark_stale

DIMENSIONS = ("tier", "department", "area", "zone")
_COLUMNS = (
    "name",
    *DIMENSIONS,
    "origin",
    "code",
    "device",
    "channel",
    "snapshot_url",
    "credential",
    "transport",
    "liveness_s",
    "quality_s",
    "maintenance",
    "tags",
    "retired_ms",
)
# Thousands of cameras are read at once: values are taken by their place in the row, enums from a table, and
# the tags, mostly none, as text.
_SELECT = select(
    camera.c.id, *(cast(camera.c[name], Text) if name == "tags" else camera.c[name] for name in _COLUMNS)
)
_TIERS = {item.value: item for item in Tier}
_ORIGINS = {item.value: item for item in Origin}
_TRANSPORTS = {item.value: item for item in Transport}
_ROLES = {item.value: item for item in StreamRole}


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFilter:
    """Which cameras; what is None does not matter. Retired ones only if asked for."""

    tier: Tier | None = None
    department: str | None = None
    areas: Collection[str] | None = None
    """Any of these; see :func:`sharpeyes.store.organisation.subtree`."""
    zone: str | None = None
    device: str | None = None
    origin: Origin | None = None
    text: str | None = None
    """Part of the id, the name or the code."""
    include_retired: bool = False


EVERYTHING = CameraFilter()


@dataclass(frozen=True, slots=True)
class Put:
    """What :func:`put_cameras` did: the ids that are new, and each other change with what was before."""

    added: tuple[Camera, ...]
    changed: tuple[tuple[Camera, Camera], ...]
    """(before, after)"""


def list_cameras(
    connection: Connection,
    where: CameraFilter = EVERYTHING,
    *,
    after: str | None = None,
    limit: int | None = None,
) -> list[Camera]:
    """Cameras by id. For the next page, ``after`` is the last id of this one."""
    query = _filtered(_SELECT, where).order_by(camera.c.id)
    if after is not None:
        query = query.where(camera.c.id > after)
    if limit is not None:
        query = query.limit(limit)
    rows = connection.execute(query).all()
    return _cameras(connection, rows)


def list_ids(connection: Connection, where: CameraFilter = EVERYTHING) -> list[str]:
    """The cameras' ids in order: thousands for what a dozen whole cameras cost."""
    query = _filtered(select(camera.c.id), where).order_by(camera.c.id)
    return list(connection.scalars(query))


def list_light(connection: Connection) -> list[tuple[Any, ...]]:
    """What a list of every camera in service needs, by id, without making cameras of it: id, code, name,
    tier, department, area, zone, origin, maintenance, tags (as JSON), longitude, latitude."""
    c, d = camera.c, dossier.c
    query = (
        select(
            c.id, c.code, c.name, c.tier, c.department, c.area, c.zone, c.origin, c.maintenance,
            cast(c.tags, Text), d.longitude, d.latitude,
        )
        .select_from(camera.outerjoin(dossier, d.camera_id == c.id))
        .where(c.retired_ms.is_(None))
        .order_by(c.id)
    )  # fmt: skip
    return [tuple(row) for row in connection.execute(query)]


def count_cameras(connection: Connection, where: CameraFilter = EVERYTHING) -> int:
    query = _filtered(select(func.count()).select_from(camera), where)
    return int(connection.execute(query).scalar_one())


def get_camera(connection: Connection, camera_id: str) -> Camera:
    """The camera, a retired one included; NotFoundError if there never was one of this id."""
    found = get_cameras(connection, [camera_id])
    if not found:
        raise NotFoundError(f"there is no camera {camera_id}")
    return found[camera_id]


def get_cameras(connection: Connection, ids: Iterable[str]) -> dict[str, Camera]:
    """Those of the ids that exist, retired ones included."""
    found: dict[str, Camera] = {}
    for chunk in chunks(ids):
        rows = connection.execute(_SELECT.where(camera.c.id.in_(chunk))).all()
        found |= {item.id: item for item in _cameras(connection, rows)}
    return found


def put_cameras(connection: Connection, cameras: Iterable[Camera], *, now: Ms) -> Put:
    """Insert or replace by id.

    A camera whose tier, department, area or zone changes leaves its old membership at ``now`` and enters the
    new one; one that is retired (``retired_ms`` is set) leaves, one that is back enters.
    """
    wanted = {item.id: item for item in cameras}
    stored = get_cameras(connection, wanted)
    added = tuple(item for item in wanted.values() if item.id not in stored)
    changed = tuple((stored[key], item) for key, item in wanted.items() if stored.get(key, item) != item)
    after = [item for _, item in changed]
    released = [old.id for old, new in changed if old.code is not None and old.code != new.code]
    for chunk in chunks(released):  # first, so that two cameras can swap their codes
        connection.execute(update(camera).where(camera.c.id.in_(chunk)).values(code=None))
    if changed:
        values: dict[str, Any] = {name: bindparam(name) for name in (*_COLUMNS, "changed_ms")}
        connection.execute(
            update(camera).where(camera.c.id == bindparam("key")).values(values),
            [_row(item) | {"changed_ms": now, "key": item.id} for item in after],
        )
    if added:
        connection.execute(
            insert(camera),
            [_row(item) | {"id": item.id, "created_ms": now, "changed_ms": now} for item in added],
        )
    restreamed = [new for old, new in changed if old.streams != new.streams]
    for chunk in chunks([item.id for item in restreamed]):
        connection.execute(delete(stream).where(stream.c.camera_id.in_(chunk)))
    if rows := [_stream_row(item.id, s) for item in (*added, *restreamed) for s in item.streams]:
        connection.execute(insert(stream), rows)
    moved = [new for old, new in changed if _place(old) != _place(new)]
    if moved or added:
        mark_stale(connection, now)  # told late, it changes days that were added up
    _leave(connection, [item.id for item in moved], now)
    _enter(connection, [item for item in (*added, *moved) if item.retired_ms is None], now)
    return Put(added, changed)


def memberships(connection: Connection, camera_id: str) -> list[dict[str, Any]]:
    """Where the camera counted, oldest first: the columns of ``membership`` by name."""
    query = select(membership).where(membership.c.camera_id == camera_id).order_by(membership.c.started_ms)
    return [dict(row) for row in connection.execute(query).mappings()]


def _filtered(query: Select[Any], where: CameraFilter) -> Select[Any]:
    for column, value in (
        (camera.c.tier, where.tier),
        (camera.c.department, where.department),
        (camera.c.zone, where.zone),
        (camera.c.device, where.device),
        (camera.c.origin, where.origin),
    ):
        if value is not None:
            query = query.where(column == str(value))
    if where.areas is not None:
        query = query.where(camera.c.area.in_(where.areas))
    if where.text:
        query = query.where(
            or_(
                *(
                    c.icontains(where.text, autoescape=True)
                    for c in (camera.c.id, camera.c.name, camera.c.code)
                )
            )
        )
    if not where.include_retired:
        query = query.where(camera.c.retired_ms.is_(None))
    return query


def _cameras(connection: Connection, rows: Sequence[Any]) -> list[Camera]:
    """With their streams: of a few by their ids, of many by reading the table through."""
    query = select(stream).order_by(stream.c.camera_id, stream.c.role)  # "main" sorts before "sub"
    streams: dict[str, list[Stream]] = {row[0]: [] for row in rows}
    if len(rows) <= CHUNK:
        query = query.where(stream.c.camera_id.in_(list(streams)))
    for camera_id, role, url, codec, width, height, fps, profile in connection.execute(query):
        if (of := streams.get(camera_id)) is not None:
            of.append(
                Stream(
                    role=_ROLES[role],
                    url=url,
                    codec=codec,
                    width=width,
                    height=height,
                    fps=fps,
                    profile=profile,
                )
            )
    return [
        Camera(
            id=key,
            name=name,
            tier=_TIERS[tier],
            department=department,
            area=area,
            zone=zone,
            streams=tuple(streams[key]),
            origin=_ORIGINS[origin],
            code=code,
            device=device,
            channel=channel,
            snapshot_url=snapshot_url,
            credential=credential,
            transport=_TRANSPORTS[transport],
            liveness_s=liveness_s,
            quality_s=quality_s,
            maintenance=maintenance,
            tags=() if tags == "[]" else tuple(json.loads(tags)),
            retired_ms=retired_ms,
        )
        for (
            key,
            name,
            tier,
            department,
            area,
            zone,
            origin,
            code,
            device,
            channel,
            snapshot_url,
            credential,
            transport,
            liveness_s,
            quality_s,
            maintenance,
            tags,
            retired_ms,
        ) in rows
    ]


def _row(item: Camera) -> dict[str, Any]:
    row = {name: getattr(item, name) for name in _COLUMNS}
    row["tier"], row["origin"], row["transport"] = item.tier.value, item.origin.value, item.transport.value
    row["tags"] = list(item.tags)
    return row


def _stream_row(camera_id: str, item: Stream) -> dict[str, Any]:
    return {
        "camera_id": camera_id,
        "role": item.role.value,
        "url": item.url,
        "codec": item.codec,
        "width": item.width,
        "height": item.height,
        "fps": item.fps,
        "profile": item.profile,
    }


def _place(item: Camera) -> tuple[object, ...]:
    """Where the camera counts; retired: nowhere."""
    return () if item.retired_ms is not None else (item.tier, item.department, item.area, item.zone)


def _leave(connection: Connection, ids: Sequence[str], now: Ms) -> None:
    """End the open memberships. One that began only now never was."""
    for chunk in chunks(ids):
        open_rows = (membership.c.camera_id.in_(chunk), membership.c.ended_ms.is_(None))
        connection.execute(delete(membership).where(*open_rows, membership.c.started_ms >= now))
        connection.execute(update(membership).where(*open_rows).values(ended_ms=now))


def _enter(connection: Connection, cameras: Sequence[Camera], now: Ms) -> None:
    """Begin memberships, not before the last one ended, even if the clock was set back meanwhile."""
    ended: dict[str, int] = {}
    for chunk in chunks([item.id for item in cameras]):
        query = select(membership.c.camera_id, func.max(membership.c.ended_ms))
        rows = connection.execute(
            query.where(membership.c.camera_id.in_(chunk)).group_by(membership.c.camera_id)
        )
        ended |= {row[0]: row[1] for row in rows}
    if cameras:
        connection.execute(
            insert(membership),
            [
                {
                    "camera_id": item.id,
                    "started_ms": max(now, ended.get(item.id, now)),
                    "tier": item.tier.value,
                    "department": item.department,
                    "area": item.area,
                    "zone": item.zone,
                }
                for item in cameras
            ],
        )
