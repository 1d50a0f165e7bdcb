"""Evidence for a technician: marked-up stills and the working behind a verdict, each with its end.

Stills count as footage: they are files of their own in one folder (0700, files 0600) under random names
that tell nothing, indexed in the store, and gone when their time is over: that of a failure after a week,
any other after a day. What the index does not know is deleted when the service starts, so that a crash leaves
nothing behind.
The working of a probe (its dialogue, timings, bytes, diagnosis) holds no picture and goes by the same times.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from sharpeyes.domain.errors import NotFoundError, SharpEyesError
from sharpeyes.domain.health import ProbeResult
from sharpeyes.domain.time import Ms
from sharpeyes.store import evidence as index
from sharpeyes.store.database import Database
from sharpeyes.store.evidence import Exhibit, ProbeRecord

log = logging.getLogger(__name__)

T = TypeVar("T", Exhibit, ProbeRecord)

HOUR_MS = 3_600_000
SWEEP_S = 60.0
WAITING = 2000
"""Records and exhibits that wait for the store at most; further ones are dropped and counted."""
MAX_FILE = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long evidence is kept, and how much of it a camera may have."""

    failure_ms: int = 7 * 24 * HOUR_MS
    success_ms: int = 24 * HOUR_MS
    failures: int = 20
    """Probes that failed or showed a fault, a camera."""
    successes: int = 5


class Evidence:
    """Files under ``folder`` and their index. :meth:`start`, :meth:`stop`."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        clock: Callable[[], Ms],
        retention: Retention | None = None,
        every_s: float = 2.0,
    ) -> None:
        self.retention = retention or Retention()
        self.dropped = 0
        """Pieces of evidence that were not kept, since the disk or the store could not take them."""
        self._database = database
        self._folder = folder
        self._clock = clock
        self._every_s = every_s
        self._exhibits: list[Exhibit] = []
        self._records: list[ProbeRecord] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to keep evidence. What an earlier run left without an entry in the index goes."""
        await asyncio.get_running_loop().run_in_executor(None, _make_private, self._folder)
        await self.sweep(strays=True)
        self._task = asyncio.create_task(self._run(), name="evidence")

    async def stop(self) -> None:
        """Write what waits."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self.flush()

    async def keep(
        self, camera: str, kind: str, data: bytes, *, keep_ms: int, mode: str | None = None
    ) -> str | None:
        """Write a file; its id, or None if the disk did not take it."""
        if len(data) > MAX_FILE or len(self._exhibits) >= WAITING:
            self.dropped += 1
            return None
        name, now = secrets.token_hex(16), self._clock()
        try:
            await asyncio.get_running_loop().run_in_executor(None, _write, self._folder / name, data)
        except OSError as error:
            self.dropped += 1
            log.error("evidence cannot be written: %s", error)
            return None
        self._exhibits.append(
            Exhibit(
                id=name,
                camera=camera,
                at=now,
                kind=kind,
                mode=mode,
                bytes=len(data),
                expires=Ms(now + keep_ms),
            )
        )
        return name

    async def read(self, camera: str, exhibit: str) -> bytes:
        """A still of this camera. NotFoundError if there is none such, or its time is over."""
        await self.flush(camera)
        now = self._clock()
        found = await self._database.aread(lambda c: index.get_exhibit(c, exhibit, camera=camera, now=now))
        return await self._read(found.id)

    async def samples(self, camera: str, mode: str) -> list[tuple[Exhibit, bytes]]:
        """The keyframes kept to learn from, oldest first."""
        await self.flush()
        listed = await self._database.aread(
            lambda c: index.list_exhibits(c, camera=camera, kind="sample", mode=mode)
        )
        found = []
        for exhibit in listed:
            with contextlib.suppress(NotFoundError):
                found.append((exhibit, await self._read(exhibit.id)))
        return found

    async def discard(self, ids: list[str]) -> None:
        """These files are not needed any more."""
        await asyncio.get_running_loop().run_in_executor(None, _unlink, self._folder, ids)
        await self._database.awrite(lambda c: index.forget_exhibits(c, ids))

    async def discard_samples(self, camera: str) -> None:
        """Nothing is to be learnt any more from what was kept for it."""
        await self.flush()
        listed = await self._database.aread(lambda c: index.list_exhibits(c, camera=camera, kind="sample"))
        await self.discard([exhibit.id for exhibit in listed])

    def record(
        self,
        camera: str,
        result: ProbeResult,
        *,
        bad: bool,
        found: Mapping[str, Any],
        still: str | None = None,
    ) -> None:
        """Keep a probe with its working. ``bad``: it failed, or what it showed is a fault."""
        if len(self._records) >= WAITING:
            self.dropped += 1
            return
        keep_ms, now = self.retention.failure_ms if bad else self.retention.success_ms, self._clock()
        self._records.append(
            ProbeRecord(
                camera=camera,
                at=Ms(min(result.at, now)),  # our own clock may have been set back since the probe began
                ok=not bad,
                found={**working(result), **found},
                still=still,
                expires=Ms(now + keep_ms),
            )
        )

    async def flush(self, camera: str | None = None) -> None:
        """Bring the index up to date, or only if something of this camera waits for that. What it does not
        take is gone: evidence is no record of states."""
        waiting: list[Exhibit | ProbeRecord] = [*self._exhibits, *self._records]
        if not any(camera in (None, one.camera) for one in waiting):
            return
        exhibits, self._exhibits = self._exhibits, []
        records, self._records = self._records, []
        keep = self.retention

        def write(connection: Connection) -> None:
            now = self._clock()  # within the transaction: a clock set back later puts right what is stored
            index.add_exhibits(connection, _no_later(exhibits, now))
            in_time = _no_later(records, now)
            index.add_records(connection, in_time, failures=keep.failures, successes=keep.successes)

        try:
            await self._database.awrite(write)
        except (SQLAlchemyError, SharpEyesError, OSError) as error:
            self.dropped += len(exhibits) + len(records)
            log.error("evidence is lost, the store cannot take it: %s", error)
            ids = [exhibit.id for exhibit in exhibits]
            await asyncio.get_running_loop().run_in_executor(None, _unlink, self._folder, ids)

    async def sweep(self, *, strays: bool = False) -> None:
        """Delete what is past its time; with ``strays`` also the files that no entry stands for."""
        now = self._clock()
        while ids := await self._database.aread(lambda c: index.expired_exhibits(c, now)):
            await self.discard(ids)
        await self._database.awrite(lambda c: index.forget_records(c, now))
        if strays:
            known = await self._database.aread(index.known_exhibits)
            await asyncio.get_running_loop().run_in_executor(None, _unlink_strays, self._folder, known)

    async def _read(self, name: str) -> bytes:
        try:
            return await asyncio.get_running_loop().run_in_executor(None, (self._folder / name).read_bytes)
        except OSError:
            raise NotFoundError(
                f"the file of still {name} is not there", mend="It was deleted by hand, or its time is over"
            ) from None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        swept = loop.time()
        while True:
            await asyncio.sleep(self._every_s)
            await self.flush()
            if loop.time() - swept >= SWEEP_S:
                swept = loop.time()
                try:
                    await self.sweep()
                except (SQLAlchemyError, SharpEyesError, OSError) as error:
                    log.error("evidence past its time could not be deleted, tried again soon: %s", error)


def working(result: ProbeResult) -> dict[str, Any]:
    """A probe as a JSON object: what it found and every line of its dialogue."""
    failure, timings = result.failure, result.timings
    return {
        "rung": result.rung.label,
        "phase": failure.phase.value if failure else None,
        "kind": failure.kind.value if failure else None,
        "message": failure.message if failure else None,
        "blame": failure.blame.value if failure else None,
        "codec": result.codec,
        "width": result.width,
        "height": result.height,
        "fps": result.fps,
        "bitrate_bps": result.bitrate_bps,
        "packets": result.packets,
        "lost": result.lost,
        "received_bytes": result.received_bytes,
        "keyframe_bytes": len(result.keyframe.data) if result.keyframe else None,
        "connect_ms": timings.connect_ms,
        "describe_ms": timings.describe_ms,
        "play_ms": timings.play_ms,
        "first_packet_ms": timings.first_packet_ms,
        "keyframe_ms": timings.keyframe_ms,
        "total_ms": timings.total_ms,
        "transcript": list(result.transcript),
    }


def _no_later(waiting: list[T], now: Ms) -> list[T]:
    """What our own clock dated ahead until it was set back is dated back by as much, and so ends in time."""
    ahead = max((one.at for one in waiting), default=now) - now
    return [
        one if one.at <= now else replace(one, at=Ms(one.at - ahead), expires=Ms(one.expires - ahead))
        for one in waiting
    ]


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)


def _unlink(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _unlink_strays(folder: Path, known: set[str]) -> None:
    for path in folder.iterdir():
        if path.name not in known and path.is_file():
            path.unlink(missing_ok=True)
