"""The one-writer database: transactions, durability settings, threads, closing."""

import asyncio
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, OperationalError

from sharpeyes.domain.errors import InvalidInputError, UnavailableError
from sharpeyes.store.database import Database


@pytest.fixture
def database(tmp_path: Path):
    with Database(f"sqlite:///{tmp_path}/a.db") as database:
        database.upgrade()
        yield database


def beat(role: str, at: int):
    def write(connection: Connection) -> int:
        connection.exec_driver_sql("INSERT INTO heartbeat VALUES (?, ?)", (role, at))
        return at

    return write


def roles(connection: Connection) -> list[str]:
    return list(connection.exec_driver_sql("SELECT role FROM heartbeat ORDER BY role").scalars())


def test_a_write_is_committed_and_its_value_returned(database: Database) -> None:
    assert database.write(beat("api", 5)) == 5
    assert database.read(roles) == ["api"]


def test_an_exception_rolls_everything_back(database: Database) -> None:
    def half(connection: Connection) -> None:
        beat("api", 1)(connection)
        raise LookupError("in the middle")

    with pytest.raises(LookupError, match="in the middle"):
        database.write(half)
    assert database.read(roles) == []
    assert database.write(beat("api", 2)) == 2, "the writer goes on"


def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(OperationalError, match="readonly"):
        database.read(beat("api", 1))


def test_a_read_sees_one_snapshot_while_the_writer_goes_on(database: Database) -> None:
    def twice(connection: Connection) -> tuple[list[str], list[str]]:
        before = roles(connection)
        database.write(beat("api", 1))
        return before, roles(connection)

    assert database.read(twice) == ([], [])
    assert database.read(roles) == ["api"]


def test_writes_are_durable_and_keys_are_checked(database: Database) -> None:
    def pragmas(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert database.write(pragmas) == ["wal", 2, 1]
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        database.write(
            lambda c: c.exec_driver_sql("INSERT INTO stream (camera_id, role, url) VALUES ('x', 'main', 'y')")
        )


def test_another_process_that_holds_the_lock_is_waited_for(database: Database) -> None:
    other = sqlite3.connect(database.url.database or "", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.1, other.execute, ("COMMIT",))
    release.start()
    assert database.write(beat("api", 1)) == 1
    release.join()
    other.close()


async def test_coroutines_write_and_read_without_holding_the_loop(database: Database) -> None:
    async def one(n: int) -> int:
        return await database.awrite(beat(f"r{n:02}", n))

    assert await asyncio.gather(*map(one, range(50))) == list(range(50))
    assert len(await database.aread(roles)) == 50
    writer = await database.awrite(lambda _: threading.current_thread().name)
    assert writer != threading.current_thread().name
    assert writer == database.write(lambda _: threading.current_thread().name), "one writer for all"


async def test_a_cancelled_write_does_not_stop_the_next(database: Database) -> None:
    gate = threading.Event()
    task = asyncio.create_task(database.awrite(lambda _: gate.wait(5)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    assert await database.awrite(beat("api", 1)) == 1


def test_a_write_within_a_write_is_refused_rather_than_waiting_for_ever(database: Database) -> None:
    with pytest.raises(RuntimeError, match="a write within a write"):
        database.write(lambda _: database.write(roles))


async def test_closed_is_closed_and_what_was_under_way_is_kept(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    database.upgrade()
    pending = [asyncio.ensure_future(database.awrite(beat(f"r{n}", n))) for n in range(20)]
    await asyncio.sleep(0)
    await asyncio.to_thread(database.close)
    await asyncio.gather(*pending)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db"], "the log is folded into the file"
    for use in (database.read, database.write):
        with pytest.raises(UnavailableError, match="closed"):
            use(roles)
    database.close()
    with Database(f"sqlite:///{tmp_path}/a.db") as again:
        assert len(again.read(roles)) == 20


def test_only_the_owner_may_read_the_files(database: Database) -> None:
    database.write(beat("api", 1))
    folder = Path(database.url.database or "").parent
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize(
    "url", ["", "sqlite://", "sqlite:///:memory:", "sqlite:///file:x?uri=true", "hunter2", "oracle9://h/x"]
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Database(url)
    assert caught.value.mend
    assert "hunter2" not in str(caught.value)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot be opened"):
        Database(f"sqlite:///{tmp_path}/file/a.db")


def test_a_database_url_shows_no_password(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/a.db") as database:
        database.url = database.url.set(username="u", password="hunter2")
        assert "hunter2" not in repr(database)
