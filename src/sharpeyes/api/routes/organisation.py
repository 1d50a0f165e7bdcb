"""Tiers, departments, areas and zones, and the journal of what changed in the registry."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from sharpeyes.api.auth import ADDRESSES, AUDIT, MANAGE_PEOPLE, AnyCaller, Reader
from sharpeyes.api.context import Rooms
from sharpeyes.api.schemas import AreaShape, DepartmentShape, EventPage, EventShape, TierShape, ZoneShape
from sharpeyes.store.events import list_events
from sharpeyes.store.organisation import list_areas, list_departments, list_tiers, list_zones

router = APIRouter(prefix="/api/v1", tags=["registry"], dependencies=[Reader])


@router.get("/tiers")
async def tiers(rooms: Rooms) -> tuple[TierShape, ...]:
    """The three tiers, with the online rate that each is held to."""
    return tuple(TierShape.of(policy) for policy in await rooms.database.aread(list_tiers))


@router.get("/departments")
async def departments(rooms: Rooms) -> tuple[DepartmentShape, ...]:
    """Units that own cameras."""
    return tuple(DepartmentShape.of(one) for one in await rooms.database.aread(list_departments))


@router.get("/areas")
async def areas(rooms: Rooms) -> tuple[AreaShape, ...]:
    """The tree of areas, as a list in which each names its parent."""
    return tuple(AreaShape.of(one) for one in await rooms.database.aread(list_areas))


@router.get("/zones")
async def zones(rooms: Rooms) -> tuple[ZoneShape, ...]:
    """Separate networks."""
    return tuple(ZoneShape.of(one) for one in await rooms.database.aread(list_zones))


@router.get("/events")
async def events(
    rooms: Rooms,
    caller: AnyCaller,
    subject: Annotated[str | None, Query(max_length=64, description="Id of a camera or device.")] = None,
    kind: Annotated[str | None, Query(max_length=32)] = None,
    before: Annotated[int | None, Query(ge=1, le=1 << 53, description="'next' of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> EventPage:
    """What changed in the registry, newest first: enrolments, moves, conflicts, declarations. Addresses in
    it are for who may see them; what was done to accounts of people is for administrators and auditors."""
    accounts = caller.may(MANAGE_PEOPLE) or caller.may(AUDIT)
    found = await rooms.database.aread(
        lambda connection: list_events(
            connection, subject=subject, kind=kind, before=before, limit=limit + 1, accounts=accounts
        )
    )
    page = found[:limit]
    return EventPage(
        items=tuple(EventShape.of(event, addresses=caller.may(ADDRESSES)) for event in page),
        next=page[-1].id if len(found) > limit else None,
    )
