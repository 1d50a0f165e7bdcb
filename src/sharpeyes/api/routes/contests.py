"""Contests: a department speaks against an interval, an operator answers; both stay on the record."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Self

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field
from sqlalchemy import Connection

from sharpeyes.api import auth
from sharpeyes.api.auth import ADDRESSES, AnyCaller, Disputer, Reader, Settler
from sharpeyes.api.context import Rooms
from sharpeyes.api.routes.exclusions import ExclusionShape, Withdrawal
from sharpeyes.api.schemas import Body, Instant, IntervalShape, Shape, found_of
from sharpeyes.domain.errors import ForbiddenError, InvalidInputError
from sharpeyes.domain.faults import Scope, Ticket
from sharpeyes.domain.time import Ms, Span, from_datetime, iso
from sharpeyes.store import contests, evidence, exclusions, state_time
from sharpeyes.store.cameras import get_camera
from sharpeyes.store.contests import TEXT, Contest, Outcome
from sharpeyes.store.evidence import ProbeRecord
from sharpeyes.store.exclusions import Exclusion
from sharpeyes.store.faults import TicketFilter, list_tickets

router = APIRouter(prefix="/api/v1", tags=["contests"])

EDGE_MS = 15 * 60_000
"""Probes within this of either edge of an interval are its evidence."""


class Filing(Body):
    camera: Annotated[str, Field(max_length=64)]
    start: Annotated[AwareDatetime, Field(description="Where the interval begins, as it is listed.")]
    text: Annotated[str, Field(min_length=1, max_length=TEXT)]
    department: Annotated[
        str | None,
        Field(max_length=64, description="For whom; only a token says it, a person speaks for their own."),
    ] = None


class Reply(Body):
    text: Annotated[str, Field(min_length=1, max_length=TEXT)]
    outcome: Outcome


class ContestShape(Shape):
    id: str
    interval: IntervalShape
    department: str
    author: str
    text: str
    at: Instant
    outcome: str | None
    answer: str | None
    answered_by: str | None
    answered: Instant | None
    withdrawn: Annotated[Instant | None, Field(description="By its author, before anybody answered.")]
    withdrawal: Annotated[str | None, Field(description="Why.")]

    @classmethod
    def of(cls, item: Contest) -> Self:
        return cls(
            id=item.id,
            interval=IntervalShape.of(item.interval),
            department=item.department,
            author=item.author,
            text=item.text,
            at=iso(item.at),
            outcome=item.outcome,
            answer=item.answer,
            answered_by=item.answered_by,
            answered=None if item.answered is None else iso(item.answered),
            withdrawn=None if item.withdrawn is None else iso(item.withdrawn),
            withdrawal=item.withdrawal,
        )


class Contests(Shape):
    items: tuple[ContestShape, ...]


class EdgeProbe(Shape):
    """A probe near an edge of an interval: what it found, as it was kept."""

    at: Instant
    ok: bool
    found: dict[str, Any]
    still: Annotated[str | None, Field(description="Id of its still; seeing it is registered.")]


class IntervalTicket(Shape):
    id: int
    kind: str
    stage: str
    cause: str | None
    raised: Instant


class IntervalEvidence(Shape):
    """An interval with all that speaks for it and against it."""

    interval: IntervalShape
    contests: tuple[ContestShape, ...]
    exclusions: tuple[ExclusionShape, ...]
    probes: Annotated[
        tuple[EdgeProbe, ...], Field(description="Kept ones within 15 minutes of either edge, oldest first.")
    ]
    tickets: tuple[IntervalTicket, ...]


@router.get("/contests")
async def listed(
    rooms: Rooms,
    caller: AnyCaller,
    camera: Annotated[str | None, Query(max_length=64)] = None,
    department: Annotated[str | None, Query(max_length=64)] = None,
    answered: Annotated[
        bool | None, Query(description="False: those that wait for an answer, none that was withdrawn.")
    ] = None,
    outcome: Outcome | None = None,
    mine: Annotated[bool, Query(description="Only what this caller filed.")] = False,
    start: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    end: Annotated[AwareDatetime | None, Query(alias="to")] = None,
) -> Contests:
    """Contests, newest first, at most 1000; by default of all time."""
    since = Ms(0) if start is None else from_datetime(start)
    until = rooms.clock() + 1 if end is None else from_datetime(end)
    if until <= since:
        raise InvalidInputError("from: is not before 'to'")
    found = await rooms.database.aread(
        partial(
            contests.listed,
            span=Span(since, Ms(until)),
            camera_id=camera,
            department=department,
            answered=answered,
            outcome=outcome,
            author=caller.name if mine else None,
        )
    )
    return Contests(items=tuple(ContestShape.of(item) for item in found))


@router.post("/contests", status_code=201)
async def file(rooms: Rooms, caller: Disputer, filing: Filing) -> ContestShape:
    """Contest an interval, for the department that the camera was of."""
    start, now = from_datetime(filing.start), rooms.clock()

    def write(connection: Connection) -> Contest:
        if caller.subject is not None:
            department = caller.subject.department
            if filing.department not in (None, department):
                raise ForbiddenError(f"department: you speak for {department}")
        elif filing.department is not None:
            department = filing.department
        else:
            department = get_camera(connection, filing.camera).department
        return contests.file(
            connection,
            filing.camera,
            start,
            department=department,
            author=caller.name,
            text=filing.text,
            now=now,
        )

    return ContestShape.of(await rooms.database.awrite(write))


@router.get("/contests/{key}", dependencies=[Reader])
async def one(rooms: Rooms, key: str) -> ContestShape:
    """One contest."""
    return ContestShape.of(await rooms.database.aread(partial(contests.get, key=key)))


@router.post("/contests/{key}/answer")
async def answer(rooms: Rooms, caller: Settler, key: str, reply: Reply) -> ContestShape:
    """Answer a contest of somebody else, once. The interval stays as it is."""
    answered = partial(
        contests.answer,
        key=key,
        by=caller.name,
        text=reply.text,
        outcome=reply.outcome,
        now=rooms.clock(),
    )
    async with auth.refusals(rooms, caller, "answer", f"contest {key}"):
        return ContestShape.of(await rooms.database.awrite(answered))


@router.post("/contests/{key}/withdrawal")
async def withdraw(rooms: Rooms, caller: Disputer, key: str, withdrawal: Withdrawal) -> ContestShape:
    """Take one's own contest back, before anybody has answered; it stays on the record."""
    withdrawn = partial(
        contests.withdraw, key=key, by=caller.name, reason=withdrawal.reason, now=rooms.clock()
    )
    return ContestShape.of(await rooms.database.awrite(withdrawn))


@router.get("/intervals/evidence")
async def interval_evidence(
    rooms: Rooms,
    caller: AnyCaller,
    camera: Annotated[str, Query(max_length=64)],
    start: Annotated[AwareDatetime, Query(description="Where the interval begins, as it is listed.")],
) -> IntervalEvidence:
    """One interval with its contests, exclusions and tickets, and the probes at its edges."""
    now = rooms.clock()
    return await rooms.database.aread(
        partial(
            _evidence,
            camera=camera,
            start=from_datetime(start),
            now=now,
            addresses=caller.may(ADDRESSES),
        )
    )


def _evidence(
    connection: Connection, camera: str, start: Ms, now: Ms, *, addresses: bool
) -> IntervalEvidence:
    interval = contests.interval_of(connection, camera, start)
    end = now if interval.end is None else interval.end
    span = Span(start, Ms(max(end, start + 1)))
    edges = [start] if interval.end is None else [start, interval.end]
    probes = [
        record
        for record in evidence.list_records(connection, camera, now=now)
        if any(abs(record.at - edge) <= EDGE_MS for edge in edges)
    ]
    tickets = list_tickets(connection, TicketFilter(scope=Scope.CAMERA, subject=camera), limit=200)
    return IntervalEvidence(
        interval=IntervalShape.of(interval),
        contests=tuple(
            ContestShape.of(c) for c in contests.listed(connection, camera_id=camera, start=start)
        ),
        exclusions=tuple(
            ExclusionShape.of(x)
            for x in exclusions.overlapping(connection, span)
            if _covers(connection, x, camera, span)
        ),
        probes=tuple(_probe(record, addresses=addresses) for record in reversed(probes)),
        tickets=tuple(_ticket(t) for t in tickets if t.started < span.end and (t.closed or now) > start),
    )


def _covers(connection: Connection, item: Exclusion, camera: str, span: Span) -> bool:
    """Whether the camera was among what is excluded, at any time of the interval."""
    both = item.span.clip(span)
    if both is None:
        return False
    where = exclusions.members_of(connection, [item])
    return any(m.key == camera for m in state_time.memberships(connection, both, "camera", where=where))


def _probe(record: ProbeRecord, *, addresses: bool) -> EdgeProbe:
    found = found_of(record, addresses=addresses)
    return EdgeProbe(at=iso(record.at), ok=record.ok, found=found, still=record.still)


def _ticket(item: Ticket) -> IntervalTicket:
    return IntervalTicket(
        id=item.id, kind=item.key.kind, stage=item.stage, cause=item.cause, raised=iso(item.raised)
    )
