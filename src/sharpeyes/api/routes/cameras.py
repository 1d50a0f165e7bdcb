"""Cameras: which there are, how each one stands, and what its last probe saw."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field
from sqlalchemy import Connection

from sharpeyes.api.auth import ADDRESSES, AnyCaller, ManagingCaller, Operator
from sharpeyes.api.context import Context, Rooms
from sharpeyes.api.packed import plain_json
from sharpeyes.api.schemas import (
    Body,
    CameraDetail,
    CameraPage,
    CameraShape,
    CertificateShape,
    ClockShape,
    ProbeShape,
    ReportShape,
    Shape,
)
from sharpeyes.domain.camera import Camera
from sharpeyes.domain.errors import ConflictError
from sharpeyes.domain.health import State
from sharpeyes.domain.organisation import Tier
from sharpeyes.health.target import host_of
from sharpeyes.registry.edit import Edit, Edited, edit
from sharpeyes.registry.trust import Trust
from sharpeyes.store.cameras import (
    CameraFilter,
    count_cameras,
    get_camera,
    get_cameras,
    list_cameras,
    list_ids,
)
from sharpeyes.store.organisation import list_areas, subtree

router = APIRouter(prefix="/api/v1/cameras", tags=["cameras"])

CameraId = Annotated[str, Path(max_length=64)]
UNFILED = (
    "put to use without filing number, filing date or sign, which Order 799 (articles 13, 14) wants: "
    "complete its dossier"
)
Tags = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], Field(max_length=50)]
Cadence = Annotated[float | None, Field(ge=0, le=86_400, description="Seconds; 0: the tier's.")]


class EditFields(Body):
    """What to set; what is left out stays."""

    tier: Tier | None = None
    department: Annotated[str | None, Field(max_length=64)] = None
    area: Annotated[str | None, Field(max_length=64)] = None
    maintenance: Annotated[
        bool | None, Field(description="Declared out of service by its owner: not obliged to deliver.")
    ] = None
    liveness_s: Cadence = None
    quality_s: Cadence = None


class CameraChange(EditFields):
    """What may be set of one camera."""

    name: Annotated[str | None, Field(min_length=1, max_length=200, pattern=r"\S")] = None
    tags: Annotated[Tags | None, Field(description="All of them.")] = None


class ManyChange(EditFields):
    """What may be set of many cameras."""

    add_tags: Tags = ()
    remove_tags: Tags = ()


class BulkEdit(Body):
    cameras: Annotated[
        tuple[Annotated[str, Field(max_length=64)], ...], Field(min_length=1, max_length=100_000)
    ]
    set: ManyChange
    dry_run: bool = True


class RefusedCamera(Shape):
    camera: str
    reason: str


class BulkEdited(Shape):
    dry_run: bool
    changed: int
    fields: Annotated[dict[str, int], Field(description="Field -> cameras in which it changes.")]
    unchanged: int
    refused: Annotated[tuple[RefusedCamera, ...], Field(description="At most 1000.")]
    refused_count: int
    unfiled: Annotated[int, Field(description="Put to use without filing or sign (Order 799).")]


class ChangedCamera(CameraShape):
    warnings: tuple[str, ...]


@router.get("", response_model=CameraPage)
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
) -> Response:
    """Cameras in the order of their ids, a page at a time."""

    board, addresses = rooms.board, caller.may(ADDRESSES)

    def answer(connection: Connection) -> Response:
        """In the reader's thread to the last byte."""
        areas = None if area is None else subtree(list_areas(connection, include_retired=True), area)
        where = CameraFilter(tier=tier, department=department, areas=areas, zone=zone, text=q)
        if state is None:
            total = count_cameras(connection, where)
            cameras = list_cameras(connection, where, after=after, limit=limit + 1)
        else:
            found = [
                key
                for key in list_ids(connection, where)
                if (one := board.get(key)) is not None and one.standing.state is state
            ]
            total = len(found)
            rest = found if after is None else found[bisect_right(found, after) :]
            known = get_cameras(connection, rest[: limit + 1])
            cameras = [known[key] for key in rest[: limit + 1]]
        page = cameras[:limit]
        return plain_json(
            CameraPage.model_construct(
                items=tuple(CameraShape.of(one, board.get(one.id), addresses=addresses) for one in page),
                total=total,
                next=page[-1].id if len(cameras) > limit else None,
            )
        )

    return await rooms.database.aread(answer)


@router.get("/{camera_id}")
async def one(rooms: Rooms, caller: AnyCaller, camera_id: CameraId) -> CameraDetail:
    """One camera, a retired one included, with its last probe."""
    camera = await rooms.database.aread(lambda connection: get_camera(connection, camera_id))
    entry = rooms.board.get(camera_id)
    addresses = caller.may(ADDRESSES)
    probe = ProbeShape.of(entry.probe, addresses=addresses) if entry and entry.probe else None
    devices = rooms.devices
    clock = None if devices is None else devices.clocks.of(camera.device)
    return CameraDetail(
        **dict(CameraShape.of(camera, entry, addresses=addresses)),
        last_probe=probe,
        certificate=_certificate(rooms, camera) if addresses else None,
        clock=None if clock is None else ClockShape.of(clock, addresses=addresses),
        reports=() if devices is None else tuple(map(ReportShape.of, devices.events.current(camera_id))),
    )


def _certificate(rooms: Context, camera: Camera) -> CertificateShape | None:
    url = next((one.url for one in camera.streams if one.url.lower().startswith("rtsps:")), None)
    if url is None:
        return None
    trust = Trust(cameras=rooms.configured.declared.tls, networks=rooms.enrolment.networks)
    return CertificateShape.of(trust.of(host_of(url), camera))


@router.patch("/{camera_id}")
async def change(
    rooms: Rooms, caller: ManagingCaller, camera_id: CameraId, wanted: CameraChange
) -> ChangedCamera:
    """Set fields of a camera, such as that it is out of service. One from cameras.yaml is changed there."""
    now, by = rooms.clock(), caller.name

    def write(connection: Connection) -> tuple[Camera, Edited]:
        before = get_camera(connection, camera_id)
        given = wanted.model_dump(exclude={"tags"})
        if wanted.tags is not None:
            given |= {"add_tags": wanted.tags, "remove_tags": tuple(set(before.tags) - set(wanted.tags))}
        done = edit(connection, [camera_id], Edit(**given), by=by, now=now)
        if (reason := done.refused.get(camera_id)) is not None:
            raise ConflictError(f"{camera_id} {reason}")
        return get_camera(connection, camera_id), done

    camera, done = await rooms.database.awrite(write)
    await rooms.reload()
    shape = CameraShape.of(camera, rooms.board.get(camera_id))
    return ChangedCamera(**dict(shape), warnings=(UNFILED,) if done.unfiled else ())


@router.post("/edit")
async def edit_many(rooms: Rooms, caller: ManagingCaller, wanted: BulkEdit) -> BulkEdited:
    """Set fields of many cameras at once; with `dry_run` only say what would change. Those from cameras.yaml
    are refused, each with its reason, while the others are changed."""
    done = await rooms.database.awrite(
        partial(
            edit,
            ids=wanted.cameras,
            wanted=Edit(**wanted.set.model_dump()),
            by=caller.name,
            now=rooms.clock(),
            dry_run=wanted.dry_run,
        )
    )
    if not wanted.dry_run:
        await rooms.reload()
    return BulkEdited(
        dry_run=wanted.dry_run,
        changed=len(done.changed),
        fields=dict(Counter(name for names in done.changed.values() for name in names)),
        unchanged=done.unchanged,
        refused=tuple(
            RefusedCamera(camera=key, reason=reason) for key, reason in list(done.refused.items())[:1000]
        ),
        refused_count=len(done.refused),
        unfiled=len(done.unfiled),
    )


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
