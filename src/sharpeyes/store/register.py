"""The register's rows: appended, read, never changed; only what the oldest said is taken out in the end.
Hashing and meaning are in ``access.register``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, func, insert, or_, select, text, update

from sharpeyes.domain.time import Ms
from sharpeyes.store.access_schema import (
    PRUNED,
    register_checkpoint,
    register_entry,
    register_node,
    register_pruning,
)

CHUNK = 4096
"""Rows read at a time when the whole register is read."""

GENESIS = bytes(32)
"""The link before the first entry."""


class Head(NamedTuple):
    """The register's end: how many entries it has, and the link of the last."""

    size: int
    link: bytes


class EntryRow(NamedTuple):
    """One entry as stored."""

    seq: int
    at_ms: int
    kind: str
    user_id: str | None
    camera_id: str | None
    leaf: bytes
    link: bytes
    body: bytes

    @property
    def pruned(self) -> bool:
        """Whether what it said was removed; its hashes stay."""
        return not self.body


class CheckpointRow(NamedTuple):
    """One checkpoint as stored."""

    size: int
    at_ms: int
    note: str


class PruningRow(NamedTuple):
    """What was announced by entry ``seq``: the words of the entries up to ``upto`` go."""

    seq: int
    upto: int
    before_ms: Ms
    """Each of them is older than this."""


_ENTRY = select(*(register_entry.c[name] for name in EntryRow._fields))


def lock_register(connection: Connection) -> None:
    """Let no other process append until this transaction ends. SQLite's writer holds such a lock anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE register_entry IN EXCLUSIVE MODE"))


def read_head(connection: Connection) -> Head:
    row = connection.execute(
        select(register_entry.c.seq, register_entry.c.link).order_by(register_entry.c.seq.desc()).limit(1)
    ).one_or_none()
    return Head(row.seq, row.link) if row else Head(0, GENESIS)


def add_entries(
    connection: Connection, entries: Sequence[EntryRow], nodes: Sequence[tuple[int, int, bytes]]
) -> None:
    """Append entries and the tree's nodes (level, position, hash) that they complete."""
    _insert_all(connection, register_entry.name, EntryRow._fields, entries)
    _insert_all(connection, register_node.name, ("level", "position", "hash"), nodes)


def _insert_all(
    connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Tuples as they are, straight to the driver: half the time of a batch was SQLAlchemy turning dicts
    into these same tuples. The names are ours; every value is bound."""
    if rows:
        mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
        marks = ", ".join([mark] * len(columns))
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
        connection.exec_driver_sql(statement, list(rows))


def read_node(connection: Connection, level: int, position: int) -> bytes:
    """A complete node of the tree; KeyError if it is not there."""
    if level == 0:
        query = select(register_entry.c.leaf).where(register_entry.c.seq == position + 1)
    else:
        query = select(register_node.c.hash).where(
            register_node.c.level == level, register_node.c.position == position
        )
    found: bytes | None = connection.execute(query).scalar_one_or_none()
    if found is None:
        raise KeyError((level, position))
    return found


def read_nodes_at(connection: Connection, places: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """Complete nodes by (level, position), in two queries; those that are not there are left out."""
    leaves = [position + 1 for level, position in places if level == 0]
    inner = [place for place in places if place[0]]
    found: dict[tuple[int, int], bytes] = {}
    if leaves:
        of_leaves = select(register_entry.c.seq, register_entry.c.leaf).where(
            register_entry.c.seq.in_(leaves)
        )
        found.update({(0, row.seq - 1): row.leaf for row in connection.execute(of_leaves)})
    if inner:
        column = register_node.c
        # Not (level, position) IN (...): SQLite reads the whole table for that.
        of_nodes = select(column.level, column.position, column.hash).where(
            or_(*(and_(column.level == level, column.position == position) for level, position in inner))
        )
        found.update({(row.level, row.position): row.hash for row in connection.execute(of_nodes)})
    return found


def read_nodes(connection: Connection, level: int, start: int, end: int) -> dict[int, bytes]:
    """Inner nodes of a level by position, ``[start, end)``."""
    query = select(register_node.c.position, register_node.c.hash).where(
        register_node.c.level == level, register_node.c.position >= start, register_node.c.position < end
    )
    return {row.position: row.hash for row in connection.execute(query)}


def reach_of_nodes(connection: Connection) -> int:
    """The number of entries that the stored inner nodes speak of."""
    query = select(register_node.c.level, func.max(register_node.c.position)).group_by(register_node.c.level)
    return max(((top + 1) << level for level, top in connection.execute(query)), default=0)


def read_entry(connection: Connection, seq: int) -> EntryRow | None:
    row = connection.execute(_ENTRY.where(register_entry.c.seq == seq)).one_or_none()
    return _entry(row) if row else None


def read_entries(connection: Connection, after: int = 0, upto: int | None = None) -> Iterator[list[EntryRow]]:
    """The entries with ``after < seq <= upto`` in order, a chunk at a time."""
    while True:
        query = _ENTRY.where(register_entry.c.seq > after).order_by(register_entry.c.seq).limit(CHUNK)
        if upto is not None:
            query = query.where(register_entry.c.seq <= upto)
        chunk = [_entry(row) for row in connection.execute(query)]
        if not chunk:
            return
        yield chunk
        after = chunk[-1].seq


def find_entries(
    connection: Connection,
    *,
    kind: str | None = None,
    user: str | None = None,
    camera: str | None = None,
    start: Ms | None = None,
    end: Ms | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[EntryRow]:
    """Newest first; ``before`` is the number of the last entry already seen. Without those whose removal was
    announced."""
    query = _ENTRY.where(register_entry.c.seq > pruned_upto(connection))
    query = query.order_by(register_entry.c.seq.desc()).limit(limit)
    if kind is not None:
        query = query.where(register_entry.c.kind == kind)
    if user is not None:
        query = query.where(register_entry.c.user_id == user)
    if camera is not None:
        query = query.where(register_entry.c.camera_id == camera)
    if start is not None:
        query = query.where(register_entry.c.at_ms >= start)
    if end is not None:
        query = query.where(register_entry.c.at_ms < end)
    if before is not None:
        query = query.where(register_entry.c.seq < before)
    return [_entry(row) for row in connection.execute(query)]


def find_span(connection: Connection, start: Ms, end: Ms) -> tuple[int, int]:
    """The numbers of the first and the last entry of ``[start, end)``; (0, 0) if it has none. What lies
    between them belongs to an account without gaps, though its time may be a trifle outside. Entries whose
    removal was announced are not in it."""
    row = connection.execute(
        select(func.min(register_entry.c.seq), func.max(register_entry.c.seq)).where(
            register_entry.c.at_ms >= start,
            register_entry.c.at_ms < end,
            register_entry.c.seq > pruned_upto(connection),
        )
    ).one()
    return (row[0], row[1]) if row[0] is not None else (0, 0)


def add_checkpoint(connection: Connection, row: CheckpointRow) -> None:
    connection.execute(insert(register_checkpoint).values(**row._asdict()))


def last_checkpoint(connection: Connection) -> CheckpointRow | None:
    row = connection.execute(
        select(register_checkpoint).order_by(register_checkpoint.c.size.desc()).limit(1)
    ).one_or_none()
    return CheckpointRow(row.size, row.at_ms, row.note) if row else None


def read_checkpoints(connection: Connection, after: int = 0) -> list[CheckpointRow]:
    """Those of more than ``after`` entries, oldest first."""
    query = (
        select(register_checkpoint)
        .where(register_checkpoint.c.size > after)
        .order_by(register_checkpoint.c.size)
    )
    return [CheckpointRow(row.size, row.at_ms, row.note) for row in connection.execute(query)]


# --- removal of the oldest ----------------------------------------------------------------------------


def read_prunings(connection: Connection) -> list[PruningRow]:
    """All announcements, newest first."""
    rows = connection.execute(select(register_pruning).order_by(register_pruning.c.seq.desc()))
    return [PruningRow(row.seq, row.upto, row.before_ms) for row in rows]


def pruned_upto(connection: Connection) -> int:
    """The last entry whose removal was announced; 0: none was."""
    found: int | None = connection.execute(select(func.max(register_pruning.c.upto))).scalar_one()
    return found or 0


def last_before(connection: Connection, after: int, before: Ms) -> int:
    """The last entry such that it and all since ``after`` are older than ``before``; ``after`` if none is."""
    column = register_entry.c
    query = select(column.seq).where(column.seq > after, column.at_ms >= before)
    first_kept = connection.execute(query.order_by(column.seq).limit(1)).scalar_one_or_none()
    return read_head(connection).size if first_kept is None else first_kept - 1


def add_pruning(connection: Connection, row: PruningRow) -> None:
    connection.execute(insert(register_pruning).values(**row._asdict()))


def first_unpruned(connection: Connection, upto: int) -> int:
    """The first entry of the register that still says something; ``upto`` + 1 if none up to there does. They
    are emptied in order, so that a search by halves finds it."""
    low, high = 1, upto + 1
    while low < high:
        middle = (low + high) // 2
        row = read_entry(connection, middle)
        if row is not None and row.pruned:
            low = middle + 1
        else:
            high = middle
    return low


def empty_entries(connection: Connection, first: int, last: int) -> int:
    """Take out what these entries said, so that the file does not keep it either. Their hashes stay."""
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:  # else the old bytes stay in pages that are free
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
    column = register_entry.c
    count = connection.execute(
        update(register_entry)
        .where(column.seq >= first, column.seq <= last)
        .values(at_ms=0, kind=PRUNED, user_id=None, camera_id=None, body=b"")
    ).rowcount
    if sqlite:
        connection.exec_driver_sql("PRAGMA secure_delete = OFF")
    return count


def _entry(row: Row[Any]) -> EntryRow:
    return EntryRow._make(row)
