"""One database, one writer: transactions for synchronous and asynchronous callers.

SQLite allows one writer at a time; giving all writes to one thread of our own makes them queue in memory
instead of meeting each other's locks, and a commit is on the disk (``synchronous=FULL``) before :meth:`write`
returns. Readers have connections of their own and, thanks to the write-ahead log, wait for nobody: each read
sees one consistent snapshot. PostgreSQL is driven in the same way.

Whoever keeps what he has read asks for the :meth:`Database.stamp` of the tables it is from: as long as that
is the same, so are they.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.util import CommandError
from sqlalchemy import (
    CTE,
    URL,
    Column,
    Connection,
    Engine,
    Row,
    Select,
    Table,
    create_engine,
    event,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from sharpeyes.domain.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError

BUSY_MS = 10_000
"""How long SQLite waits for a lock that another process holds."""

ELSEWHERE_S = 2.0
"""PostgreSQL does not say that another process has written: for this long nobody asks."""

READERS = 4
QUICK = 2
"""Threads for reads that must not wait behind those of a year's figures."""

FULL = "Look whether the database's disk is full or read-only, and at the service's log"
"""The mend of most of what a database refuses."""

T = TypeVar("T")


class Database:
    """A database by its SQLAlchemy URL: ``sqlite:////var/lib/sharpeyes/sharpeyes.db`` or ``postgresql://...``.

    ``write`` and ``read`` run a function of a connection within a transaction: committed when it returns,
    rolled back when it raises, and its result or exception is the caller's. A function given to ``read``
    cannot change anything. ``awrite`` and ``aread`` do the same from a coroutine without holding its loop; a
    coroutine that is cancelled meanwhile does not learn whether its write was committed.
    """

    def __init__(self, url: str | URL, *, readers: int = READERS) -> None:
        try:
            self.url = make_url(url)
        except ArgumentError:
            raise InvalidInputError(
                "the database URL is not a URL",  # not shown: it may hold a password
                mend="Write for example sqlite:////var/lib/sharpeyes/sharpeyes.db",
            ) from None
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            _create_private(self.url)
        self._write_engine = _engine(self.url, size=1, readonly=False)
        self._read_engine = _engine(self.url, size=readers + QUICK, readonly=True)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="store-read")
        self._quick = ThreadPoolExecutor(QUICK, thread_name_prefix="store-quick")
        self._writing = threading.local()
        self._changes: Counter[str] = Counter()
        self._elsewhere = 0
        self._version: object = None
        self._touched: set[str] = set()
        self._reserved: tuple[frozenset[str], str] = frozenset(), ""
        self._holder = False
        event.listen(self._write_engine, "before_cursor_execute", self._touch)
        self._closed = False

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)})"

    def write(self, fn: Callable[[Connection], T]) -> T:
        """Run ``fn`` in the writer's thread; when this returns, its changes are durable."""
        if getattr(self._writing, "now", False):
            raise RuntimeError("a write within a write would wait for itself: pass the connection on")
        self._check_open()
        return self._writer.submit(self._run_write, fn).result()

    async def awrite(self, fn: Callable[[Connection], T], *, quiet: bool = False, holder: bool = False) -> T:
        """``quiet``: no :meth:`stamp` tells of it. Only for what whoever keeps what he read goes not by.
        ``holder``: of the tables that are :meth:`reserved`."""
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(
            self._writer, self._run_write, fn, quiet, holder
        )

    @contextmanager
    def reserved(self, *tables: Table, why: str) -> Iterator[None]:
        """While it lasts, nobody but the holder changes these tables in this process: ConflictError for
        others, who are told ``why``."""
        self._reserved = frozenset(table.name for table in tables), why
        try:
            yield
        finally:
            self._reserved = frozenset(), ""

    def stamp(self, *tables: Table) -> tuple[object, ...]:
        """Another one after every change of any of the tables; to be taken *before* they are read.

        It is another one as soon as the write that changed them returns. What another process writes is
        noticed with the next write here, which the sign of life makes one a second; on PostgreSQL within two
        seconds. Taken without a look at the database.
        """
        elsewhere = self._elsewhere if self.is_sqlite else time.monotonic() // ELSEWHERE_S
        return (elsewhere, *(self._changes[table.name] for table in tables))

    def read(self, fn: Callable[[Connection], T]) -> T:
        """Run ``fn`` in the caller's thread on one snapshot."""
        self._check_open()
        with self._read_engine.begin() as connection:
            return fn(connection)

    async def aread(self, fn: Callable[[Connection], T]) -> T:
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read, fn)

    async def aquick(self, fn: Callable[[Connection], T]) -> T:
        """The same for a few rows by their keys, in a lane of its own: who somebody is and what they may see.
        A reader who asks for much must not have every picture of the city end for want of an answer."""
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._quick, self.read, fn)

    def upgrade(self, revision: str = "head") -> None:
        """Bring the schema to ``revision``, in one transaction: wholly or not at all.

        Raises ConflictError if the database was written by a newer version of SharpEyes.
        """
        self._migrate(command.upgrade, revision)

    def downgrade(self, revision: str) -> None:
        """Take the schema back to ``revision`` (``base``: nothing is left), in one transaction."""
        self._migrate(command.downgrade, revision)

    def close(self) -> None:
        """Finish the writes under way, then let go of the files. No reads or writes afterwards."""
        self._closed = True
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._quick.shutdown(wait=True)
        self._read_engine.dispose()
        self._write_engine.dispose()  # last: the last SQLite connection folds the log into the file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run_write(self, fn: Callable[[Connection], T], quiet: bool = False, holder: bool = False) -> T:
        self._writing.now, self._holder = True, holder
        try:
            with self._write_engine.begin() as connection:
                self._look_elsewhere(connection)
                result = fn(connection)
                if not under_way(connection):
                    raise UnavailableError("the database gave up the transaction", mend=FULL)
                return result
        finally:
            # However it ended: to read once more than needed harms nobody.
            self._changes.update(() if quiet else self._touched)
            self._touched.clear()
            self._writing.now = False

    def _look_elsewhere(self, connection: Connection) -> None:
        """Whether another process has written: SQLite has a number for each connection that says so, and all
        writes of this process go through one."""
        if self.is_sqlite:
            dbapi = connection.connection.dbapi_connection
            version = (id(dbapi), connection.exec_driver_sql("PRAGMA data_version").scalar())
            if version != self._version:
                self._version = version
                self._elsewhere += 1

    def _touch(
        self, _connection: Connection, _cursor: Any, statement: str, _values: Any, context: Any, _many: bool
    ) -> None:
        """A statement of the writer: which table it changes. No row goes with that of another by itself."""
        compiled = context.compiled
        if compiled is None:
            if statement.split(None, 1)[0].upper() not in _HARMLESS:
                self._elsewhere += 1
        elif context.isinsert or context.isupdate or context.isdelete:
            table, (reserved, why) = compiled.statement.table.name, self._reserved
            if table in reserved and not self._holder:
                raise ConflictError(why, mend="Try again in a few seconds")
            self._touched.add(table)
        elif not compiled.statement.is_select:
            self._elsewhere += 1

    def _check_open(self) -> None:
        if self._closed:
            raise UnavailableError("the database is closed")

    def _migrate(self, step: Callable[[AlembicConfig, str], None], revision: str) -> None:
        self._check_open()
        self._writer.submit(self._run_migration, step, revision).result()

    def _run_migration(self, step: Callable[[AlembicConfig, str], None], revision: str) -> None:
        config = AlembicConfig()
        config.set_main_option("script_location", "sharpeyes.store:migrations")
        # SQLite changes a table by writing a new one and dropping the old, which must not cascade: foreign
        # keys are off for this connection, and checked as a whole before the commit.
        engine = _engine(self.url, size=0, readonly=False, foreign_keys=False)
        try:
            with engine.begin() as connection:
                config.attributes["connection"] = connection
                step(config, revision)
                if self.is_sqlite and (
                    broken := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchone()
                ):
                    raise ConflictError(f"the migration would leave a row of {broken[0]} without its parent")
        except CommandError as error:
            raise ConflictError(
                f"the database does not fit this version of SharpEyes ({error})",
                mend="It was written by a newer version: start that one, or restore a backup from before it",
            ) from None
        except DBAPIError as error:
            raise UnavailableError(
                f"the database cannot be opened: {error.orig}",
                mend="Check that it is a SharpEyes database and that this user may write to it",
            ) from None
        finally:
            engine.dispose()


_HARMLESS = frozenset({"BEGIN", "PRAGMA", "SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK"})


def under_way(connection: Connection) -> bool:
    """False if SQLite has given up the transaction by itself, as it does when its disk is full or fails.

    What was written in it is gone then, a savepoint before it included, and what is written now would be
    committed at once: whoever goes on after an error has to ask.
    """
    if connection.dialect.name != "sqlite":
        return True
    dbapi = connection.connection.dbapi_connection
    return dbapi is not None and bool(dbapi.in_transaction)


def one_row(connection: Connection, column: Column[Any], key: str, what: str) -> Row[Any]:
    """The row of this key; NotFoundError if there is none."""
    row = connection.execute(select(column.table).where(column == key)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no {what} {key!r}")
    return row


def found_first(query: Select[Any]) -> CTE:
    """Its rows, found before they are ordered or grouped: SQLite would rather walk through a whole table in
    that order than sort a few rows of it."""
    return query.cte().prefix_with("MATERIALIZED")


def upsert(connection: Connection, table: Table, keys: Sequence[str]) -> Any:
    """``INSERT ... ON CONFLICT DO UPDATE`` of all columns, in the words of the connection's database."""
    return _upsert(connection.dialect.name, table, tuple(keys))


@cache
def _upsert(dialect: str, table: Table, keys: tuple[str, ...]) -> Any:
    """Put together once: each one makes a copy of the table, of hundreds of objects that hold each other, and
    with some a second the collector of those stops every thread for a tenth of a second again and again."""
    statement = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=list(keys), set_=changed)


def _create_private(url: URL) -> None:
    """Create the SQLite file for its owner only; its log files take over its mode."""
    name = url.database
    if not name or name == ":memory:" or name.startswith("file:"):
        raise InvalidInputError(
            "the SQLite database needs the path of a file",
            mend="Write for example sqlite:////var/lib/sharpeyes/sharpeyes.db",
        )
    try:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise UnavailableError(
            f"the database {name} cannot be opened: {error.strerror}",
            mend="Give the user that runs SharpEyes the right to write there",
        ) from None


def _engine(url: URL, *, size: int, readonly: bool, foreign_keys: bool = True) -> Engine:
    """An engine with a pool of ``size`` connections; 0 for none kept."""
    pool: dict[str, Any] = {"poolclass": NullPool}
    if size:
        # A reader within a reader must not wait for itself; there is only ever one writer.
        pool = {"pool_size": size, "max_overflow": 16 if readonly else 0, "pool_timeout": 30}
    sqlite = url.get_backend_name() == "sqlite"
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    options: dict[str, Any] = {"timeout": BUSY_MS / 1000} if sqlite else {}
    try:
        engine = create_engine(url, connect_args=options, hide_parameters=True, **pool)
    except NoSuchModuleError as error:
        raise InvalidInputError(
            f"databases of the kind {url.get_backend_name()} are not supported",
            mend="Use sqlite:///... or postgresql://...",
        ) from error
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"the driver {error.name} for {url.get_backend_name()} is not installed",
            mend=f"pip install '{error.name}[binary]'",
        ) from error
    if sqlite:
        _set_up_sqlite(engine, readonly=readonly, foreign_keys=foreign_keys)
    elif readonly:
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine


def _set_up_sqlite(engine: Engine, *, readonly: bool, foreign_keys: bool) -> None:
    begin = "BEGIN" if readonly else "BEGIN IMMEDIATE"  # a writer takes its lock at once, never half-way

    @event.listens_for(engine, "connect")
    def connected(dbapi: Any, _record: Any) -> None:
        dbapi.isolation_level = None  # transactions are begun below, not guessed at by the sqlite3 module
        dbapi.execute("PRAGMA journal_mode = WAL")
        dbapi.execute("PRAGMA synchronous = FULL")
        dbapi.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        if readonly:
            dbapi.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)
