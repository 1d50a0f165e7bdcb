"""Old intervals go to files; the figures of their days stay here for ever.

A day's intervals, those that ended on it, go into a Parquet file once they are older than 400 days and their
day has been added up: those of states into one, those of rungs into another. Both are complete and on the
disk before anything is deleted, and the deletion and the files' entries are one transaction: whenever the
process dies, every interval is in the database or in a file, and the next run goes on from there. A file that
has its entry is never written again.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import itertools
import logging
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from sharpeyes.domain.errors import SharpEyesError, UnavailableError
from sharpeyes.domain.time import DAY_MS, Ms, Span
from sharpeyes.rates import timeline
from sharpeyes.rates.background import in_background
from sharpeyes.store import rollups
from sharpeyes.store.database import Database
from sharpeyes.store.rollups import Filed, Kind

log = logging.getLogger(__name__)

KEEP_DAYS = 400
EVERY_S = 24 * 3600.0
SOON_S = 600.0
"""After a start, so that days are added up first."""
BATCH = 20_000
FOLDER = "archive"


@dataclass(frozen=True, slots=True)
class Due:
    """The intervals of a day that may go."""

    kind: Kind
    file: str
    until: Ms
    rows: int


def due(connection: Connection, zone: tzinfo, now: Ms, keep_days: int = KEEP_DAYS) -> list[Due]:
    """What may go, oldest first: up to the first day that was not added up."""
    first = rollups.first_end(connection)
    if first is None:
        return []
    limit = timeline.day(datetime.fromtimestamp((now - keep_days * DAY_MS) / 1000, zone).date(), zone).start
    if first > limit:
        return []
    member = rollups.first_member(connection)
    since = max(rollups.archived_until(connection), member if member is not None else first)
    fresh = {day.span for day in rollups.days(connection) if day.fresh}
    found, before, taken = [], dict.fromkeys(Kind, 0), rollups.archive_files(connection)
    for day in timeline.days(Span(Ms(min(first, limit) - 1), limit), zone):
        if day.end > limit:
            break
        if day.end > since and day not in fresh:
            log.warning("intervals stay: the day that begins at %d is not added up yet", day.start)
            break
        for kind in Kind:
            rows = rollups.count_ended(connection, kind, day.end)
            if rows > before[kind]:
                found.append(Due(kind, _name(kind, day, zone, taken), day.end, rows - before[kind]))
                before[kind] = rows
    return found


def archive(connection: Connection, item: Due, folder: Path) -> Filed:
    """Write the file, whole or not at all. UnavailableError without pyarrow."""
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise UnavailableError(
            "pyarrow is not installed, which the archive of old intervals needs",
            mend="pip install 'sharpeyes[archive]'; until then every interval stays in the database",
        ) from None
    number, word = pa.int64(), pa.string()
    kinds = {"started_ms": number, "ended_ms": number, "rung": number, "asked": number}
    columns = [(name, kinds.get(name, word)) for name in rollups.KEPT[item.kind][1]]
    schema = pa.schema(columns)
    draft, rows = folder / f".{item.file}.{os.getpid()}", 0
    try:
        with draft.open("wb") as file:
            with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
                for batch in rollups.ended(connection, item.kind, item.until, batch=BATCH):
                    values = list(zip(*batch, strict=True))
                    arrays = [pa.array(v, kind) for v, (_, kind) in zip(values, columns, strict=True)]
                    writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                    rows += len(batch)
            file.flush()
            os.fsync(file.fileno())
        if parquet.read_metadata(draft).num_rows != rows:
            raise UnavailableError(f"{item.file} does not read back as it was written")
        with draft.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        draft.replace(folder / item.file)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    finally:
        draft.unlink(missing_ok=True)
    return Filed(item.kind, item.file, rows, digest)


def retain(
    database: Database, folder: Path, zone: tzinfo, now: Ms, *, keep_days: int = KEEP_DAYS
) -> list[Due]:
    """Move everything that may go; returns what went."""
    asked = partial(due, zone=zone, now=now, keep_days=keep_days)
    if not database.read(asked):
        return []
    with _alone(folder):
        wanted = database.read(asked)
        for until, items in itertools.groupby(wanted, key=lambda item: item.until):
            files = [database.read(partial(archive, item=item, folder=folder)) for item in items]
            database.write(partial(rollups.put_archived, files=files, until=until, now=now))
    return wanted


class Retention:
    """Moves old intervals once a day, for as long as :meth:`running` lasts."""

    def __init__(self, database: Database, folder: Path, zone: tzinfo, clock: Callable[[], Ms]) -> None:
        self._turn = lambda: retain(database, folder, zone, clock())

    def running(self) -> AbstractAsyncContextManager[None]:
        return in_background(self._run(), "rates-retention")

    async def _run(self) -> None:
        await asyncio.sleep(SOON_S)
        while True:
            try:
                moved = await asyncio.to_thread(self._turn)
                if moved:
                    log.info("%d intervals went to the archive", sum(item.rows for item in moved))
            except SharpEyesError as error:
                log.warning("old intervals stay: %s", error)
            except Exception:  # whatever it is, nothing was deleted; tomorrow is another day
                log.exception("old intervals stay")
            await asyncio.sleep(EVERY_S)


def _name(kind: Kind, day: Span, zone: tzinfo, taken: Collection[str]) -> str:
    """Another one for what came later than the day's own file."""
    stem = f"{kind}-{datetime.fromtimestamp(day.start / 1000, zone):%Y-%m-%d}"
    names = (f"{stem}{'' if n == 1 else f'.{n}'}.parquet" for n in itertools.count(1))
    return next(name for name in names if name not in taken)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process an archive; UnavailableError if another is at it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError:
        raise UnavailableError(f"another process writes to the archive {folder}") from None
    except OSError as error:
        raise UnavailableError(
            f"the archive {folder} cannot be written: {error.strerror}",
            mend="Make room there, and give the user that runs SharpEyes the right to write",
        ) from None
