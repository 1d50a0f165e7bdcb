"""Imports on their way into the registry: rows that wait to be written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from sharpeyes.domain.time import Ms
from sharpeyes.store.dossier_schema import staged_import, staged_row


@dataclass(frozen=True, slots=True)
class Staged:
    """One import."""

    id: str
    at: Ms
    reason: str
    decided: bool


def add_staged(connection: Connection, item: Staged) -> None:
    connection.execute(
        insert(staged_import).values(id=item.id, at_ms=item.at, reason=item.reason, decided=item.decided)
    )


def add_rows(connection: Connection, import_id: str, first: int, bodies: Sequence[str]) -> None:
    """``first``: number of the first of these."""
    rows = [{"import_id": import_id, "seq": first + n, "body": body} for n, body in enumerate(bodies)]
    connection.execute(insert(staged_row), rows)


def decide_staged(connection: Connection, import_id: str) -> None:
    """From now on all of it will be written."""
    connection.execute(update(staged_import).where(staged_import.c.id == import_id).values(decided=True))


def find_staged(connection: Connection, *, decided: bool) -> Staged | None:
    """The oldest that is, or is not yet, decided."""
    query = select(staged_import).where(staged_import.c.decided == decided).order_by(staged_import.c.at_ms)
    row = connection.execute(query.limit(1)).first()
    return None if row is None else Staged(row.id, Ms(row.at_ms), row.reason, row.decided)


def next_rows(connection: Connection, import_id: str, limit: int) -> list[tuple[int, str]]:
    """The next that wait: number and body."""
    query = select(staged_row.c.seq, staged_row.c.body).where(staged_row.c.import_id == import_id)
    return [(row.seq, row.body) for row in connection.execute(query.order_by(staged_row.c.seq).limit(limit))]


def count_rows(connection: Connection, import_id: str) -> int:
    query = select(func.count()).select_from(staged_row).where(staged_row.c.import_id == import_id)
    return int(connection.execute(query).scalar_one())


def drop_rows(connection: Connection, import_id: str, upto: int) -> None:
    """These are written, or not wanted any more."""
    mine = staged_row.c.import_id == import_id, staged_row.c.seq <= upto
    connection.execute(delete(staged_row).where(*mine))


def drop_staged(connection: Connection, import_id: str) -> None:
    """Of which no row waits."""
    connection.execute(delete(staged_import).where(staged_import.c.id == import_id))
