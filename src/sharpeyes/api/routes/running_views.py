"""Views that run now: who watches what, by which right; and the end of one."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Self

from fastapi import APIRouter, Path
from pydantic import Field
from sqlalchemy import Connection

from sharpeyes.access.visible import may_end_view, may_read_view
from sharpeyes.api import auth
from sharpeyes.api.access_shapes import Reasoned
from sharpeyes.api.auth import Caller, Person
from sharpeyes.api.context import Context, Rooms
from sharpeyes.api.routes.views import Doors
from sharpeyes.api.schemas import Instant, Shape
from sharpeyes.domain.errors import ForbiddenError, NotFoundError
from sharpeyes.domain.time import iso
from sharpeyes.gateway.doors import ViewGateway
from sharpeyes.gateway.leases import RunningView
from sharpeyes.store.rules import get_target

router = APIRouter(prefix="/api/v1/views/running", tags=["views"])


class RunningViewShape(Shape):
    view: Annotated[str, Field(description="Its id in the register.")]
    user: str
    name: str
    unit: Annotated[str, Field(description="The viewer's department.")]
    camera: str
    owner: Annotated[str, Field(description="The camera's department.")]
    grant: Annotated[str | None, Field(description="Null: an operator's right on the own cameras.")]
    path: Annotated[str, Field(description="webrtc, fmp4 or hls.")]
    since: Instant
    until: Annotated[Instant | None, Field(description="When the right ends or must be looked at again.")]
    sent_bytes: int
    may_end: Annotated[bool, Field(description="Whether the caller may end it.")]

    @classmethod
    def of(cls, view: RunningView, owner: str, caller: Caller) -> Self:
        return cls(
            view=view.view,
            user=view.user,
            name=view.name,
            unit=view.unit,
            camera=view.camera,
            owner=owner,
            grant=view.grant,
            path=view.path,
            since=iso(view.since),
            until=None if view.until is None else iso(view.until),
            sent_bytes=view.sent_bytes,
            may_end=may_end_view(caller.person, view.user, owner),
        )


async def _owned(rooms: Context, gateway: ViewGateway) -> list[tuple[RunningView, str]]:
    """All that run, each with the department that owns its camera."""
    views = gateway.running()

    def read(connection: Connection) -> dict[str, str]:
        owners = {}
        for camera in {view.camera for view in views}:
            with suppress(NotFoundError):  # gone this moment: its views end by themselves
                owners[camera] = get_target(connection, camera).owner
        return owners

    owners = await rooms.database.aread(read)
    return [(view, owners[view.camera]) for view in views if view.camera in owners]


@router.get("")
async def running(rooms: Rooms, doors: Doors, caller: Person) -> tuple[RunningViewShape, ...]:
    """Views that run now, oldest first: all for administrators and auditors; for operators and approvers
    those of their department's cameras; for everybody their own."""
    found = await _owned(rooms, doors.gateway)
    return tuple(
        RunningViewShape.of(view, owner, caller)
        for view, owner in found
        if may_read_view(caller.person, view.user, owner)
    )


@router.delete("/{view}", status_code=204)
async def end(
    rooms: Rooms, doors: Doors, caller: Person, view: Annotated[str, Path(max_length=64)], form: Reasoned
) -> None:
    """End a view: its picture stops before the answer, and the register has who ended it and why. The right
    stays, so it can be opened anew; to take that away, revoke the grant."""
    for found, owner in await _owned(rooms, doors.gateway):
        if found.view == view and may_read_view(caller.person, found.user, owner):
            async with auth.refusals(rooms, caller, "end_view", view):
                if not may_end_view(caller.person, found.user, owner):
                    raise ForbiddenError(
                        "only administrators, and operators and approvers of the owner, end views",
                        mend="Ask one of them",
                    )
            return doors.gateway.stop_view(view, caller.person, form.reason)
    raise NotFoundError("There is no such view, or it has ended")
