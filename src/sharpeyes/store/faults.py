"""What the loop of faults remembers: watches, tickets and their history, silences.

All functions take a connection within a transaction (see :class:`sharpeyes.store.database.Database`). Next
door are the outbox (:mod:`sharpeyes.store.outbox`) and the graph of causes (:mod:`sharpeyes.store.causes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Select, and_, exists, func, insert, or_, select, update

from sharpeyes.domain.errors import ConflictError, NotFoundError
from sharpeyes.domain.faults import (
    ENDED,
    Entry,
    FaultKey,
    FaultKind,
    Move,
    Scope,
    Severity,
    Silence,
    StateChange,
    Ticket,
    TicketStage,
    Watch,
)
from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store.database import upsert
from sharpeyes.store.faults_schema import (
    fault_watch,
    silence,
    ticket,
    ticket_entry,
)
from sharpeyes.store.schema import camera, camera_state, chunks

# --- watches ------------------------------------------------------------------------------------------


def news(connection: Connection) -> list[StateChange]:
    """Standings of cameras in service that are newer than what the loop knows, oldest first."""
    state, watch = camera_state.c, fault_watch.c
    query = (
        select(state.camera_id, state.state, state.cause, state.since_ms, state.observed_ms)
        .join(camera, and_(camera.c.id == state.camera_id, camera.c.retired_ms.is_(None)))
        .outerjoin(fault_watch, watch.camera_id == state.camera_id)
        .where(
            or_(
                watch.camera_id.is_(None),
                state.since_ms > watch.since_ms,
                and_(
                    state.since_ms == watch.since_ms,
                    or_(state.state != watch.state, state.cause.is_distinct_from(watch.cause)),
                    func.coalesce(state.observed_ms, 0) > watch.at_ms,
                ),
            )
        )
        .order_by(state.since_ms, state.camera_id)
    )
    return [
        StateChange(
            camera=row.camera_id,
            state=State(row.state),
            cause=row.cause,
            since=row.since_ms,
            at=max(row.since_ms, row.observed_ms or 0),
        )
        for row in connection.execute(query)
    ]


def watches(connection: Connection, cameras: Iterable[str]) -> dict[str, Watch]:
    """What is known of these cameras; those never heard of are missing."""
    found = {}
    for some in chunks(cameras):
        for row in connection.execute(select(fault_watch).where(fault_watch.c.camera_id.in_(some))):
            found[row.camera_id] = _watch(row)
    return found


def cameras_of(connection: Connection, devices: Iterable[str]) -> dict[str, list[str]]:
    """Cameras in service by their device, of these devices."""
    found: dict[str, list[str]] = {}
    for some in chunks(devices):
        query = select(camera.c.device, camera.c.id).where(
            camera.c.device.in_(some), camera.c.retired_ms.is_(None)
        )
        for row in connection.execute(query.order_by(camera.c.id)):
            found.setdefault(row.device, []).append(row.id)
    return found


def noteworthy(connection: Connection) -> dict[str, Watch]:
    """The watches of cameras in service that a tick has to look at: not online, changed lately, flapping, or
    below a blamed node."""
    watch = fault_watch.c
    steady = func.replace(watch.history, func.substr(watch.history, 1, 1), "") == ""
    query = (
        select(fault_watch)
        .join(camera, and_(camera.c.id == watch.camera_id, camera.c.retired_ms.is_(None)))
        .where(or_(watch.state != State.ONLINE.value, watch.flapping, watch.upstream.is_not(None), ~steady))
    )
    return {row.camera_id: _watch(row) for row in connection.execute(query)}


def put_watches(connection: Connection, items: Iterable[Watch]) -> None:
    rows = [
        {
            "camera_id": w.camera,
            "state": w.state.value,
            "since_ms": w.since,
            "cause": w.cause,
            "at_ms": w.at,
            "history": w.history,
            "sampled_ms": w.sampled,
            "flapping": w.flapping,
            "upstream": w.upstream,
            "released_ms": w.released,
        }
        for w in items
    ]
    if rows:
        connection.execute(upsert(connection, fault_watch, ("camera_id",)), rows)


def in_service(connection: Connection, cameras: Iterable[str]) -> set[str]:
    """Those of the cameras that are known and not retired."""
    found: set[str] = set()
    for some in chunks(cameras):
        query = select(camera.c.id).where(camera.c.id.in_(some), camera.c.retired_ms.is_(None))
        found.update(connection.scalars(query))
    return found


def observed(connection: Connection, cameras: Iterable[str]) -> dict[str, Ms]:
    """When each camera was last looked at by a probe."""
    found: dict[str, Ms] = {}
    for some in chunks(cameras):
        query = select(camera_state.c.camera_id, camera_state.c.observed_ms).where(
            camera_state.c.camera_id.in_(some), camera_state.c.observed_ms.is_not(None)
        )
        found.update((row.camera_id, row.observed_ms) for row in connection.execute(query))
    return found


def observed_in_zone(connection: Connection, zone: str) -> Ms | None:
    """When a probe last saw any camera of the zone well."""
    query = (
        select(func.max(camera_state.c.observed_ms))
        .join(camera, camera.c.id == camera_state.c.camera_id)
        .where(
            camera.c.zone == zone,
            camera.c.retired_ms.is_(None),
            camera_state.c.state.in_([State.ONLINE.value, State.DEGRADED.value]),
        )
    )
    found: Ms | None = connection.scalar(query)
    return found


def unseen(connection: Connection) -> set[str]:
    """Cameras in service that say nothing about what is upstream: never judged, unknown, in maintenance."""
    watch = fault_watch.c
    query = (
        select(camera.c.id)
        .outerjoin(fault_watch, watch.camera_id == camera.c.id)
        .where(
            camera.c.retired_ms.is_(None),
            or_(
                watch.camera_id.is_(None),
                watch.state.in_([State.UNKNOWN.value, State.MAINTENANCE.value]),
            ),
        )
    )
    return set(connection.scalars(query))


def up_by_zone(connection: Connection) -> dict[str, int]:
    """How many cameras of each zone deliver a picture."""
    query = (
        select(camera.c.zone, func.count().label("number"))
        .join(fault_watch, fault_watch.c.camera_id == camera.c.id)
        .where(
            camera.c.retired_ms.is_(None),
            fault_watch.c.state.in_([State.ONLINE.value, State.DEGRADED.value]),
        )
        .group_by(camera.c.zone)
    )
    return {row.zone: row.number for row in connection.execute(query)}


def zones_of(connection: Connection, cameras: Iterable[str]) -> dict[str, str]:
    """Camera -> zone, of those in service."""
    found: dict[str, str] = {}
    for some in chunks(cameras):
        query = select(camera.c.id, camera.c.zone).where(camera.c.id.in_(some), camera.c.retired_ms.is_(None))
        found.update((row.id, row.zone) for row in connection.execute(query))
    return found


def departments_of(
    connection: Connection, *, cameras: Iterable[str] = (), zone: str | None = None
) -> set[str]:
    """Whose these cameras are, and those of a zone, as far as they are in service."""
    query = select(camera.c.department).where(camera.c.retired_ms.is_(None)).distinct()
    found = set(connection.scalars(query.where(camera.c.zone == zone))) if zone is not None else set()
    for some in chunks(cameras):
        found.update(connection.scalars(query.where(camera.c.id.in_(some))))
    return found


def suppressed(connection: Connection) -> dict[str, int]:
    """Node -> cameras that are down because of it now and have no ticket of their own."""
    query = (
        select(fault_watch.c.upstream, func.count().label("number"))
        .where(fault_watch.c.upstream.is_not(None))
        .group_by(fault_watch.c.upstream)
    )
    return {row.upstream: row.number for row in connection.execute(query)}


# --- tickets ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketFilter:
    """Which tickets; what is None does not matter."""

    open: bool | None = None
    stage: TicketStage | None = None
    unit: str | None = None
    scope: Scope | None = None
    subject: str | None = None
    kind: FaultKind | None = None
    severity: Severity | None = None
    department: str | None = None
    overdue: bool | None = None
    raised: Span | None = None


EVERY_TICKET = TicketFilter()


def add_ticket(connection: Connection, item: Ticket) -> Ticket:
    """Store a new ticket; the same with its number comes back.

    Raises sqlalchemy's IntegrityError if one is open for the same key: the caller has not looked.
    """
    done = connection.execute(insert(ticket).values(_ticket_row(item)))
    key = done.inserted_primary_key
    assert key is not None
    return replace(item, id=key[0])


def save_ticket(connection: Connection, item: Ticket) -> None:
    connection.execute(update(ticket).where(ticket.c.id == item.id).values(_ticket_row(item)))


def get_ticket(connection: Connection, ticket_id: int) -> Ticket:
    """Raises NotFoundError."""
    row = connection.execute(select(ticket).where(ticket.c.id == ticket_id)).first()
    if row is None:
        raise NotFoundError(f"there is no ticket {ticket_id}")
    return _ticket(row)


def list_tickets(
    connection: Connection,
    where: TicketFilter = EVERY_TICKET,
    *,
    before: int | None = None,
    limit: int | None = None,
) -> list[Ticket]:
    """Newest first; ``before``: only tickets with a smaller number, for paging."""
    query = _where(select(ticket), where).order_by(ticket.c.id.desc())
    if before is not None:
        query = query.where(ticket.c.id < before)
    if limit is not None:
        query = query.limit(limit)
    return [_ticket(row) for row in connection.execute(query)]


def open_tickets(connection: Connection) -> dict[FaultKey, Ticket]:
    rows = connection.execute(select(ticket).where(ticket.c.closed_ms.is_(None)).order_by(ticket.c.id))
    return {item.key: item for item in map(_ticket, rows)}


def last_closed(connection: Connection, key: FaultKey) -> Ticket | None:
    """The ticket of this key that was closed last, if it was closed by a probe."""
    query = (
        select(ticket)
        .where(
            ticket.c.scope == key.scope.value,
            ticket.c.subject == key.subject,
            ticket.c.kind == key.kind.value,
            ticket.c.stage == TicketStage.CLOSED.value,
        )
        .order_by(ticket.c.closed_ms.desc(), ticket.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return _ticket(row) if row is not None else None


def add_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    if entries:
        connection.execute(
            insert(ticket_entry),
            [
                {
                    "ticket": e.ticket,
                    "at_ms": e.at,
                    "move": e.move.value,
                    "actor": e.by,
                    "text": e.text,
                    "attachment": e.attachment,
                    "detail": dict(e.detail) if e.detail is not None else None,
                }
                for e in entries
            ],
        )


def list_entries(connection: Connection, ticket_id: int) -> list[Entry]:
    """The history of one ticket, oldest first."""
    query = select(ticket_entry).where(ticket_entry.c.ticket == ticket_id).order_by(ticket_entry.c.id)
    return [_entry(row) for row in connection.execute(query)]


def histories(connection: Connection, span: Span) -> tuple[dict[int, Ticket], list[Entry]]:
    """Every ticket that was open at some time of the span, with its whole history, oldest entry first."""
    query = select(ticket).where(
        or_(ticket.c.closed_ms.is_(None), ticket.c.closed_ms >= span.start),
        exists().where(ticket_entry.c.ticket == ticket.c.id, ticket_entry.c.at_ms < span.end),
    )
    tickets = {row.id: _ticket(row) for row in connection.execute(query)}
    entries = []
    for some in chunks(sorted(tickets)):
        rows = connection.execute(
            select(ticket_entry).where(ticket_entry.c.ticket.in_(some)).order_by(ticket_entry.c.id)
        )
        entries += [_entry(row) for row in rows]
    return tickets, entries


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketCount:
    """For metrics: open tickets of one severity and stage."""

    severity: Severity
    stage: TicketStage
    open: int
    overdue: int


def count_open(connection: Connection, now: Ms) -> list[TicketCount]:
    late = func.count().filter(and_(ticket.c.due_ms <= now, ticket.c.recovered_ms.is_(None)))
    query = (
        select(ticket.c.severity, ticket.c.stage, func.count().label("number"), late.label("late"))
        .where(ticket.c.closed_ms.is_(None))
        .group_by(ticket.c.severity, ticket.c.stage)
        .order_by(ticket.c.severity, ticket.c.stage)
    )
    return [
        TicketCount(
            severity=Severity(row.severity), stage=TicketStage(row.stage), open=row.number, overdue=row.late
        )
        for row in connection.execute(query)
    ]


# --- silences -----------------------------------------------------------------------------------------


def add_silence(connection: Connection, item: Silence) -> None:
    """Raises ConflictError if there is one with the same id."""
    if connection.execute(select(silence.c.id).where(silence.c.id == item.id)).first() is not None:
        raise ConflictError(f"there is a silence {item.id} already")
    connection.execute(
        insert(silence).values(
            id=item.id,
            scope=item.scope.value if item.scope is not None else None,
            subject=item.subject,
            started_ms=item.span.start,
            ended_ms=item.span.end,
            reason=item.reason,
            actor=item.by,
        )
    )


def get_silence(connection: Connection, silence_id: str) -> Silence:
    """NotFoundError if there is none."""
    row = connection.execute(select(silence).where(silence.c.id == silence_id)).first()
    if row is None:
        raise NotFoundError(f"there is no silence {silence_id}")
    return _silence(row)


def end_silence(connection: Connection, silence_id: str, *, at: Ms) -> None:
    """End it now; one that has not begun never will. Raises NotFoundError."""
    where, span = silence.c.id == silence_id, get_silence(connection, silence_id).span
    if at <= span.start:
        connection.execute(silence.delete().where(where))
    elif at < span.end:
        connection.execute(update(silence).where(where).values(ended_ms=at))


def list_silences(connection: Connection, since: Ms) -> list[Silence]:
    """All that end after ``since``, those to come included."""
    rows = connection.execute(
        select(silence).where(silence.c.ended_ms > since).order_by(silence.c.started_ms, silence.c.id)
    )
    return [_silence(row) for row in rows]


def _silence(row: Any) -> Silence:
    return Silence(
        id=row.id,
        scope=Scope(row.scope) if row.scope is not None else None,
        subject=row.subject,
        span=Span(row.started_ms, row.ended_ms),
        reason=row.reason,
        by=row.actor,
    )


# --- rows and values ----------------------------------------------------------------------------------

_INSTANTS = (
    "started",
    "raised",
    "acknowledge_by",
    "due",
    "acknowledged",
    "handled",
    "recovered",
    "closed",
    "overdue",
)
_PLAIN = (
    "name",
    "cause",
    "tier",
    "department",
    "area",
    "zone",
    "unit",
    "rule",
    "level",
    "cycle",
    "failed",
    "children",
    "evidence",
)


def _ticket_row(item: Ticket) -> dict[str, Any]:
    row = {name: getattr(item, name) for name in _PLAIN}
    row |= {f"{name}_ms": getattr(item, name) for name in _INSTANTS}
    return row | {
        "scope": item.key.scope.value,
        "subject": item.key.subject,
        "kind": item.key.kind.value,
        "severity": item.severity.value,
        "stage": item.stage.value,
        "resume": item.resume.value if item.resume is not None else None,
        "evidence": dict(item.evidence) if item.evidence is not None else None,
    }


def _ticket(row: Any) -> Ticket:
    values: Mapping[str, Any] = row._mapping
    return Ticket(
        id=row.id,
        key=FaultKey(Scope(row.scope), row.subject, FaultKind(row.kind)),
        severity=Severity(row.severity),
        stage=TicketStage(row.stage),
        resume=TicketStage(row.resume) if row.resume is not None else None,
        **{name: values[name] for name in _PLAIN},
        **{name: values[f"{name}_ms"] for name in _INSTANTS},
    )


def _entry(row: Any) -> Entry:
    return Entry(
        ticket=row.ticket,
        at=row.at_ms,
        move=Move(row.move),
        by=row.actor,
        text=row.text,
        attachment=row.attachment,
        detail=row.detail,
    )


def _watch(row: Any) -> Watch:
    return Watch(
        camera=row.camera_id,
        state=State(row.state),
        since=row.since_ms,
        cause=row.cause,
        at=row.at_ms,
        history=row.history,
        sampled=row.sampled_ms,
        flapping=row.flapping,
        upstream=row.upstream,
        released=row.released_ms,
    )


def _where(query: Select[Any], where: TicketFilter) -> Select[Any]:
    for column, value in (
        (ticket.c.stage, where.stage),
        (ticket.c.unit, where.unit),
        (ticket.c.scope, where.scope),
        (ticket.c.subject, where.subject),
        (ticket.c.kind, where.kind),
        (ticket.c.severity, where.severity),
        (ticket.c.department, where.department),
    ):
        if value is not None:
            query = query.where(column == value)
    if where.stage is not None and where.stage not in ENDED:  # the same said again, for the index
        query = query.where(ticket.c.closed_ms.is_(None))
    if where.open is not None:
        query = query.where(ticket.c.closed_ms.is_(None) if where.open else ticket.c.closed_ms.is_not(None))
    if where.overdue is not None:
        query = query.where(
            ticket.c.overdue_ms.is_not(None) if where.overdue else ticket.c.overdue_ms.is_(None)
        )
    if where.raised is not None:
        query = query.where(ticket.c.raised_ms >= where.raised.start, ticket.c.raised_ms < where.raised.end)
    return query
