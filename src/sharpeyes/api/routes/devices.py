"""What devices tell besides their streams: their clocks, and what cameras report of their own scenes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection

from sharpeyes.api.auth import ADDRESSES, AnyCaller
from sharpeyes.api.context import Rooms
from sharpeyes.api.routes.cameras import CameraId
from sharpeyes.api.schemas import ClockShape, ReportShape, Shape
from sharpeyes.domain.camera import Camera
from sharpeyes.domain.clock import ClockState
from sharpeyes.domain.reports import CameraReport, EventsStatus
from sharpeyes.store.camera_reports import list_reports
from sharpeyes.store.cameras import get_camera, list_cameras

router = APIRouter(prefix="/api/v1", tags=["devices"])


class CameraReports(Shape):
    status: Annotated[
        EventsStatus | None, Field(description="How it stands with the device's events; null: not asked.")
    ]
    detail: str | None
    current: Annotated[
        tuple[ReportShape, ...], Field(description="What holds now: evidence beside our own looks.")
    ]
    items: Annotated[tuple[ReportShape, ...], Field(description="The last ones, newest first.")]


class CameraClock(Shape):
    camera: str
    clock: ClockShape


class ClockPage(Shape):
    suspected_s: Annotated[
        float | None,
        Field(description="By how much our own clock seems to be off; null while nothing says so."),
    ]
    synchronised: Annotated[
        bool | None, Field(description="Whether the kernel says that our clock is kept in step.")
    ]
    counts: Annotated[dict[str, int], Field(description="Devices by state.")]
    items: Annotated[
        tuple[CameraClock, ...], Field(description="Cameras whose clock is in one of the states asked for.")
    ]
    total: int


@router.get("/cameras/{camera_id}/clock")
async def clock(rooms: Rooms, caller: AnyCaller, camera_id: CameraId) -> ClockShape | None:
    """The clock of the camera's device; null if it has none that can be asked."""
    camera = await rooms.database.aread(lambda connection: get_camera(connection, camera_id))
    found = rooms.devices.clocks.of(camera.device) if rooms.devices is not None else None
    return None if found is None else ClockShape.of(found, addresses=caller.may(ADDRESSES))


@router.get("/cameras/{camera_id}/reports")
async def reports(
    rooms: Rooms, caller: AnyCaller, camera_id: CameraId, limit: Annotated[int, Query(ge=1, le=100)] = 50
) -> CameraReports:
    """What the camera reported of its own picture: covered, turned, blurred, dark, bright, without signal.

    Such a report makes us look sooner and counts as one of the confirmations of a fault; alone it raises
    none.
    """
    now = rooms.clock()

    def read(connection: Connection) -> tuple[Camera, list[CameraReport]]:
        return get_camera(connection, camera_id), list_reports(connection, camera_id, now=now, limit=limit)

    if rooms.devices is not None:
        await rooms.devices.events.flush()
    camera, found = await rooms.database.aread(read)
    events = rooms.devices.events if rooms.devices is not None else None
    known = events.status(camera.device) if events is not None else None
    return CameraReports(
        status=None if known is None else known.status,
        detail=known.detail if known is not None and caller.may(ADDRESSES) else None,
        current=tuple(map(ReportShape.of, events.current(camera_id))) if events is not None else (),
        items=tuple(map(ReportShape.of, found)),
    )


@router.get("/clocks")
async def clocks(
    rooms: Rooms,
    caller: AnyCaller,
    state: Annotated[list[ClockState], Query(description="Which cameras to list.")] = [  # noqa: B006
        ClockState.WARN,
        ClockState.FAIL,
    ],
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
) -> ClockPage:
    """How the clocks of devices stand, and whether our own is to be trusted."""
    if rooms.devices is None:
        return ClockPage(suspected_s=None, synchronised=None, counts={}, items=(), total=0)
    room, addresses = rooms.devices.clocks, caller.may(ADDRESSES)
    counts = dict.fromkeys((each.value for each in ClockState), 0)
    for (_, each), number in room.tally().by_state.items():
        counts[each.value] += number
    cameras = await rooms.database.aread(list_cameras)
    found = [
        (camera.id, stands)
        for camera in cameras
        if (stands := room.of(camera.device)) is not None and stands.state in state
    ]
    return ClockPage(
        suspected_s=None if room.suspected_ms is None else room.suspected_ms / 1000,
        synchronised=room.own.synchronised,
        counts=counts,
        items=tuple(
            CameraClock(camera=camera, clock=ClockShape.of(stands, addresses=addresses))
            for camera, stands in found[:limit]
        ),
        total=len(found),
    )
