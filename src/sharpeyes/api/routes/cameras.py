"""Cameras: which there are, how each one stands, and what its last probe saw."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query
from sqlalchemy import Connection

from sharpeyes.api.auth import ADDRESSES, Admin, AnyCaller, Operator
from sharpeyes.api.context import Rooms
from sharpeyes.api.schemas import CameraChange, CameraDetail, CameraPage, CameraShape, ProbeShape
from sharpeyes.domain.camera import Camera, Origin
from sharpeyes.domain.errors import ConflictError
from sharpeyes.domain.health import State
from sharpeyes.domain.organisation import Tier
from sharpeyes.store.cameras import CameraFilter, get_camera, list_cameras, put_cameras
from sharpeyes.store.events import Event, record
from sharpeyes.store.organisation import list_areas, subtree

router = APIRouter(prefix="/api/v1/cameras", tags=["cameras"])

CameraId = Annotated[str, Path(max_length=64)]


@router.get("")
async def list_all(
    rooms: Rooms,
    caller: AnyCaller,
    tier: Tier | None = None,
    department: Annotated[str | None, Query(max_length=64)] = None,
    area: Annotated[str | None, Query(max_length=64, description="This area and all below it.")] = None,
    zone: Annotated[str | None, Query(max_length=64)] = None,
    state: State | None = None,
    q: Annotated[
        str | None, Query(max_length=200, description="Part of the id, the name or the code.")
    ] = None,
    after: Annotated[str | None, Query(max_length=64, description="'next' of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=5000)] = 100,
) -> CameraPage:
    """Cameras in the order of their ids, a page at a time."""

    def read(connection: Connection) -> list[Camera]:
        areas = None if area is None else subtree(list_areas(connection, include_retired=True), area)
        where = CameraFilter(tier=tier, department=department, areas=areas, zone=zone, text=q)
        return list_cameras(connection, where)

    found = await rooms.database.aread(read)
    entries = {camera.id: rooms.board.get(camera.id) for camera in found}
    if state is not None:
        found = [c for c in found if (entry := entries[c.id]) is not None and entry.standing.state is state]
    total = len(found)
    if after is not None:
        found = [camera for camera in found if camera.id > after]
    page = found[:limit]
    return CameraPage(
        items=tuple(
            CameraShape.of(camera, entries[camera.id], addresses=caller.may(ADDRESSES)) for camera in page
        ),
        total=total,
        next=page[-1].id if len(found) > limit else None,
    )


@router.get("/{camera_id}")
async def one(rooms: Rooms, caller: AnyCaller, camera_id: CameraId) -> CameraDetail:
    """One camera, a retired one included, with its last probe."""
    camera = await rooms.database.aread(lambda connection: get_camera(connection, camera_id))
    entry = rooms.board.get(camera_id)
    addresses = caller.may(ADDRESSES)
    probe = ProbeShape.of(entry.probe, addresses=addresses) if entry and entry.probe else None
    return CameraDetail(**dict(CameraShape.of(camera, entry, addresses=addresses)), last_probe=probe)


@router.patch("/{camera_id}", dependencies=[Admin])
async def change(rooms: Rooms, camera_id: CameraId, wanted: CameraChange) -> CameraShape:
    """Declare a camera out of service, or back in service. One from cameras.yaml is changed there."""
    now = rooms.clock()

    def write(connection: Connection) -> Camera:
        camera = get_camera(connection, camera_id)
        if wanted.maintenance is None or wanted.maintenance == camera.maintenance:
            return camera
        if camera.origin is Origin.CONFIG:
            raise ConflictError(
                f"{camera_id} is declared in cameras.yaml, which would undo this at the next start",
                mend=f"Write 'maintenance: {str(wanted.maintenance).lower()}' there and restart",
            )
        changed = replace(camera, maintenance=wanted.maintenance)
        put_cameras(connection, [changed], now=now)
        message = "declared out of service" if changed.maintenance else "declared in service"
        record(connection, [Event(at=now, kind="maintenance", subject=camera_id, message=message)])
        return changed

    camera = await rooms.database.awrite(write)
    await rooms.reload()
    return CameraShape.of(camera, rooms.board.get(camera_id))


@router.post("/{camera_id}/probe", dependencies=[Operator])
async def probe_now(
    rooms: Rooms,
    caller: AnyCaller,
    camera_id: CameraId,
    retry_login: Annotated[
        bool, Query(description="Try refused credentials once more: somebody has mended the account.")
    ] = False,
) -> ProbeShape:
    """Check the camera now, within the limits of its device, and answer what was found.

    The result counts like any other probe.
    """
    await rooms.database.aread(lambda connection: get_camera(connection, camera_id))
    found = await rooms.fleet.check(camera_id, retry_login=retry_login)
    return ProbeShape.of(found, addresses=caller.may(ADDRESSES))
