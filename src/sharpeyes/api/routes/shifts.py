"""The shift log: duty taken, noted, handed over and signed for."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Self

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, Field
from sqlalchemy import Connection

from sharpeyes.api.auth import Caller, DutyCaller, DutyReader
from sharpeyes.api.context import Context, Rooms
from sharpeyes.api.schemas import Body, Instant, Shape
from sharpeyes.domain.access import Role
from sharpeyes.domain.errors import ForbiddenError, InvalidInputError, NotFoundError
from sharpeyes.domain.time import Ms, Span, from_datetime, iso
from sharpeyes.store import shifts
from sharpeyes.store.people import get_subject
from sharpeyes.store.shifts import Note, Shift

router = APIRouter(prefix="/api/v1/shifts", tags=["shifts"])

ShiftId = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
SEES_ALL = frozenset({Role.ADMIN, Role.AUDITOR})


class DownCamera(Shape):
    camera: str
    name: str
    since: Instant
    cause: str | None


class UnstableCamera(Shape):
    camera: str
    name: str
    times: Annotated[int, Field(description="How often it went offline.")]


class StatesSummary(Shape):
    began: Annotated[dict[str, int], Field(description="State -> how often a camera entered it.")]
    cameras_fallen: Annotated[int, Field(description="Cameras that went offline at least once.")]
    offline_at_end: int
    fell_and_stayed: Annotated[
        tuple[DownCamera, ...], Field(description="Offline since this shift; at most 20.")
    ]
    unstable: Annotated[tuple[UnstableCamera, ...], Field(description="Offline more than once; at most 20.")]


class NotableTicket(Shape):
    ticket: int
    name: str
    kind: str
    severity: str
    stage: str
    raised: Instant
    due: Instant
    children: int


class TicketsSummary(Shape):
    raised: int
    closed: int
    open_at_end: int
    overdue_at_end: int
    fell_overdue: Annotated[int, Field(description="Missed their due time during the shift.")]
    own_outages: Annotated[int, Field(description="The monitor itself, or its canary, was in trouble.")]
    notable: Annotated[tuple[NotableTicket, ...], Field(description="Open and worst first; at most 20.")]


class ExclusionsSummary(Shape):
    applied: int
    approved: int
    refused: int
    revoked: int
    withdrawn: Annotated[int, Field(description="By their applicants.")] = 0
    in_force_at_end: int
    pending_at_end: int


class ContestsSummary(Shape):
    filed: int
    answered: int
    withdrawn: Annotated[int, Field(description="By their authors.")] = 0
    unanswered_at_end: int


class OverrideLine(Shape):
    grant: str
    user: str
    department: str
    owner: str
    at: Instant
    reason: str


class ViewsSummary(Shape):
    """Of the department's own requests, grants and overrides."""

    requests: int
    grants: int
    revoked: int
    overrides: tuple[OverrideLine, ...]
    unreviewed_at_end: int


class ShiftSummary(Shape):
    states: StatesSummary
    tickets: TicketsSummary
    exclusions: ExclusionsSummary
    contests: ContestsSummary
    views: ViewsSummary

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        return cls.model_validate(_with_instants(document))


class NoteShape(Shape):
    at: Instant
    author: str
    text: str


class ShiftShape(Shape):
    id: str
    department: str
    start: Instant
    operators: Annotated[tuple[str, ...], Field(description="Ids of users.")]
    end: Instant | None
    ended_by: str | None
    signed: Instant | None
    signed_by: Annotated[str | None, Field(description="Who took over.")]
    remark: str | None

    @classmethod
    def of(cls, item: Shift) -> Self:
        return cls(
            id=item.id,
            department=item.department,
            start=iso(item.started),
            operators=item.operators,
            end=None if item.ended is None else iso(item.ended),
            ended_by=item.ended_by,
            signed=None if item.signed is None else iso(item.signed),
            signed_by=item.signed_by,
            remark=item.remark,
        )


class ShiftDetail(ShiftShape):
    notes: tuple[NoteShape, ...]
    summary: Annotated[
        ShiftSummary, Field(description="As it was at the end; as it is now while it goes on.")
    ]


class ShiftPage(Shape):
    items: tuple[ShiftShape, ...]
    next: Annotated[Instant | None, Field(description="'before' of the next page; null on the last.")]


class NewShift(Body):
    operators: Annotated[
        tuple[Annotated[str, Field(max_length=64)], ...],
        Field(max_length=20, description="Ids of colleagues on the same duty, besides oneself."),
    ] = ()


class NewNote(Body):
    text: Annotated[str, Field(min_length=1, max_length=4000, pattern=r"\S")]


class SignOff(Body):
    remark: Annotated[str, Field(max_length=4000)] = ""


@router.get("")
async def listed(
    rooms: Rooms,
    caller: DutyReader,
    department: Annotated[str | None, Query(max_length=64)] = None,
    before: Annotated[AwareDatetime | None, Query(description="'next' of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ShiftPage:
    """Shifts of one's own room, newest first; of all rooms for administrators and auditors."""
    found = await rooms.database.aread(
        partial(
            shifts.list_shifts,
            department=_room(caller, department),
            before=None if before is None else from_datetime(before),
            limit=limit + 1,
        )
    )
    page = found[:limit]
    return ShiftPage(
        items=tuple(ShiftShape.of(item) for item in page),
        next=iso(page[-1].started) if len(found) > limit else None,
    )


@router.post("", status_code=201)
async def begin(rooms: Rooms, caller: DutyCaller, wanted: NewShift) -> ShiftDetail:
    """Begin a shift in the room of one's own department. 409 `conflict` while one goes on."""
    me, now = caller.person, rooms.clock()

    def write(connection: Connection) -> Shift:
        for key in wanted.operators:
            if get_subject(connection, key).department != me.department:
                raise InvalidInputError(f"operators: {key} is not of {me.department}")
        return shifts.begin(connection, me.department, (me.id, *wanted.operators), now=now)

    return await _detail(rooms, await rooms.database.awrite(write))


@router.get("/current")
async def current(
    rooms: Rooms, caller: DutyReader, department: Annotated[str | None, Query(max_length=64)] = None
) -> ShiftDetail:
    """The shift that goes on in the room, with what changed so far; 404 if there is none."""
    room = _room(caller, department) or caller.person.department
    item = await rooms.database.aread(partial(shifts.current, department=room))
    if item is None:
        raise NotFoundError(f"no shift goes on in {room}", mend="Begin one: POST /api/v1/shifts")
    return await _detail(rooms, item)


@router.get("/{key}")
async def one(rooms: Rooms, caller: DutyReader, key: ShiftId) -> ShiftDetail:
    """One shift, with its notes and what changed."""
    return await _detail(rooms, await _seen(rooms, caller, key))


@router.post("/{key}/notes", status_code=201)
async def add_note(rooms: Rooms, caller: DutyCaller, key: ShiftId, wanted: NewNote) -> ShiftDetail:
    """Write something down; whoever takes over may still add to it before signing."""
    await _seen(rooms, caller, key, own=True)
    write = partial(shifts.note, key=key, author=caller.person.id, text=wanted.text, now=rooms.clock())
    await rooms.database.awrite(write)
    return await _detail(rooms, await _seen(rooms, caller, key))


@router.post("/{key}/join")
async def join(rooms: Rooms, caller: DutyCaller, key: ShiftId) -> ShiftDetail:
    """Join the duty."""
    await _seen(rooms, caller, key, own=True)
    write = partial(shifts.join, key=key, operator=caller.person.id)
    return await _detail(rooms, await rooms.database.awrite(write))


@router.post("/{key}/handover")
async def hand_over(rooms: Rooms, caller: DutyCaller, key: ShiftId) -> ShiftDetail:
    """End the shift; its summary is kept as it is now, for whoever takes over."""
    await _seen(rooms, caller, key, own=True)
    write = partial(shifts.hand_over, key=key, by=caller.person.id, now=rooms.clock())
    return await _detail(rooms, await rooms.database.awrite(write))


@router.post("/{key}/sign-off")
async def sign_off(rooms: Rooms, caller: DutyCaller, key: ShiftId, wanted: SignOff) -> ShiftDetail:
    """Take over: sign for what another handed over. One's own shift begins where that one ended."""
    await _seen(rooms, caller, key, own=True)
    write = partial(
        shifts.sign, key=key, by=caller.person.id, remark=wanted.remark.strip(), now=rooms.clock()
    )
    return await _detail(rooms, await rooms.database.awrite(write))


def _room(caller: Caller, asked: str | None) -> str | None:
    """The room whose log this caller reads; None: all of them."""
    me = caller.person
    if me.roles & SEES_ALL:
        return asked
    if asked not in (None, me.department):
        raise ForbiddenError(f"department: your log is that of {me.department}")
    return me.department


async def _seen(rooms: Context, caller: Caller, key: str, *, own: bool = False) -> Shift:
    """The shift, if this caller may see it; ``own``: if it is of their own room."""
    item = await rooms.database.aread(partial(shifts.get_shift, key=key))
    me = caller.person
    if item.department != me.department and (own or not me.roles & SEES_ALL):
        raise ForbiddenError(f"this shift is of {item.department}")
    return item


async def _detail(rooms: Context, item: Shift) -> ShiftDetail:
    now = rooms.clock()

    def read(connection: Connection) -> tuple[list[Note], dict[str, Any]]:
        span = Span(item.started, Ms(max(now, item.started + 1)))
        found = item.summary or shifts.summary(connection, span, item.department)
        return shifts.list_notes(connection, item.id), dict(found)

    notes, found = await rooms.database.aread(read)
    return ShiftDetail(
        **dict(ShiftShape.of(item)),
        notes=tuple(NoteShape(at=iso(one.at), author=one.author, text=one.text) for one in notes),
        summary=ShiftSummary.of(found),
    )


INSTANTS = frozenset({"since", "raised", "due", "at"})


def _with_instants(value: Any) -> Any:
    """The lines of a summary with their instants written out; counts have some of the same names."""
    if isinstance(value, dict):
        return {
            key: [_line(one) for one in item] if isinstance(item, list) else _with_instants(item)
            for key, item in value.items()
        }
    return value


def _line(line: dict[str, Any]) -> dict[str, Any]:
    return {key: iso(Ms(item)) if key in INSTANTS else item for key, item in line.items()}
