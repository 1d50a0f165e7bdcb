"""What a tier's cameras demand of those who want to watch them, and where a camera stands."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from sqlalchemy import Connection

from sharpeyes.api.access_shapes import MasksBody, MaskShape, PlaceShape, PolicyBody, PolicyShape
from sharpeyes.api.auth import PeopleManager, Person
from sharpeyes.api.context import Rooms
from sharpeyes.domain.masks import Mask
from sharpeyes.domain.organisation import Tier
from sharpeyes.store.rules import get_masks, get_target

router = APIRouter(prefix="/api/v1", tags=["views"])

CameraId = Annotated[str, Path(max_length=64)]


@router.get("/view-policies")
async def policies(rooms: Rooms, caller: Person) -> tuple[PolicyShape, ...]:  # noqa: ARG001
    """The rules of every tier, as they stand now."""
    rules = await rooms.database.aread(rooms.access.desk.rules)
    return tuple(PolicyShape.of(rules.tiers[tier]) for tier in Tier)


@router.get("/view-policies/{tier}")
async def policy(rooms: Rooms, caller: Person, tier: Tier) -> PolicyShape:  # noqa: ARG001
    """The rules of one tier."""
    rules = await rooms.database.aread(rooms.access.desk.rules)
    return PolicyShape.of(rules.tiers[tier])


@router.put("/view-policies/{tier}")
async def set_policy(rooms: Rooms, caller: PeopleManager, tier: Tier, form: PolicyBody) -> PolicyShape:
    """Other rules for a tier. What changed goes into the register; pictures that run are judged again."""
    wanted = form.policy(tier)
    await rooms.access.desk.set_policy(caller.person.id, wanted, version=form.version)
    return PolicyShape.of(wanted)


@router.get("/cameras/{camera_id}/place")
async def place(rooms: Rooms, caller: Person, camera_id: CameraId) -> PlaceShape:  # noqa: ARG001
    """The kind of place where a camera stands."""
    target = await rooms.database.aread(lambda connection: get_target(connection, camera_id))
    return PlaceShape(place=target.place)


@router.put("/cameras/{camera_id}/place")
async def set_place(rooms: Rooms, caller: PeopleManager, camera_id: CameraId, form: PlaceShape) -> PlaceShape:
    """Say in what kind of place a camera stands. Where the law forbids cameras, nobody watches from then on,
    whatever was granted."""
    await rooms.access.desk.set_place(caller.person.id, camera_id, form.place)
    return form


@router.get("/cameras/{camera_id}/masks")
async def masks(rooms: Rooms, caller: Person, camera_id: CameraId) -> MasksBody:  # noqa: ARG001
    """What is painted over in this camera's picture."""

    def read(connection: Connection) -> tuple[Mask, ...]:
        get_target(connection, camera_id)
        return get_masks(connection, camera_id)

    return MasksBody(masks=[MaskShape.of(mask) for mask in await rooms.database.aread(read)])


@router.put("/cameras/{camera_id}/masks")
async def set_masks(rooms: Rooms, caller: PeopleManager, camera_id: CameraId, form: MasksBody) -> MasksBody:
    """Paint these over from now on, on the server, for every viewer and every way to watch. Both the masks
    before and these go into the register; pictures that run without them end and must be asked for anew."""
    wanted = tuple(shape.mask() for shape in form.masks)
    await rooms.access.desk.set_masks(caller.person.id, camera_id, wanted)
    return MasksBody(masks=[MaskShape.of(mask) for mask in wanted])
