"""Tickets: what the console fetches before each picture, and shows to the gateway."""

from __future__ import annotations

from fastapi import APIRouter, Response, status

from sharpeyes.api.access_shapes import NewViewTicket, ViewTicketShape, WatchableShape, Watermark
from sharpeyes.api.auth import Person
from sharpeyes.api.context import Rooms
from sharpeyes.domain.access import Reason, Refused, RefusedError
from sharpeyes.domain.time import iso

router = APIRouter(prefix="/api/v1", tags=["views"])


@router.get("/watchable")
async def watchable(response: Response, rooms: Rooms, caller: Person) -> WatchableShape:
    """Which cameras the caller could watch live at this moment, and why not the others: to offer what can be
    had. It asks for nothing, so it is not registered; the answer that counts is given to a ticket."""
    response.headers["Cache-Control"] = "no-store"
    may: dict[str, str | None] = {}
    refused: dict[Reason, list[str]] = {}
    for camera, answer in (await rooms.access.desk.watchable(caller.person.id)).items():
        if isinstance(answer, Refused):
            refused.setdefault(answer.reason, []).append(camera)
        else:
            may[camera] = answer.grant
    return WatchableShape(may=may, refused={reason: tuple(found) for reason, found in refused.items()})


@router.post("/view-tickets", status_code=status.HTTP_201_CREATED)
async def issue(response: Response, rooms: Rooms, caller: Person, form: NewViewTicket) -> ViewTicketShape:
    """A ticket for one picture: at most a minute old, for this client's address, once.

    403 with the `reason` (`expired`, `schedule`, `revoked`, `other_user`, ...) if this user may not see this
    camera now; `until` says when to try again, if time alone may change the answer. A refusal is in the
    register, in the same words.
    """
    person, now = caller.person, rooms.clock()
    answer = await rooms.access.desk.check(
        person.id, form.camera, form.action, form.grant, address=caller.address
    )
    if isinstance(answer, Refused):
        raise RefusedError(answer)
    ticket, text = rooms.access.office.issue(
        user=person.id,
        department=person.department,
        camera=form.camera,
        action=form.action,
        grant=answer.grant,
        client=caller.address,
        now=now,
        session=caller.session.id if caller.session else "",
    )
    response.headers["Cache-Control"] = "no-store"
    return ViewTicketShape(
        ticket=text.reveal(),
        expires=iso(ticket.expires),
        camera=ticket.camera,
        action=ticket.action,
        basis=answer.basis,
        grant=answer.grant,
        until=None if answer.until is None else iso(answer.until),
        watermark=Watermark(
            name=person.name, unit=person.department, grant=answer.grant, burned_in=answer.watermark
        ),
    )
