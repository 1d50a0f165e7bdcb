"""The working behind a verdict: the last probes of a camera, its stills, and what is normal for it."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy import Connection

from sharpeyes.access import entries
from sharpeyes.api.auth import ADDRESSES, AnyCaller, Caller, OperatorCaller, StillViewer
from sharpeyes.api.context import Rooms
from sharpeyes.api.routes.cameras import CameraId
from sharpeyes.api.schemas import (
    AcceptedView,
    AcceptView,
    PictureShape,
    ProbeRecordPage,
    ProbeRecordShape,
    ReferenceShape,
)
from sharpeyes.domain.access import Action, Refused, RefusedError, Terms
from sharpeyes.domain.errors import UnavailableError
from sharpeyes.domain.masks import Mask
from sharpeyes.gateway.overlay import Mark, mask_still
from sharpeyes.health.diagnose.picture import HEIGHT, WIDTH
from sharpeyes.health.quality import VIEW_FAULTS
from sharpeyes.health.sight import forget
from sharpeyes.store.cameras import get_camera
from sharpeyes.store.events import VIEW_ACCEPTED, Event, record
from sharpeyes.store.evidence import ProbeRecord, list_records
from sharpeyes.store.grants import get_grant
from sharpeyes.store.pictures import StoredReference, list_references
from sharpeyes.store.rules import get_masks

router = APIRouter(prefix="/api/v1/cameras", tags=["pictures"])

StillId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


def _who(caller: Caller) -> str:
    """For people who read the journal; the detail has the id."""
    return caller.name if caller.token is None else f"token '{caller.token.name}'"


@router.get("/{camera_id}/probes")
async def probes(
    rooms: Rooms, caller: AnyCaller, camera_id: CameraId, limit: Annotated[int, Query(ge=1, le=100)] = 50
) -> ProbeRecordPage:
    """How the last probes went, newest first: dialogue, timings, bytes, diagnosis and still.

    Kept are the looks at the picture that found something or were made in full, and failures when they begin
    and every ten minutes while they last; failures for longer than successes. The very last probe is at
    `/cameras/{id}`.
    """
    now, addresses = rooms.clock(), caller.may(ADDRESSES)

    def read(connection: Connection) -> tuple[list[ProbeRecord], list[StoredReference]]:
        get_camera(connection, camera_id)
        return list_records(connection, camera_id, now=now, limit=limit), list_references(
            connection, camera_id
        )

    if rooms.quality is not None and rooms.quality.evidence is not None:
        await rooms.quality.evidence.flush(camera_id)
    records, references = await rooms.database.aread(read)
    entry = rooms.board.get(camera_id)
    return ProbeRecordPage(
        items=tuple(ProbeRecordShape.of(one, addresses=addresses) for one in records),
        picture=None if entry is None or entry.sight is None else PictureShape.of(entry),
        references=tuple(ReferenceShape.of(one) for one in references),
    )


@router.get(
    "/{camera_id}/stills/{still_id}",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}, "description": "A marked-up picture, 640x360."}},
)
async def still(rooms: Rooms, camera_id: CameraId, still_id: StillId, caller: StillViewer) -> Response:
    """A still of a diagnosis, under the camera's privacy masks of today. It is footage: whoever may take a
    snapshot of this camera now sees it, and the register has that they did, or why they did not."""
    if rooms.quality is None or rooms.quality.evidence is None:
        raise UnavailableError("no evidence is kept here")
    person = caller.person
    answer = await rooms.access.desk.check(person.id, camera_id, Action.SNAPSHOT, address=caller.address)
    if isinstance(answer, Refused):
        raise RefusedError(answer)
    kept = await rooms.quality.evidence.read(camera_id, still_id)

    def read(connection: Connection) -> tuple[tuple[Mask, ...], Terms | None]:
        grant = get_grant(connection, answer.grant) if answer.grant else None
        return get_masks(connection, camera_id), grant.terms if grant else None

    masks, terms = await rooms.database.aread(read)
    mark = None
    if answer.watermark:
        mark = Mark(name=person.name, unit=person.department, grant=answer.grant, zone=rooms.access.zone)
    data = await asyncio.to_thread(
        mask_still, kept, masks, mark, shape=(HEIGHT, WIDTH), now_s=rooms.clock() / 1000
    )
    seen = entries.snapshot(
        rooms.clock(),
        person,
        answer,
        camera=camera_id,
        terms=terms,
        address=caller.address,
        size=len(data),
        still=still_id,
    )
    await rooms.access.register.append(seen)  # before it is shown, or not at all
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


@router.post("/{camera_id}/accept-view")
async def accept_view(
    rooms: Rooms, camera_id: CameraId, wanted: AcceptView, caller: OperatorCaller
) -> AcceptedView:
    """What the camera shows now is its normal view from now on: it was turned, moved or mended on purpose.

    What was learnt is void; it is learnt anew from the next pictures, and faults that say "not as usual" are
    dropped meanwhile. For an hour it is learnt from pictures that are a little noisy, soft or tinted, too:
    so they are usual for this camera.
    """
    await rooms.database.aread(lambda connection: get_camera(connection, camera_id))
    if rooms.quality is None:
        raise UnavailableError("pictures are not looked at here")
    before = rooms.fleet.sight(camera_id)
    accepted = Event(
        at=rooms.clock(),
        kind=VIEW_ACCEPTED,
        subject=camera_id,
        message=f"new view accepted by {_who(caller)}" + (f": {wanted.reason}" if wanted.reason else ""),
        detail={"who": caller.name},
    )
    await rooms.quality.accept_view(camera_id, lambda connection: record(connection, [accepted]))
    rooms.fleet.see_anew(camera_id, None if before is None else forget(before, VIEW_FAULTS))
    dropped = () if before is None else tuple(d.kind.value for d in before.defects if d.kind in VIEW_FAULTS)
    return AcceptedView(camera=camera_id, dropped=dropped)
