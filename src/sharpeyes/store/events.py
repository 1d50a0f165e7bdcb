"""The journal of the registry: what happened to which device, camera or account. Append-only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from sharpeyes.domain.time import Ms
from sharpeyes.store.schema import event

VIEW_ACCEPTED = "view_accepted"
"""Kind of the event by which an operator takes what a camera shows for its normal view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line. The message and the detail hold no secret."""

    at: Ms
    kind: str
    subject: str
    """Id of what it is about."""
    message: str
    detail: Mapping[str, Any] | None = None
    id: int | None = None
    """Given by the journal; grows with every line."""


def record(connection: Connection, events: Iterable[Event]) -> None:
    """Add the lines, in their order. What a device said about itself may be in them: it is cut to length."""
    rows = [
        {
            "at_ms": e.at,
            "kind": e.kind,
            "subject": e.subject[:64],
            "message": e.message[:2000],
            "detail": e.detail,
        }
        for e in events
    ]
    if rows:
        connection.execute(insert(event), rows)


def list_events(
    connection: Connection,
    *,
    subject: str | None = None,
    kind: str | None = None,
    before: int | None = None,
    limit: int = 100,
    accounts: bool = True,
) -> list[Event]:
    """Newest first; ``before`` is the id of the last line already seen; ``accounts``: those about people's
    accounts as well."""
    query = select(event).order_by(event.c.id.desc()).limit(limit)
    if not accounts:
        query = query.where(event.c.kind != "account")
    if subject is not None:
        query = query.where(event.c.subject == subject)
    if kind is not None:
        query = query.where(event.c.kind == kind)
    if before is not None:
        query = query.where(event.c.id < before)
    return [
        Event(
            id=row.id,
            at=row.at_ms,
            kind=row.kind,
            subject=row.subject,
            message=row.message,
            detail=row.detail,
        )
        for row in connection.execute(query)
    ]
