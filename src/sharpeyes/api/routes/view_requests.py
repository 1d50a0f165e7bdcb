"""Requests for views: asked, decided part by part by whoever owns the cameras."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, status
from sqlalchemy import Connection

from sharpeyes.access.desk import Form
from sharpeyes.access.visible import READS_ALL, may_read_request
from sharpeyes.api.access_shapes import (
    Approval,
    Approved,
    GrantShape,
    NewRequest,
    Rejection,
    RequestPage,
    RequestShape,
)
from sharpeyes.api.auth import Person
from sharpeyes.api.context import Rooms
from sharpeyes.domain.access import Request, Role, Selection, Stage
from sharpeyes.domain.errors import NotFoundError
from sharpeyes.domain.time import from_datetime
from sharpeyes.store.grants import get_request, list_requests

router = APIRouter(prefix="/api/v1/view-requests", tags=["views"])

RequestId = Annotated[str, Path(max_length=64)]
SCANNED = 500
"""Requests read at a time while those that this person may read are looked for."""


@router.post("", status_code=status.HTTP_201_CREATED)
async def submit(rooms: Rooms, caller: Person, form: NewRequest) -> RequestShape:
    """Ask for cameras. Each department that owns some of them decides on its part, which becomes a grant."""
    wanted = Form(
        selection=Selection(
            cameras=frozenset(form.cameras), areas=frozenset(form.areas), tags=frozenset(form.tags)
        ),
        users=frozenset(form.users or (caller.person.id,)),
        actions=form.actions,
        purpose=form.purpose,
        purpose_text=form.purpose_text,
        case_number=form.case_number,
        start=None if form.start is None else from_datetime(form.start),
        end=None if form.end is None else from_datetime(form.end),
        schedule=None if form.schedule is None else form.schedule.schedule(),
    )
    return RequestShape.of(await rooms.access.desk.submit(caller.person.id, wanted))


@router.get("")
async def list_all(
    rooms: Rooms,
    caller: Person,
    mine: Annotated[bool, Query(description="Only one's own.")] = False,
    to_decide: Annotated[bool, Query(description="Only those that wait for one's own decision.")] = False,
    undecided: bool | None = None,
    before: Annotated[str | None, Query(max_length=64, description="'next' of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> RequestPage:
    """Requests of one's own department and, for approvers, those for its cameras; newest first."""
    person = caller.person
    own_only = not person.roles & (READS_ALL | {Role.APPROVER})

    def wanted(request: Request) -> bool:
        if not may_read_request(person, request):
            return False
        part = request.part(person.department)
        return not to_decide or (
            person.has(Role.APPROVER)
            and part is not None
            and part.stage is Stage.SUBMITTED
            and person.id != request.applicant
            and person.id not in request.terms.users
            and all(vote.by != person.id for vote in part.approvals)
        )

    def read(connection: Connection) -> list[Request]:
        last = None if before is None else get_request(connection, before)
        found: list[Request] = []
        while len(found) <= limit:
            rows = list_requests(
                connection,
                department=person.department if own_only else None,
                applicant=person.id if mine else None,
                undecided=True if to_decide else undecided,
                before=last,
                limit=SCANNED,
            )
            found += filter(wanted, rows)
            if len(rows) < SCANNED:
                break
            last = rows[-1]
        return found

    found = await rooms.database.aread(read)
    page = found[:limit]
    return RequestPage(
        items=tuple(RequestShape.of(request) for request in page),
        next=page[-1].id if len(found) > limit else None,
    )


@router.get("/{request_id}")
async def one(rooms: Rooms, caller: Person, request_id: RequestId) -> RequestShape:
    """One request, with where each part stands."""
    request = await rooms.database.aread(lambda connection: get_request(connection, request_id))
    if not may_read_request(caller.person, request):
        raise NotFoundError(f"there is no request {request_id!r}")
    return RequestShape.of(request)


@router.post("/{request_id}/approve")
async def approve(rooms: Rooms, caller: Person, request_id: RequestId, form: Approval) -> Approved:
    """Say yes to one owner's part: as its approver, never as the applicant or as a user named. Some tiers
    take two people. The last yes makes the grant."""
    owner = form.owner or caller.person.department
    request, grant = await rooms.access.desk.approve(caller.person.id, request_id, owner, form.reason)
    return Approved(
        request=RequestShape.of(request),
        grant=None if grant is None else GrantShape.of(grant, rooms.clock()),
    )


@router.post("/{request_id}/reject")
async def reject(rooms: Rooms, caller: Person, request_id: RequestId, form: Rejection) -> RequestShape:
    """Say no to one owner's part, with a reason that the applicant reads."""
    owner = form.owner or caller.person.department
    return RequestShape.of(await rooms.access.desk.reject(caller.person.id, request_id, owner, form.reason))


@router.post("/{request_id}/withdraw")
async def withdraw(rooms: Rooms, caller: Person, request_id: RequestId) -> RequestShape:
    """Take back what is undecided of one's own request."""
    return RequestShape.of(await rooms.access.desk.withdraw(caller.person.id, request_id))
