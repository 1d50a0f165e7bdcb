"""Stamps: what tells whoever keeps what he has read that it is so no more."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from sharpeyes.domain.time import Ms
from sharpeyes.store import schema
from sharpeyes.store.database import Database
from sharpeyes.store.kept import Kept
from sharpeyes.store.telemetry import set_heartbeat

NOW = Ms(1_790_000_000_000)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path}/a.db") as database:
        database.upgrade()
        database.write(lambda c: set_heartbeat(c, NOW))
        yield database


def beat(connection: Connection) -> None:
    set_heartbeat(connection, NOW)


def test_each_way_to_change_a_table_changes_its_stamp_and_no_other(database: Database) -> None:
    row = {"role": "other", "at_ms": 5}
    for change in (
        insert(schema.heartbeat).values(row),
        update(schema.heartbeat).values(at_ms=6),
        delete(schema.heartbeat).where(schema.heartbeat.c.role == "other"),
    ):
        before, elsewhere = database.stamp(schema.heartbeat), database.stamp(schema.camera)
        database.write(lambda c, change=change: c.execute(change) and None)
        assert database.stamp(schema.heartbeat) != before
        assert database.stamp(schema.camera) == elsewhere
    before = database.stamp(schema.heartbeat)
    database.write(beat)
    assert database.stamp(schema.heartbeat) != before, "an upsert, too"


def test_a_read_and_a_write_that_reads_change_nothing(database: Database) -> None:
    before = database.stamp(schema.heartbeat)
    database.read(lambda c: c.execute(select(schema.heartbeat)).all())
    database.write(lambda c: c.execute(select(schema.heartbeat)).all() and None)
    assert database.stamp(schema.heartbeat) == before


def test_what_no_table_can_be_told_of_changes_all(database: Database) -> None:
    before = database.stamp(schema.camera)
    database.write(lambda c: c.exec_driver_sql("UPDATE heartbeat SET at_ms = 7") and None)
    assert database.stamp(schema.camera) != before


def test_no_row_goes_with_that_of_another_table_by_itself() -> None:
    """The database would change a table then that no statement names."""
    keys = [key for table in schema.metadata.tables.values() for key in table.foreign_keys]
    assert keys
    assert [key for key in keys if key.ondelete is not None or key.onupdate is not None] == []


def test_a_write_that_fails_may_be_told_of_but_the_next_one_surely_is(database: Database) -> None:
    def fail(connection: Connection) -> None:
        beat(connection)
        raise LookupError

    with pytest.raises(LookupError):
        database.write(fail)
    before = database.stamp(schema.heartbeat)
    database.write(beat)
    assert database.stamp(schema.heartbeat) != before


async def test_a_quiet_write_is_not_told_of(database: Database) -> None:
    before = database.stamp(schema.heartbeat)
    await database.awrite(beat, quiet=True)
    assert database.stamp(schema.heartbeat) == before
    await database.awrite(beat)
    assert database.stamp(schema.heartbeat) != before


def test_another_process_is_noticed_with_the_next_write(database: Database) -> None:
    other = sqlite3.connect(database.url.database or "", isolation_level=None)
    database.write(beat)
    before = database.stamp(schema.camera)
    database.write(beat)
    assert database.stamp(schema.camera) == before, "our own writes are not another's"
    other.execute("UPDATE heartbeat SET at_ms = 9")
    other.close()
    database.write(beat)
    assert database.stamp(schema.camera) != before


def test_a_stamp_changes_before_the_writer_is_told(database: Database) -> None:
    """Whoever has been told that a change is made never meets what was kept before it."""
    kept: Kept[str, int] = Kept()

    def count() -> int:
        stamp = database.stamp(schema.heartbeat)
        found = kept.get("beats", stamp)
        if found is None:
            found = database.read(lambda c: c.scalar(select(schema.heartbeat.c.at_ms)) or 0)
            kept.put("beats", stamp, found)
        return found

    def beat_on() -> None:
        database.write(
            lambda c: c.execute(update(schema.heartbeat).values(at_ms=schema.heartbeat.c.at_ms + 1))
        )

    other = threading.Thread(target=lambda: [beat_on() for _ in range(50)])
    other.start()
    for n in range(50):
        database.write(lambda c, n=n: set_heartbeat(c, Ms(10**6 * (n + 1))))
        assert count() >= 10**6 * (n + 1)
    other.join()
    assert count() == database.read(lambda c: c.scalar(select(schema.heartbeat.c.at_ms)))


def test_what_is_kept_is_bounded_and_goes_with_its_stamp() -> None:
    kept: Kept[str, int] = Kept(2)
    kept.put("a", 1, 10)
    kept.put("b", 1, 11)
    assert kept.get("a", 1) == 10
    kept.put("c", 1, 12)
    assert kept.get("b", 1) is None, "asked for longest ago"
    assert kept.get("a", 2) is None
    assert kept.get("a", 1) is None, "once it was old it is gone"
    kept.drop("c")
    assert kept.get("c", 1) is None
    kept.drop("c")
