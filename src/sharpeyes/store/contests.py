"""Contested intervals: what a department says against one, and what an operator answers. Both stay.

Its author may withdraw one that nobody has answered; that stays on the record too."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, update

from sharpeyes.domain.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.time import Ms, Span, iso
from sharpeyes.store.events import Event, record
from sharpeyes.store.rates_schema import contest
from sharpeyes.store.schema import camera_state, membership, state_interval
from sharpeyes.store.tokens import check_another

TEXT = 4000
"""Characters of a text."""


class Outcome(StrEnum):
    """What came of a contest. No outcome changes an interval: a remedy is an exclusion, which has its own two
    people."""

    UPHELD = "upheld"
    """The department is right."""
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One text against one interval, and the answer if there is one."""

    id: str
    interval: Interval
    """As it was when it was contested."""
    department: str
    author: str
    text: str
    at: Ms
    outcome: Outcome | None = None
    answer: str | None = None
    answered_by: str | None = None
    answered: Ms | None = None
    withdrawn: Ms | None = None
    withdrawal: str | None = None
    """Why its author withdrew it."""


def interval_of(connection: Connection, camera_id: str, start: Ms) -> Interval:
    """The interval of a camera that begins there, an open one included; NotFoundError if none does."""
    i, s = state_interval.c, camera_state.c
    closed = connection.execute(
        select(i.state, i.cause, i.ended_ms).where(i.camera_id == camera_id, i.started_ms == start)
    ).first()
    if closed is not None:
        return _interval(camera_id, start, closed.ended_ms, closed.state, closed.cause)
    lasting = connection.execute(
        select(s.state, s.cause).where(s.camera_id == camera_id, s.since_ms == start)
    ).first()
    if lasting is None:
        raise NotFoundError(f"no interval of camera {camera_id[:64]} begins at {iso(start)}")
    return _interval(camera_id, start, None, lasting.state, lasting.cause)


def departments_of(connection: Connection, interval: Interval) -> set[str]:
    """Whose the camera was meanwhile."""
    m = membership.c
    query = select(m.department).where(
        m.camera_id == interval.camera,
        *([m.started_ms < interval.end] if interval.end is not None else []),
        or_(m.ended_ms.is_(None), m.ended_ms > interval.start),
    )
    return set(connection.scalars(query))


def file(
    connection: Connection, camera_id: str, start: Ms, *, department: str, author: str, text: str, now: Ms
) -> Contest:
    """Contest the interval of a camera that begins at ``start``.

    ForbiddenError if the camera was not the department's, ConflictError while one of it is unanswered.
    """
    _check(text, "text")
    interval = interval_of(connection, camera_id, start)
    if department not in departments_of(connection, interval):
        raise ForbiddenError(f"camera {camera_id} was not of {department} during this interval")
    c = contest.c
    waiting = select(c.id).where(
        c.camera_id == camera_id, c.started_ms == start, c.department == department, _open()
    )
    if (other := connection.scalar(waiting)) is not None:
        raise ConflictError(f"contest {other} against this interval is not answered yet")
    filed = Contest(
        id=secrets.token_hex(8), interval=interval, department=department, author=author, text=text, at=now
    )
    connection.execute(
        insert(contest),
        {
            "id": filed.id,
            "camera_id": camera_id,
            "started_ms": start,
            "ended_ms": interval.end,
            "state": interval.state.value,
            "cause": interval.cause,
            "department": department,
            "author": author,
            "text": text,
            "at_ms": now,
        },
    )
    _note(connection, filed.id, f"filed by {author}: {text}", now)
    return filed


def answer(connection: Connection, key: str, *, by: str, text: str, outcome: Outcome, now: Ms) -> Contest:
    """Answer a contest, once. ConflictError if it is answered, ForbiddenError for one's own, by whichever
    credential."""
    _check(text, "text")
    found = get(connection, key)
    _check_open(found)
    check_another(connection, by, found.author, "nobody answers a contest of their own")
    connection.execute(
        update(contest)
        .where(contest.c.id == key)
        .values(outcome=outcome.value, answer=text, answered_by=by, answered_ms=now)
    )
    _note(connection, key, f"{outcome} by {by}: {text}", now)
    return get(connection, key)


def withdraw(connection: Connection, key: str, *, by: str, reason: str, now: Ms) -> Contest:
    """Take one's own contest back. ForbiddenError for another's, ConflictError once it is answered."""
    found = get(connection, key)
    if by != found.author:
        raise ForbiddenError("only its author withdraws a contest", mend="Answer it instead")
    _check_open(found)
    _check(reason, "reason")
    connection.execute(update(contest).where(contest.c.id == key).values(withdrawn_ms=now, withdrawal=reason))
    _note(connection, key, f"withdrawn by {by}: {reason}", now)
    return get(connection, key)


def get(connection: Connection, key: str) -> Contest:
    """NotFoundError if there is none."""
    row = connection.execute(select(contest).where(contest.c.id == key)).first()
    if row is None:
        raise NotFoundError(f"there is no contest {key[:64]}")
    return _values([row])[0]


def listed(
    connection: Connection,
    *,
    span: Span | None = None,
    camera_id: str | None = None,
    start: Ms | None = None,
    department: str | None = None,
    answered: bool | None = None,
    outcome: Outcome | None = None,
    author: str | None = None,
    limit: int = 1000,
) -> list[Contest]:
    """Contests, newest first: of intervals that touch the span, of a camera, of one interval by its start."""
    c = contest.c
    query = select(contest).order_by(c.at_ms.desc(), c.id).limit(limit)
    if span is not None:
        query = query.where(c.started_ms < span.end, or_(c.ended_ms.is_(None), c.ended_ms > span.start))
    for column, value in (
        (c.camera_id, camera_id),
        (c.started_ms, start),
        (c.department, department),
        (c.outcome, outcome),
        (c.author, author),
    ):
        if value is not None:
            query = query.where(column == value)
    if answered is not None:
        query = query.where(c.answer.is_not(None) if answered else _open())
    return _values(connection.execute(query))


def _note(connection: Connection, key: str, message: str, now: Ms) -> None:
    record(connection, [Event(at=now, kind="contest", subject=key, message=message)])


def _open() -> ColumnElement[bool]:
    return and_(contest.c.answer.is_(None), contest.c.withdrawn_ms.is_(None))


def _check_open(item: Contest) -> None:
    if item.answer is not None:
        raise ConflictError(f"contest {item.id} is answered already; both texts stay as they are")
    if item.withdrawn is not None:
        raise ConflictError(f"contest {item.id} is withdrawn already")


def _check(text: str, name: str) -> None:
    if not text.strip() or len(text) > TEXT:
        raise InvalidInputError(f"{name}: 1 to {TEXT} characters")


def _interval(camera_id: str, start: Ms, end: Ms | None, state: str, cause: str | None) -> Interval:
    return Interval(camera=camera_id, state=State(state), start=start, end=end, cause=cause)


def _values(rows: Iterable[Any]) -> list[Contest]:
    return [
        Contest(
            id=row.id,
            interval=_interval(row.camera_id, row.started_ms, row.ended_ms, row.state, row.cause),
            department=row.department,
            author=row.author,
            text=row.text,
            at=row.at_ms,
            outcome=None if row.outcome is None else Outcome(row.outcome),
            answer=row.answer,
            answered_by=row.answered_by,
            answered=row.answered_ms,
            withdrawn=row.withdrawn_ms,
            withdrawal=row.withdrawal,
        )
        for row in rows
    ]
