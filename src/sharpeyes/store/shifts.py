"""The shift log: who had duty in which monitoring room, what changed meanwhile, who took over.

A shift is open until it is handed over; then its summary is kept as it was, and somebody else signs for it.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update

from sharpeyes.domain.errors import ConflictError, ForbiddenError, NotFoundError
from sharpeyes.domain.faults import FaultKind, Severity
from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, Span, iso
from sharpeyes.store.access_schema import view_grant, view_override, view_request
from sharpeyes.store.database import found_first
from sharpeyes.store.dossier_schema import shift, shift_note
from sharpeyes.store.faults_schema import ticket
from sharpeyes.store.rates_schema import contest, exclusion
from sharpeyes.store.schema import camera, camera_state, state_interval

NOTABLE = 20
"""Lines of each kind in a summary."""
NOTES = 500
"""Of one shift."""


class Note(NamedTuple):
    """Something that somebody wrote down."""

    at: Ms
    author: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Duty in one department's room."""

    id: str
    department: str
    started: Ms
    operators: tuple[str, ...]
    """Ids of users."""
    ended: Ms | None = None
    ended_by: str | None = None
    summary: Mapping[str, Any] | None = None
    """As :func:`summary` found it when the shift ended."""
    signed: Ms | None = None
    signed_by: str | None = None
    remark: str | None = None


def begin(connection: Connection, department: str, operators: tuple[str, ...], *, now: Ms) -> Shift:
    """ConflictError while the room's last shift goes on."""
    if (running := current(connection, department)) is not None:
        raise ConflictError(
            f"a shift of {department} goes on since {iso(running.started)}", mend="Hand it over first"
        )
    item = Shift(id=secrets.token_hex(8), department=department, started=now, operators=operators)
    connection.execute(
        insert(shift).values(
            id=item.id, department=department, started_ms=now, operators=list(dict.fromkeys(operators))
        )
    )
    return item


def join(connection: Connection, key: str, operator: str) -> Shift:
    """One more operator. ConflictError once the shift has ended."""
    item = get_shift(connection, key)
    _check_open(item)
    operators = list(dict.fromkeys((*item.operators, operator)))
    connection.execute(update(shift).where(shift.c.id == key).values(operators=operators))
    return get_shift(connection, key)


def note(connection: Connection, key: str, *, author: str, text: str, now: Ms) -> None:
    """Write something down. ConflictError once somebody has signed, or at :data:`NOTES` notes."""
    item = get_shift(connection, key)
    if item.signed is not None:
        raise ConflictError("this shift is signed for", mend="Write it into the one that goes on")
    count = select(func.count()).where(shift_note.c.shift == key)
    if connection.execute(count).scalar_one() >= NOTES:
        raise ConflictError(f"a shift has at most {NOTES} notes")
    connection.execute(insert(shift_note).values(shift=key, at_ms=now, author=author, text=text))


def hand_over(connection: Connection, key: str, *, by: str, now: Ms) -> Shift:
    """End a shift: its summary is kept as it is now. ConflictError if it has ended already."""
    item = get_shift(connection, key)
    _check_open(item)
    end = Ms(max(now, item.started + 1))
    found = summary(connection, Span(item.started, end), item.department)
    connection.execute(
        update(shift).where(shift.c.id == key).values(ended_ms=end, ended_by=by, summary=found)
    )
    return get_shift(connection, key)


def sign(connection: Connection, key: str, *, by: str, remark: str, now: Ms) -> Shift:
    """Somebody takes over what another has handed over; their shift begins where that one ended, unless
    one goes on already.

    ConflictError unless it has ended and nobody has signed; ForbiddenError for who ended it.
    """
    item = get_shift(connection, key)
    if item.ended is None:
        raise ConflictError("this shift goes on", mend="It is signed for once it is handed over")
    if item.signed is not None:
        raise ConflictError(f"{item.signed_by} has signed for this shift already")
    if by == item.ended_by:
        raise ForbiddenError("who hands over does not sign for it", mend="Whoever takes over signs")
    connection.execute(
        update(shift).where(shift.c.id == key).values(signed_ms=now, signed_by=by, remark=remark or None)
    )
    if current(connection, item.department) is None:
        begin(connection, item.department, (by,), now=item.ended)
    return get_shift(connection, key)


def current(connection: Connection, department: str) -> Shift | None:
    """The open shift of a room."""
    query = select(shift).where(shift.c.department == department, shift.c.ended_ms.is_(None))
    row = connection.execute(query).first()
    return None if row is None else _shift(row)


def get_shift(connection: Connection, key: str) -> Shift:
    """NotFoundError if there is none."""
    row = connection.execute(select(shift).where(shift.c.id == key)).first()
    if row is None:
        raise NotFoundError("there is no such shift")
    return _shift(row)


def list_shifts(
    connection: Connection, *, department: str | None = None, before: Ms | None = None, limit: int = 50
) -> list[Shift]:
    """Newest first; for the next page, ``before`` is the start of the last one."""
    query = select(shift).order_by(shift.c.started_ms.desc(), shift.c.id).limit(limit)
    if department is not None:
        query = query.where(shift.c.department == department)
    if before is not None:
        query = query.where(shift.c.started_ms < before)
    return [_shift(row) for row in connection.execute(query)]


def list_notes(connection: Connection, key: str) -> list[Note]:
    """In the order in which they were written."""
    n = shift_note.c
    query = select(n.at_ms, n.author, n.text).where(n.shift == key).order_by(n.id)
    return [Note(*row) for row in connection.execute(query)]


# --- what changed during a shift ------------------------------------------------------------------------


def summary(connection: Connection, span: Span, department: str) -> dict[str, Any]:
    """What happened within the span, as a plain document that can be kept.

    Cameras, tickets, exclusions and contests are of the whole site, since faults do not keep to departments;
    of requests, grants and overrides those that the department asked for or gave.
    """
    return {
        "states": _states(connection, span),
        "tickets": _tickets(connection, span),
        "exclusions": _stages(connection, span),
        "contests": _contests(connection, span),
        "views": _views(connection, span, department),
    }


def _states(connection: Connection, span: Span) -> dict[str, Any]:
    """Changes of state that began within the span, and the cameras that most of them were of."""
    i, s = state_interval.c, camera_state.c
    began: Counter[str] = Counter()
    falls: Counter[str] = Counter()
    short = found_first(
        select(i.camera_id, i.state).where(
            i.ended_ms > span.start, i.started_ms >= span.start, i.started_ms < span.end
        )
    ).c
    closed = select(short.camera_id, short.state, func.count()).group_by(short.camera_id, short.state)
    lasting = (
        select(s.camera_id, s.state, func.count())
        .join(camera, camera.c.id == s.camera_id)
        .where(camera.c.retired_ms.is_(None), s.since_ms >= span.start, s.since_ms < span.end)
        .group_by(s.camera_id, s.state)
    )
    for query in (closed, lasting):
        for key, state, number in connection.execute(query):
            began[state] += number
            if state == State.OFFLINE.value:
                falls[key] += number
    down = connection.execute(
        select(s.camera_id, camera.c.name, s.since_ms, s.cause)
        .join(camera, camera.c.id == s.camera_id)
        .where(camera.c.retired_ms.is_(None), s.state == State.OFFLINE.value)
        .order_by(s.since_ms.desc(), s.camera_id)
    ).all()
    unstable = [(key, number) for key, number in falls.most_common(NOTABLE) if number > 1]
    names = _names(connection, [key for key, _ in unstable])
    return {
        "began": dict(began),
        "cameras_fallen": len(falls),
        "offline_at_end": len(down),
        "fell_and_stayed": [
            {"camera": row.camera_id, "name": row.name, "since": row.since_ms, "cause": row.cause}
            for row in down
            if span.start <= row.since_ms < span.end
        ][:NOTABLE],
        "unstable": [
            {"camera": key, "name": names.get(key, key), "times": number} for key, number in unstable
        ],
    }


def _tickets(connection: Connection, span: Span) -> dict[str, Any]:
    late = or_(ticket.c.closed_ms.is_(None), ticket.c.closed_ms >= span.start)
    t = found_first(select(ticket).where(late)).c
    raised, closed = _within(t.raised_ms, span), _within(t.closed_ms, span)
    going_on = or_(t.closed_ms.is_(None), t.closed_ms >= span.end)
    notable = connection.execute(
        select(t.id, t.name, t.kind, t.severity, t.stage, t.raised_ms, t.due_ms, t.closed_ms, t.children)
        .where(or_(raised, closed, and_(going_on, t.raised_ms < span.end)))
        .order_by(t.closed_ms.is_not(None), t.raised_ms.desc())
        .limit(1000)
    ).all()
    ranks = {severity.value: severity.rank for severity in Severity}
    worst = sorted(notable, key=lambda row: (row.closed_ms is not None, ranks[row.severity], -row.raised_ms))
    return {
        "raised": _count(connection, raised),
        "closed": _count(connection, and_(closed, t.stage == "closed")),
        "open_at_end": _count(connection, and_(t.raised_ms < span.end, going_on)),
        "overdue_at_end": _count(connection, and_(t.raised_ms < span.end, going_on, t.due_ms < span.end)),
        "fell_overdue": _count(connection, _within(t.overdue_ms, span)),
        "own_outages": _count(connection, and_(raised, t.kind == FaultKind.BLIND.value)),
        "notable": [
            {
                "ticket": row.id,
                "name": row.name,
                "kind": row.kind,
                "severity": row.severity,
                "stage": row.stage,
                "raised": row.raised_ms,
                "due": row.due_ms,
                "children": row.children,
            }
            for row in worst[:NOTABLE]
        ],
    }


def _stages(connection: Connection, span: Span) -> dict[str, int]:
    e = exclusion.c
    return {
        "applied": _count(connection, _within(e.applied_ms, span)),
        "approved": _count(connection, and_(_within(e.decided_ms, span), e.stage != "refused")),
        "refused": _count(connection, and_(_within(e.decided_ms, span), e.stage == "refused")),
        "revoked": _count(connection, _within(e.revoked_ms, span)),
        "withdrawn": _count(connection, _within(e.withdrawn_ms, span)),
        "in_force_at_end": _count(
            connection, and_(e.stage == "approved", e.started_ms < span.end, e.ended_ms >= span.end)
        ),
        "pending_at_end": _count(connection, and_(e.applied_ms < span.end, e.stage == "pending")),
    }


def _contests(connection: Connection, span: Span) -> dict[str, int]:
    c = contest.c
    return {
        "filed": _count(connection, _within(c.at_ms, span)),
        "answered": _count(connection, _within(c.answered_ms, span)),
        "withdrawn": _count(connection, _within(c.withdrawn_ms, span)),
        "unanswered_at_end": _count(
            connection, and_(c.at_ms < span.end, c.answer.is_(None), c.withdrawn_ms.is_(None))
        ),
    }


def _views(connection: Connection, span: Span, department: str) -> dict[str, Any]:
    r, g, o = view_request.c, view_grant.c, view_override.c
    given = and_(_within(g.issued_ms, span), g.owner == department, g.request.is_not(None))
    concerned = or_(o.department == department, o.owner == department)
    overrides = connection.execute(
        select(o.grant_id, o.user_id, o.department, o.owner, o.at_ms, o.reason)
        .where(_within(o.at_ms, span), concerned)
        .order_by(o.at_ms)
        .limit(NOTABLE)
    )
    return {
        "requests": _count(connection, and_(_within(r.submitted_ms, span), r.department == department)),
        "grants": _count(connection, given),
        "revoked": _count(connection, and_(_within(g.revoked_ms, span), g.owner == department)),
        "overrides": [
            {
                "grant": row.grant_id,
                "user": row.user_id,
                "department": row.department,
                "owner": row.owner,
                "at": row.at_ms,
                "reason": row.reason[:200],
            }
            for row in overrides
        ],
        "unreviewed_at_end": _count(connection, and_(o.at_ms < span.end, o.reviewed_ms.is_(None), concerned)),
    }


def _within(column: ColumnElement[Any], span: Span) -> ColumnElement[bool]:
    return and_(column >= span.start, column < span.end)


def _count(connection: Connection, where: ColumnElement[bool]) -> int:
    return int(connection.execute(select(func.count()).where(where)).scalar_one())


def _names(connection: Connection, ids: list[str]) -> dict[str, str]:
    rows = connection.execute(select(camera.c.id, camera.c.name).where(camera.c.id.in_(ids)))
    return {key: name for key, name in rows}  # noqa: C416 - rows are not pairs to mypy


def _check_open(item: Shift) -> None:
    if item.ended is not None:
        raise ConflictError("this shift has ended", mend="Look at the one that goes on")


def _shift(row: Any) -> Shift:
    return Shift(
        id=row.id,
        department=row.department,
        started=row.started_ms,
        operators=tuple(row.operators),
        ended=row.ended_ms,
        ended_by=row.ended_by,
        summary=row.summary,
        signed=row.signed_ms,
        signed_by=row.signed_by,
        remark=row.remark,
    )
