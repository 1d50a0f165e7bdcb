"""The one writer of the register: entries in, durable and chained, many to a commit.

``append`` and ``record`` return once the entry is on the disk. While one commit is under way, what arrives
waits and goes into the next: the more there is to write, the cheaper each entry gets. The queue is bounded,
so a database that cannot keep up slows its callers instead of filling memory.

Checkpoints are signed every ``checkpoint_every`` entries or ``checkpoint_interval_s`` seconds, stored with
the entries in the same transaction, and then appended to a file outside the database, and to a copy of it
elsewhere if the site names one. Against a copy that the database's administrators cannot write, nobody can
rewrite the register unseen, nor put database and file back together to what they were on another day.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection

from sharpeyes.access.refusals import Refusals
from sharpeyes.access.register.chain import Chain, rows_of
from sharpeyes.access.register.entry import Entry, Kind, encode
from sharpeyes.access.register.note import Checkpoint, NoteError, Signer, Verifier, split
from sharpeyes.access.register.tree import Frontier
from sharpeyes.access.register.verify import Part, Verdict, verify
from sharpeyes.domain.errors import ConflictError, UnavailableError
from sharpeyes.domain.time import Ms
from sharpeyes.store.database import FULL, Database, under_way
from sharpeyes.store.register import (
    CheckpointRow,
    add_checkpoint,
    add_entries,
    last_checkpoint,
    lock_register,
    read_checkpoints,
    read_head,
    read_node,
)
from sharpeyes.store.vault import keys_at

log = logging.getLogger(__name__)

ORIGIN = "sharpeyes/register"
"""The register's name, unless the site gives it one of its own."""
KEY_FILE = "register.key"
CHECKPOINT_FILE = "register.checkpoints"
"""Names within the data directory."""

T = TypeVar("T")

Change = Callable[[Connection], tuple[Sequence[Entry], Any]]
"""Reads and changes what it must within the transaction; returns what to register, and its result."""

TAIL = 64 * 1024
"""Bytes of the checkpoint file in which its last note is looked for."""

END_OF_NOTE = re.compile("^\u2014 .*\n\n".encode(), re.MULTILINE)
"""The last signature line of a note in a file, with the blank line after it."""


class RegisterDamagedError(ConflictError):
    """The register is not the one that was signed: shorter, or other. Nothing is appended to such a one."""

    kind = "register_damaged"


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of reading the register back."""

    verdict: Verdict
    last: CheckpointRow | None
    """The newest checkpoint of the database then."""
    filed: bool
    """Whether the file of checkpoints outside the database was compared too."""


@dataclass(slots=True)
class _Pending:
    """One ask that waits for its commit: ready-made bytes, or a change that makes entries."""

    entry: Entry | None
    body: bytes
    change: Change | None
    done: asyncio.Future[Any]


@dataclass(slots=True)
class _File:
    """A file that checkpoints are appended to."""

    path: Path
    size: int = 0
    """Entries that its last checkpoint covers."""
    failing: bool = False


@dataclass(slots=True)
class _Committed:
    """What a transaction came to."""

    chain: Chain
    outcomes: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = field(default_factory=list)
    checkpoint: CheckpointRow | None = None


def signer_at(path: Path, origin: str) -> tuple[Signer, tuple[Verifier, ...]]:
    """The signer of a key file (made, 0600, if there is none), and verifiers for all of its keys: after a
    rotation, the checkpoints signed before are still to be checked."""
    signers = [Signer(origin, seed) for seed in keys_at(path)]
    return signers[0], tuple(signer.verifier for signer in signers)


class Register:
    """The register of one site, open for appending. Use as ``async with Register(...) as register``."""

    def __init__(
        self,
        database: Database,
        signer: Signer,
        clock: Callable[[], Ms],
        *,
        verifiers: tuple[Verifier, ...] = (),
        checkpoint_file: Path | None = None,
        checkpoint_copy: Path | None = None,
        checkpoint_every: int = 1000,
        checkpoint_interval_s: float = 60.0,
        batch: int = 1000,
        queue: int = 10_000,
    ) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock
        self._verifiers = (signer.verifier, *verifiers)
        self._files = [_File(path) for path in (checkpoint_file, checkpoint_copy) if path is not None]
        self._every = checkpoint_every
        self._interval_s = checkpoint_interval_s
        self._batch = batch
        self._queue: asyncio.Queue[_Pending | None] = asyncio.Queue(queue)
        self._chain = Chain()
        self._signed = 0
        self._file_due = True
        self._filing: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.refusals = Refusals()

    async def __aenter__(self) -> Self:
        """Raises RegisterDamagedError if the database is not what the checkpoints say."""
        await self._database.aread(self._check_continuity)
        await self._file_checkpoints()
        self._task = asyncio.create_task(self._write_forever(), name="register-writer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what has been handed in, sign what is unsigned, stop."""
        with contextlib.suppress(UnavailableError):
            await self.sum_up()
        self._closing = True
        if self._task:
            await self._queue.put(None)
            await self._task
        if self._filing:
            await self._filing

    @property
    def size(self) -> int:
        """Entries that are durable, as far as this process knows."""
        return self._chain.size

    @property
    def healthy(self) -> bool:
        """Whether entries are being written and checkpoints reach their file."""
        healthy = self._task is not None and not self._task.done()
        return healthy and not any(file.failing for file in self._files)

    async def append(self, entry: Entry) -> int:
        """Write one entry; returns its number once it is durable. InvalidInputError if it cannot be encoded,
        UnavailableError if it could not be stored. If the caller is cancelled meanwhile, the entry may yet
        be written: the register errs on the side of having it.

        A refusal of somebody who was refused too often of late is only counted (WaitError): :meth:`sum_up`
        writes the counts."""
        if entry.kind is Kind.REFUSAL:
            self.refusals.take(entry)
        number: int = await self._put(entry, encode(entry), None)
        return number

    async def sum_up(self) -> int:
        """Write how often those were refused whose refusals were only counted: an entry each. To be called
        every minute."""
        count = 0
        for summary, account in list(self.refusals.summaries(self._clock())):
            await self._put(summary, encode(summary), None)
            self.refusals.told(summary, account)
            count += 1
        return count

    async def record(self, change: Callable[[Connection], tuple[Sequence[Entry], T]]) -> T:
        """Run ``change`` in the register's transaction, and write the entries that it returns: what was done
        and the account of it become durable together, or neither. Its exceptions are the caller's."""
        result: T = await self._put(None, b"", change)
        return result

    async def verify(self, told: Callable[[Part, int, int], None]) -> Checked:
        """Read all of it back and say what does not hold, while it goes on being written. ``told`` is called
        in a reader's thread (:func:`sharpeyes.access.register.verify.verify`)."""

        def read_files() -> str | None:
            texts = [file.path.read_text("utf-8", "replace") for file in self._files if file.path.exists()]
            return "".join(texts) if texts else None

        # The files first: what they speak of is in the database, which is looked at a moment later.
        filed = await asyncio.to_thread(read_files)

        def check(connection: Connection) -> Checked:
            last = last_checkpoint(connection)
            return Checked(verify(connection, self._verifiers, filed, told), last, filed is not None)

        return await self._database.aread(check)

    async def _put(self, entry: Entry | None, body: bytes, change: Change | None) -> Any:
        if self._closing or self._task is None or self._task.done():
            raise UnavailableError("the register is not open")
        done = asyncio.get_running_loop().create_future()
        await self._queue.put(_Pending(entry, body, change, done))
        return await done

    async def _write_forever(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._interval_s
        running = True
        while running:
            batch: list[_Pending] = []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    first = await self._queue.get()
                    running = first is not None
                    if first is not None:
                        batch.append(first)
            while running and len(batch) < self._batch and not self._queue.empty():
                item = self._queue.get_nowait()
                running = item is not None
                if item is not None:
                    batch.append(item)
            in_time = loop.time() < due and running
            if await self._commit(batch, sign=not in_time):
                due = loop.time() + self._interval_s
            elif not in_time:
                due = loop.time() + min(1.0, self._interval_s)  # it failed: once a second, not in a spin
        # Whoever got in behind the end marker is told, not left waiting.
        while not self._queue.empty():
            item = self._queue.get_nowait()
            if item is not None and not item.done.done():
                item.done.set_exception(UnavailableError("the register is not open"))

    async def _commit(self, batch: list[_Pending], *, sign: bool) -> bool:
        """One transaction; True if everything due was signed."""
        try:
            committed = await self._database.awrite(lambda connection: self._write(connection, batch, sign))
        except Exception as error:  # noqa: BLE001  (each caller gets it; the writer goes on)
            log.error("register: %d entries could not be stored: %s", len(batch), error)
            for pending in batch:
                if not pending.done.done():
                    failure = UnavailableError("the register could not be written", mend=FULL)
                    failure.__cause__ = error
                    pending.done.set_exception(failure)
            return False
        self._chain = committed.chain
        for done, result, error_of_change in committed.outcomes:
            if done.done():  # cancelled meanwhile
                continue
            if error_of_change is not None:
                done.set_exception(error_of_change)
            else:
                done.set_result(result)
        if committed.checkpoint:
            self._signed = committed.checkpoint.size
        if committed.checkpoint or sign:
            self._file_due = True
            if self._filing is None or self._filing.done():
                self._filing = asyncio.create_task(self._file_checkpoints(), name="register-checkpoints")
        return sign or committed.checkpoint is not None

    def _write(self, connection: Connection, batch: list[_Pending], sign: bool) -> _Committed:
        """Runs in the database's writer thread."""
        lock_register(connection)
        chain = self._chain.copy()
        if (chain.size, chain.link) != read_head(connection):  # another process appended meanwhile
            chain = read_chain(connection)
        entries: list[tuple[Entry, bytes]] = []
        committed = _Committed(chain)
        for pending in batch:
            if pending.entry is not None:
                entries.append((pending.entry, pending.body))
                committed.outcomes.append((pending.done, chain.size + len(entries), None))
                continue
            assert pending.change is not None
            try:
                with connection.begin_nested():
                    made, result = pending.change(connection)
                    encoded = [(entry, encode(entry)) for entry in made]
            except Exception as error:  # it is the asker's, and must not harm the others
                if not under_way(connection):  # what the others did is gone as well: nothing is acknowledged
                    raise
                committed.outcomes.append((pending.done, None, error))
            else:
                entries += encoded
                committed.outcomes.append((pending.done, result, None))
        rows, nodes = rows_of(chain, entries)
        add_entries(connection, rows, nodes)
        unsigned = chain.size - self._signed
        if unsigned >= self._every or (sign and unsigned):
            committed.checkpoint = self._checkpoint(connection, chain)
        return committed

    def _checkpoint(self, connection: Connection, chain: Chain) -> CheckpointRow | None:
        last = last_checkpoint(connection)
        if last and last.size >= chain.size:  # another process signed this already
            return last
        row = CheckpointRow(chain.size, self._clock(), self._signer.sign(chain.size, chain.tree.root()))
        add_checkpoint(connection, row)
        return row

    def _check_continuity(self, connection: Connection) -> None:
        """The last checkpoint, in the database or in the file, must be of this register as it stands."""
        head = read_head(connection)
        last = last_checkpoint(connection)
        filed = [(last_filed(file.path), file) for file in self._files]
        for note, file in filed:
            if last is not None and note is None:
                log.warning(
                    "register: %s holds no checkpoint, and the database does; it is written anew from there. "
                    "Whether the end was cut off, only a copy that is kept elsewhere says: "
                    "`sharpeyes audit verify --checkpoints COPY`",
                    file.path,
                )
        for note, source in [(last.note if last else None, None), *filed]:
            if note is None:
                continue
            checkpoint = open_note(note, self._verifiers)
            if checkpoint is None:
                raise RegisterDamagedError(
                    "a checkpoint of the register is not signed by its key",
                    mend="Run `sharpeyes audit verify`; restore the key file that belongs to this register",
                )
            size, root = checkpoint.size, checkpoint.root
            try:
                tree = Frontier.at(size, lambda level, at: read_node(connection, level, at))
            except KeyError:
                tree = Frontier()
            if size > head.size or tree.root() != root:
                raise RegisterDamagedError(
                    f"the register is not the one that was signed: {head.size} entries are here, "
                    f"and the checkpoint over {size} ({source.path if source else 'in the database'}) does "
                    "not fit them",
                    mend="Run `sharpeyes audit verify` and restore the database. To go on without what was "
                    "lost, move the checkpoint file aside and keep it: it is the evidence",
                )
            if source is not None:
                source.size = size
        self._signed = last.size if last else 0
        self._chain = read_chain(connection)

    async def _file_checkpoints(self) -> None:
        """Append to each file what the database has and it has not: after a commit, a crash or a full disk.
        Tried again at least once an interval, whether or not there is something new."""
        while self._file_due:
            self._file_due = False
            for file in self._files:
                await self._catch_up(file)

    async def _catch_up(self, file: _File) -> None:
        try:
            rows = await self._database.aread(lambda c: read_checkpoints(c, file.size))
            if rows:
                await asyncio.to_thread(append_notes, file.path, [row.note for row in rows])
                file.size = rows[-1].size
            if file.failing:
                file.failing = False
                log.warning("register: checkpoints are written to %s again", file.path)
        except Exception as error:  # noqa: BLE001  (whatever it is, entries go on being written)
            if not file.failing:
                file.failing = True
                log.error("register: checkpoints cannot be written to %s: %s", file.path, error)


def append_now(database: Database, entries: Sequence[Entry]) -> None:
    """Append a few entries from a command, without a key: the service signs them within its interval."""

    def write(connection: Connection) -> None:
        lock_register(connection)
        encoded = [(entry, encode(entry)) for entry in entries]
        add_entries(connection, *rows_of(read_chain(connection), encoded))

    database.write(write)


def read_chain(connection: Connection) -> Chain:
    """The growing end of the register as stored."""
    head = read_head(connection)
    return Chain(Frontier.at(head.size, lambda level, at: read_node(connection, level, at)), head.link)


def open_note(note: str, verifiers: Sequence[Verifier]) -> Checkpoint | None:
    """The checkpoint of a note, by whichever key signed it; None if none of them did."""
    for verifier in verifiers:
        with contextlib.suppress(NoteError):
            return verifier.open(note)
    return None


def append_notes(path: Path, notes: Sequence[str]) -> None:
    """Add notes to a checkpoint file (made 0640 if there is none), durably. Its folder is not made: where
    that is a disk of its own, and not mounted, another would be written."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write("".join(f"{note}\n" for note in notes).encode())
        file.flush()
        os.fsync(file.fileno())


def last_filed(path: Path) -> str | None:
    """The last note of a checkpoint file; None if it has none. What a crash left half-written behind it is
    cut off: the database still has that note."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - TAIL)
        file.seek(start)
        tail = file.read()
    ends = [match.end() for match in END_OF_NOTE.finditer(tail)]
    if tail and not tail.endswith(b"\n\n"):
        os.truncate(path, start + (ends[-1] if ends else 0))  # only then: it may be one that only grows
    if not ends:
        return None
    return list(split(tail[: ends[-1]].decode(errors="replace")))[-1]
