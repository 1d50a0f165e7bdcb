"""Faults: tickets on their way from raised to closed, planned work, and who is told of them."""

from __future__ import annotations

import secrets
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime
from sqlalchemy import Connection

from sharpeyes.api import auth
from sharpeyes.api.auth import Admin, Caller, OperatorCaller, Reader
from sharpeyes.api.context import Context, Rooms
from sharpeyes.api.fault_shapes import (
    Assignment,
    DeliveryPage,
    DeliveryShape,
    MoveShape,
    NewSilence,
    RecipientShape,
    Remark,
    RouteShape,
    Routing,
    SilenceShape,
    StatisticsShape,
    TicketDetail,
    TicketPage,
    TicketShape,
)
from sharpeyes.api.spans import span_of
from sharpeyes.domain.access import Role
from sharpeyes.domain.errors import ForbiddenError, InvalidInputError
from sharpeyes.domain.faults import (
    DeliveryState,
    Entry,
    FaultKind,
    Move,
    Scope,
    Severity,
    Silence,
    Ticket,
    TicketStage,
)
from sharpeyes.domain.time import Ms, Span, from_datetime
from sharpeyes.faults.silences import check as check_silence
from sharpeyes.faults.statistics import Statistics, statistics
from sharpeyes.store import faults as store
from sharpeyes.store import outbox
from sharpeyes.store.events import Event, record

router = APIRouter(prefix="/api/v1", tags=["faults"])

TicketId = Annotated[int, Path(ge=1, le=1 << 53)]
Before = Annotated[int | None, Query(ge=1, le=1 << 53, description="'next' of the page before.")]
Name = Annotated[str | None, Query(max_length=64)]
LONGEST_SILENCE = timedelta(days=92)
"""A silence without an end would be a fault that nobody ever hears of."""


# --- tickets --------------------------------------------------------------------------------------------


@router.get("/tickets", dependencies=[Reader])
async def tickets(
    rooms: Rooms,
    is_open: Annotated[bool | None, Query(alias="open")] = None,
    stage: TicketStage | None = None,
    unit: Name = None,
    scope: Scope | None = None,
    subject: Name = None,
    kind: FaultKind | None = None,
    severity: Severity | None = None,
    department: Name = None,
    overdue: bool | None = None,
    start: Annotated[AwareDatetime | None, Query(alias="from", description="Raised then or later.")] = None,
    end: Annotated[AwareDatetime | None, Query(alias="to", description="Raised before.")] = None,
    before: Before = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> TicketPage:
    """Tickets, newest first; every condition given must hold."""
    raised = None
    if start is not None or end is not None:
        since = Ms(0) if start is None else from_datetime(start)
        until = Ms(1 << 62) if end is None else from_datetime(end)
        if until < since:
            raise InvalidInputError("from: is after 'to'")
        raised = Span(since, until)
    where = store.TicketFilter(
        open=is_open,
        stage=stage,
        unit=unit,
        scope=scope,
        subject=subject,
        kind=kind,
        severity=severity,
        department=department,
        overdue=overdue,
        raised=raised,
    )
    found = await rooms.database.aread(
        lambda connection: store.list_tickets(connection, where, before=before, limit=limit + 1)
    )
    page = found[:limit]
    return TicketPage(
        items=tuple(TicketShape.of(ticket) for ticket in page),
        next=page[-1].id if len(found) > limit else None,
    )


@router.get("/tickets/{ticket_id}", dependencies=[Reader])
async def ticket(rooms: Rooms, ticket_id: TicketId) -> TicketDetail:
    """One ticket with its history."""

    def read(connection: Connection) -> tuple[Ticket, list[Entry]]:
        return store.get_ticket(connection, ticket_id), store.list_entries(connection, ticket_id)

    found, history = await rooms.database.aread(read)
    return TicketDetail(ticket=TicketShape.of(found), history=tuple(MoveShape.of(entry) for entry in history))


@router.post("/tickets/{ticket_id}/acknowledge")
async def acknowledge(rooms: Rooms, caller: OperatorCaller, ticket_id: TicketId, form: Remark) -> TicketShape:
    """Take a ticket on, for the unit that has it."""
    return await _move(rooms, caller, ticket_id, Move.ACKNOWLEDGE, form)


@router.post("/tickets/{ticket_id}/handle")
async def handle(rooms: Rooms, caller: OperatorCaller, ticket_id: TicketId, form: Remark) -> TicketShape:
    """Say that it is mended. It is closed by a probe that sees so, and not by this."""
    return await _move(rooms, caller, ticket_id, Move.HANDLE, form)


@router.post("/tickets/{ticket_id}/notes")
async def note(rooms: Rooms, caller: OperatorCaller, ticket_id: TicketId, form: Remark) -> TicketShape:
    """Add a note, or the reference of a photo."""
    return await _move(rooms, caller, ticket_id, Move.NOTE, form)


@router.post("/tickets/{ticket_id}/route")
async def assign(rooms: Rooms, caller: OperatorCaller, ticket_id: TicketId, form: Assignment) -> TicketShape:
    """Hand a ticket to another unit."""
    return await _move(rooms, caller, ticket_id, Move.ROUTE, Remark(text=form.text), unit=form.unit)


@router.get("/ticket-statistics", dependencies=[Reader])
async def ticket_statistics(
    rooms: Rooms,
    start: Annotated[AwareDatetime | None, Query(alias="from", description="Default: 24 hours ago.")] = None,
    end: Annotated[AwareDatetime | None, Query(alias="to", description="Default: now.")] = None,
) -> StatisticsShape:
    """How faults were dealt with in a span: tickets raised, closed, late; and how long that took."""
    now = rooms.clock()
    span = span_of(start, end, now=now)

    def read(connection: Connection) -> Statistics:
        return statistics(*store.histories(connection, span), span, now)

    return StatisticsShape.of(await rooms.database.aread(read), span)


async def _move(
    rooms: Context, caller: Caller, ticket_id: int, move: Move, form: Remark, *, unit: str | None = None
) -> TicketShape:
    """What a person of the unit that has the ticket does, or an administrator."""
    item = await rooms.database.aread(lambda connection: store.get_ticket(connection, ticket_id))
    who = caller.subject
    if who is not None and not who.has(Role.ADMIN) and who.department != item.unit:
        async with auth.refusals(rooms, caller, move, f"ticket {ticket_id}"):
            raise ForbiddenError(
                f"ticket {ticket_id} is with another unit than yours",
                mend=f"Ask {item.unit or 'an administrator'}",
            )
    changed = await rooms.faults.loop.move(
        ticket_id,
        move,
        by=caller.name,
        at=rooms.clock(),
        text=form.text,
        unit=unit,
        attachment=form.attachment,
    )
    return TicketShape.of(changed)


# --- planned work ---------------------------------------------------------------------------------------


@router.get("/silences", dependencies=[Reader])
async def silences(rooms: Rooms) -> tuple[SilenceShape, ...]:
    """Planned work under way and to come: alerts keep quiet, what happens is recorded as ever."""
    now = rooms.clock()
    found = await rooms.database.aread(lambda connection: store.list_silences(connection, now))
    return tuple(SilenceShape.of(one) for one in found)


@router.post("/silences", status_code=HTTPStatus.CREATED)
async def add_silence(rooms: Rooms, caller: OperatorCaller, form: NewSilence) -> SilenceShape:
    """Announce planned work on a camera, a node or a zone of one's own department, or, as administrator, on
    anything and everything."""
    if (form.scope is None) != (form.subject is None):
        raise InvalidInputError("subject: belongs to a scope", mend="Give both, or neither for everything")
    if form.end <= form.start:
        raise InvalidInputError("to: is not after 'from'")
    if form.end - form.start > LONGEST_SILENCE:
        raise InvalidInputError(
            f"to: more than {LONGEST_SILENCE.days} days after 'from'",
            mend="Announce it anew when that is over",
        )
    silence = Silence(
        id=f"s-{secrets.token_hex(8)}",
        scope=form.scope,
        subject=form.subject,
        span=Span(from_datetime(form.start), from_datetime(form.end)),
        reason=form.reason,
        by=caller.name,
    )
    about = "everything" if silence.scope is None else f"{silence.scope} {silence.subject}"

    def write(connection: Connection) -> None:
        if caller.subject is not None:
            check_silence(connection, silence, caller.subject)
        store.add_silence(connection, silence)
        _note(connection, silence.id, f"{about} silenced by {caller.name}: {silence.reason}", rooms.clock())

    async with auth.refusals(rooms, caller, "silence", about):
        await rooms.database.awrite(write)
    return SilenceShape.of(silence)


@router.delete("/silences/{silence_id}", status_code=HTTPStatus.NO_CONTENT)
async def end_silence(
    rooms: Rooms,
    caller: OperatorCaller,
    silence_id: Annotated[str, Path(max_length=64)],
) -> None:
    """End planned work that one may announce now; what has not begun never will."""
    now = rooms.clock()

    def write(connection: Connection) -> None:
        if caller.subject is not None:
            check_silence(connection, store.get_silence(connection, silence_id), caller.subject)
        store.end_silence(connection, silence_id, at=now)
        _note(connection, silence_id, f"silence ended by {caller.name}", now)

    async with auth.refusals(rooms, caller, "end silence", silence_id):
        await rooms.database.awrite(write)


def _note(connection: Connection, silence: str, message: str, now: Ms) -> None:
    """Whoever quiets alerts stands in the journal, also for what never began."""
    record(connection, [Event(at=now, kind="silence", subject=silence, message=message)])


# --- who is told ----------------------------------------------------------------------------------------


@router.get("/ticket-routes", dependencies=[Reader])
async def routes(rooms: Rooms) -> Routing:
    """The routing table, as cameras.yaml has it. What no line matches goes to the owner."""
    settings = rooms.faults.settings
    return Routing(
        rules=tuple(RouteShape.of(rule) for rule in settings.rules), fallback=settings.fallback_unit
    )


@router.get("/recipients", dependencies=[Admin])
async def recipients(rooms: Rooms) -> tuple[RecipientShape, ...]:
    """Who is told of faults, and how their messages fare."""
    counts = await rooms.database.aread(outbox.count)
    shapes = []
    for recipient in rooms.faults.settings.recipients:
        own = {item.state: item for item in counts if item.recipient == recipient.id}
        pending = own.get(DeliveryState.PENDING)
        numbers = {state: item.number for state, item in own.items()}
        shapes.append(RecipientShape.of(recipient, numbers, pending.oldest if pending else None))
    return tuple(shapes)


@router.get("/deliveries", dependencies=[Admin])
async def deliveries(
    rooms: Rooms,
    state: DeliveryState | None = None,
    ticket: Annotated[int | None, Query(ge=1, le=1 << 53)] = None,
    before: Before = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> DeliveryPage:
    """Messages about tickets, newest first, with the reason of those that failed."""
    found = await rooms.database.aread(
        lambda connection: outbox.list_deliveries(
            connection, state, ticket_id=ticket, before=before, limit=limit + 1
        )
    )
    page = found[:limit]
    return DeliveryPage(
        items=tuple(DeliveryShape.of(one) for one in page),
        next=page[-1].seq if len(found) > limit else None,
    )


@router.post("/deliveries/{seq}/retry", status_code=HTTPStatus.NO_CONTENT, dependencies=[Admin])
async def retry(rooms: Rooms, seq: Annotated[int, Path(ge=1, le=1 << 53)]) -> None:
    """Try a message that was given up again."""
    now = rooms.clock()
    await rooms.database.awrite(lambda connection: outbox.retry(connection, seq, now=now))
    rooms.faults.courier.wake()
