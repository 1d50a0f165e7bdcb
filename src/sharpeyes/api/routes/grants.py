"""Grants: leases on one owner's cameras, extended, narrowed and revoked; and emergency overrides."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, status
from sqlalchemy import Connection

from sharpeyes.access.visible import may_read_grant, may_read_override
from sharpeyes.api.access_shapes import (
    Extension,
    GrantPage,
    GrantShape,
    Narrowing,
    NewOverride,
    NewReview,
    Overridden,
    OverrideShape,
    Reasoned,
)
from sharpeyes.api.auth import Person
from sharpeyes.api.context import Rooms
from sharpeyes.domain.access import Grant
from sharpeyes.domain.errors import NotFoundError
from sharpeyes.domain.time import from_datetime
from sharpeyes.store.grants import get_grant, list_grants, list_overrides

router = APIRouter(prefix="/api/v1", tags=["views"])

GrantId = Annotated[str, Path(max_length=64)]
SCANNED = 500
"""Grants read at a time while those that this person may read are looked for."""


@router.get("/grants")
async def grants(
    rooms: Rooms,
    caller: Person,
    mine: Annotated[bool, Query(description="Only those that name oneself as a user.")] = False,
    running: Annotated[bool, Query(description="Only those that have not ended.")] = False,
    before: Annotated[str | None, Query(max_length=64, description="'next' of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> GrantPage:
    """Grants that one's own department was given and, for approvers, those on its cameras; newest first."""
    person, now = caller.person, rooms.clock()

    def read(connection: Connection) -> list[Grant]:
        last = None if before is None else get_grant(connection, before)
        found: list[Grant] = []
        while len(found) <= limit:
            rows = list_grants(
                connection,
                user_id=person.id if mine else None,
                running_at=now if running else None,
                before=last,
                limit=SCANNED,
            )
            found += (grant for grant in rows if may_read_grant(person, grant))
            if len(rows) < SCANNED:
                break
            last = rows[-1]
        return found

    found = await rooms.database.aread(read)
    page = found[:limit]
    return GrantPage(
        items=tuple(GrantShape.of(grant, now) for grant in page),
        next=page[-1].id if len(found) > limit else None,
    )


@router.get("/grants/{grant_id}")
async def grant(rooms: Rooms, caller: Person, grant_id: GrantId) -> GrantShape:
    """One grant."""
    found = await rooms.database.aread(lambda connection: get_grant(connection, grant_id))
    if not may_read_grant(caller.person, found):
        raise NotFoundError(f"there is no grant {grant_id!r}")
    return GrantShape.of(found, rooms.clock())


@router.post("/grants/{grant_id}/extend")
async def extend(rooms: Rooms, caller: Person, grant_id: GrantId, form: Extension) -> GrantShape:
    """A later end, by an approver of the owner, within the longest life that policy allows."""
    changed = await rooms.access.desk.extend(caller.person.id, grant_id, from_datetime(form.end))
    return GrantShape.of(changed, rooms.clock())


@router.post("/grants/{grant_id}/narrow")
async def narrow(rooms: Rooms, caller: Person, grant_id: GrantId, form: Narrowing) -> GrantShape:
    """Fewer cameras, users, actions or hours, or an earlier end. Pictures that are no longer covered stop."""
    changed = await rooms.access.desk.narrow(
        caller.person.id,
        grant_id,
        cameras=form.cameras,
        users=form.users,
        actions=form.actions,
        end=None if form.end is None else from_datetime(form.end),
        schedule=None if form.schedule is None else form.schedule.schedule(),
    )
    return GrantShape.of(changed, rooms.clock())


@router.post("/grants/{grant_id}/revoke")
async def revoke(rooms: Rooms, caller: Person, grant_id: GrantId, form: Reasoned) -> GrantShape:
    """End a grant now; its pictures stop. By its applicant, the owner's approvers or an administrator, and
    an override also by auditors."""
    changed = await rooms.access.desk.revoke(caller.person.id, grant_id, form.reason)
    return GrantShape.of(changed, rooms.clock())


@router.post("/overrides", status_code=status.HTTP_201_CREATED)
async def override(rooms: Rooms, caller: Person, form: NewOverride) -> tuple[Overridden, ...]:
    """Open cameras at once in an emergency, for oneself and for a short time; a grant an owner.

    Auditors see it at once, and another person must review it in time, or it counts against the department.
    """
    opened = await rooms.access.desk.override(
        caller.person.id,
        form.cameras,
        form.actions,
        form.reason,
        life_ms=None if form.life_s is None else form.life_s * 1000,
    )
    now = rooms.clock()
    return tuple(
        Overridden(override=OverrideShape.of(one, now), grant=GrantShape.of(grant, now))
        for one, grant in opened
    )


@router.get("/overrides")
async def overrides(
    rooms: Rooms,
    caller: Person,
    unreviewed: Annotated[bool, Query(description="Only those that wait for a review.")] = False,
) -> tuple[OverrideShape, ...]:
    """The last 1,000 overrides, newest first: all for auditors and administrators, for others those that
    their department used and, for approvers, those of its cameras."""
    found = await rooms.database.aread(
        lambda connection: list_overrides(connection, unreviewed=unreviewed, limit=1000)
    )
    now = rooms.clock()
    return tuple(OverrideShape.of(one, now) for one in found if may_read_override(caller.person, one))


@router.post("/overrides/{grant_id}/review")
async def review(rooms: Rooms, caller: Person, grant_id: GrantId, form: NewReview) -> OverrideShape:
    """Judge an override: an auditor, or an approver of the owner, never whoever used it."""
    reviewed = await rooms.access.desk.review(caller.person.id, grant_id, form.justified, form.reason)
    return OverrideShape.of(reviewed, rooms.clock())
