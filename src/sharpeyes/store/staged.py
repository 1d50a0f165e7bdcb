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


def decide_staged(connection: Connection, import_id: str) -> bool:
    """From now on all of it will be written. False if it is not there any more."""
    decided = update(staged_import).where(staged_import.c.id == import_id).values(decided=True)
    return connection.execute(decided).rowcount > 0


def list_staged(connection: Connection) -> list[Staged]:
    """All of them, oldest first."""
    rows = connection.execute(select(staged_import).order_by(staged_import.c.at_ms))
    return [Staged(row.id, Ms(row.at_ms), row.reason, row.decided) for row in rows]


def hold_staged(connection: Connection, import_id: str, *, decided: bool | None = None) -> bool:
    """Whether it is there (and decided, or not); no other process changes that in this transaction."""
    query = select(staged_import.c.id).where(staged_import.c.id == import_id).with_for_update()
    if decided is not None:
        query = query.where(staged_import.c.decided == decided)
    return connection.execute(query).first() is not None


def one_at_a_time(connection: Connection) -> None:
    """No other process adds one before this transaction ends. On SQLite none writes meanwhile anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE staged_import IN SHARE ROW EXCLUSIVE MODE")


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
