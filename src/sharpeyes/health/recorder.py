"""From memory to the store: closed intervals, current standings and the sign of life, about once a second.

What happened within a second is one commit. A write that fails is tried again until it succeeds, said once
when it begins to fail and once when it works again; if the store stays away, the recorder asks the fleet to
pause (:attr:`Recorder.full`) rather than forget: time without observation becomes unknown, nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from sharpeyes.domain.errors import SharpEyesError, UnavailableError
from sharpeyes.domain.health import Interval, ProbeResult, RungInterval, State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.health import hindsight, judge
from sharpeyes.health.board import Entry
from sharpeyes.health.hindsight import Blindness
from sharpeyes.health.judge import Policy, Standing, Streak
from sharpeyes.health.ladder import Ladder
from sharpeyes.health.own_time import no_later
from sharpeyes.health.sight import Sight
from sharpeyes.store import own_outages, pictures, set_back, telemetry
from sharpeyes.store.database import Database
from sharpeyes.store.pictures import StoredPicture
from sharpeyes.store.telemetry import StoredStanding

log = logging.getLogger(__name__)

T = TypeVar("T", Interval, RungInterval)

INTERVALS = 200_000
"""Closed intervals that may wait for the store before the fleet pauses: about 40 MB."""
REFRESH_MS = 300_000
"""A camera whose probes find nothing new is written as often as this; the heartbeat vouches in between.

Writing each probe of a city would wear out a disk: a page a probe, thousands of gigabytes a year.
"""
RETRY_S = 15.0
"""The longest pause between two attempts to write."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What an earlier run left behind about one camera."""

    standing: Standing
    refused: Ms | None = None
    """When its credentials were last refused, if that was its last probe's end."""
    withheld_until: Ms | None = None
    """They were not to be tried again before this instant."""
    sight: Sight | None = None
    """What was known of its picture."""


class Record(Protocol):
    """Where what is judged is kept: :class:`Recorder`, or nowhere."""

    @property
    def full(self) -> bool: ...

    async def recall(self, validity: Callable[[str], Policy]) -> dict[str, Recalled]: ...

    def note(
        self, entry: Entry, closed: Iterable[Interval] = (), climbed: Iterable[RungInterval] = ()
    ) -> None: ...

    def forget(
        self, camera: str, closed: Iterable[Interval], climbed: Iterable[RungInterval] = ()
    ) -> None: ...

    def set_back(self, now: Ms, ahead_ms: int) -> None: ...

    def start(self) -> None: ...

    async def stop(self) -> None: ...


class NoRecord:
    """Keeps nothing: for a fleet that lives for one sweep, and for canaries."""

    full = False

    async def recall(self, validity: Callable[[str], Policy]) -> dict[str, Recalled]:  # noqa: ARG002
        return {}

    def note(
        self, entry: Entry, closed: Iterable[Interval] = (), climbed: Iterable[RungInterval] = ()
    ) -> None: ...

    def forget(
        self, camera: str, closed: Iterable[Interval], climbed: Iterable[RungInterval] = ()
    ) -> None: ...

    def set_back(self, now: Ms, ahead_ms: int) -> None: ...

    def start(self) -> None: ...

    async def stop(self) -> None: ...


class Recorder:
    """Keeps what the judge decides. :meth:`recall` once, then :meth:`start`, and :meth:`stop` at the end."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], Ms],
        every_s: float = 1.0,
        awaited: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        """``awaited``: cameras of which every probe is written, since somebody waits for it."""
        self._database = database
        self._awaited = awaited
        self._clock = clock
        self._every_s = every_s
        self._closed: deque[Interval] = deque()
        self._dirty: dict[str, Entry | StoredStanding] = {}
        self._climbed: deque[RungInterval] = deque()
        self._removed: set[str] = set()
        self._last: dict[str, tuple[object, Ms]] = {}
        self._task: asyncio.Task[None] | None = None
        self._flushing = asyncio.Lock()
        self._known_only = False
        self._set_back: tuple[Ms, int] | None = None
        """Our clock was set to this, by so much, and the store does not know yet."""
        self.failing = False
        """The last attempt to write failed."""
        self.written = 0
        """Closed intervals stored by this run."""

    @property
    def full(self) -> bool:
        """The store is so far behind that nothing more should be observed for now."""
        return len(self._closed) + len(self._climbed) >= INTERVALS

    @property
    def waiting(self) -> int:
        """Rows that are not stored yet."""
        return len(self._closed) + len(self._climbed) + len(self._dirty) + len(self._removed)

    async def recall(self, validity: Callable[[str], Policy]) -> dict[str, Recalled]:
        """The standings of an earlier run, as they are now: what came after its last sign of life is unknown.

        ``validity`` gives the policy by which each camera is judged. What that run has dated to a time that
        has not come is put right first.
        """
        now = self._clock()
        if ahead := await self._database.aread(partial(set_back.ahead_by, now=now)):
            log.error("an earlier run's clock was ahead by %.0f s: what it observed is unknown", ahead / 1000)
            await self._database.awrite(partial(set_back.set_back, now=now, ahead_ms=ahead))
        stored = await self._database.aread(telemetry.load_standings)
        alive = await self._database.aread(telemetry.get_heartbeat)
        rungs = await self._database.aread(pictures.load_rungs)
        looks = await self._database.aread(pictures.load_pictures)
        recalled: dict[str, Recalled] = {}
        for camera, row in stored.items():
            policy = validity(camera)
            longest = policy.validity_ms + REFRESH_MS  # it may have been seen since this was written
            judgement = judge.resume(_restored(row), alive, replace(policy, validity_ms=longest))
            probe = row.last_probe or {}
            until = probe.get("withheld_until_ms")
            recalled[camera] = Recalled(
                judgement.standing,
                probe.get("at_ms") if until else None,
                until,
                _seen_before(looks.get(camera), now),
            )
            if judgement.closed:  # that it has closed and what follows it go into one commit
                self._closed.extend(_as_told(row, interval) for interval in judgement.closed)
                self._dirty[camera] = _stored(judgement.standing, row.last_probe)
            if camera in rungs:  # what the state is not known for, the rung is not known for
                _, climbed = Ladder.resumed(rungs[camera]).unseen(judgement.standing.since)
                self._climbed.extend(() if climbed is None else (climbed,))
                self._dirty[camera] = _stored(judgement.standing, row.last_probe)
        return recalled

    def note(
        self, entry: Entry, closed: Iterable[Interval] = (), climbed: Iterable[RungInterval] = ()
    ) -> None:
        """A camera stands like this now, and these intervals of it have ended."""
        camera, latest = entry.standing.camera, entry.standing.latest
        self._closed.extend(closed)
        self._climbed.extend(climbed)
        self._removed.discard(camera)
        news = _news(entry)
        last = self._last.get(camera)
        if (
            camera in self._dirty
            or last is None
            or last[0] != news
            or latest - last[1] >= REFRESH_MS
            or camera in self._awaited()
        ):
            self._dirty[camera] = entry
            self._last[camera] = (news, latest)

    def forget(self, camera: str, closed: Iterable[Interval], climbed: Iterable[RungInterval] = ()) -> None:
        """A camera is watched no more: its last interval has ended."""
        self._closed.extend(closed)
        self._climbed.extend(climbed)
        self._dirty.pop(camera, None)
        self._last.pop(camera, None)
        self._removed.add(camera)

    def set_back(self, now: Ms, ahead_ms: int) -> None:
        """Our own clock was ``ahead_ms`` ahead, and it is ``now``. How each camera stands is noted anew."""
        # Other queues, not other contents: what is being written at this moment is cut when it is there.
        self._closed = deque(i for i in (_before(one, now) for one in self._closed) if i is not None)
        self._climbed = deque(i for i in (_before(one, now) for one in self._climbed) if i is not None)
        self._last.clear()
        before = 0 if self._set_back is None else self._set_back[1]
        self._set_back = now, ahead_ms + before

    async def recast(self, zone: str, blind: Blindness) -> int:
        """Say of what is stored of a zone, too, that we did not see it; done twice, it is as once.

        Returns how many intervals that concerned. UnavailableError if the store does not answer.
        """
        await self.settle()
        return await self._database.awrite(partial(_recast, zone, blind))

    async def settle(self) -> None:
        """All that has been noted is stored. UnavailableError if the store does not answer."""
        if not await self.flush():
            raise UnavailableError("telemetry cannot be stored at present", mend="See the service's log")

    def start(self) -> None:
        """Begin to write, about every second."""
        self._task = asyncio.create_task(self._run(), name="recorder")

    async def stop(self, within_s: float = 10.0) -> None:
        """Write what is left, for ``within_s`` seconds at most."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        try:
            async with asyncio.timeout(within_s):
                while not await self.flush():  # noqa: ASYNC110 - a retry, not a poll
                    await asyncio.sleep(0.5)
        except TimeoutError:
            log.error("stopped with %d rows of telemetry unwritten: the store does not answer", self.waiting)

    async def flush(self) -> bool:
        """Write what there is in one commit; False if that failed, and it is kept for the next attempt."""
        async with self._flushing:
            to_close, to_climb = self._closed, self._climbed
            closed, climbed = list(to_close), list(to_climb)
            put_right = self._set_back
            dirty, self._dirty = self._dirty, {}
            removed, self._removed = self._removed, set()
            batch = partial(
                _write,
                closed,
                climbed,
                tuple(dirty.values()),
                tuple(removed),
                self._clock(),
                self._known_only,
                put_right,
            )
            done = False
            try:
                dropped = await self._database.awrite(batch)
                done = True
            except (
                Exception
            ) as error:  # whatever it is: a recorder that has ended would lose all from then on
                self._known_only = isinstance(error, IntegrityError)
                if not self.failing:
                    foreseen = isinstance(error, (SQLAlchemyError, SharpEyesError, OSError))
                    log.error(
                        "telemetry cannot be stored, kept in memory meanwhile: %s",
                        error,
                        exc_info=None if foreseen else error,
                    )
                self.failing = True
                return False
            finally:
                if not done:  # of what came meanwhile, the newer word stands
                    self._removed |= removed - self._dirty.keys()
                    older = {c: e for c, e in dirty.items() if c not in self._removed}
                    self._dirty = {**older, **self._dirty}
            for _ in closed:
                to_close.popleft()
            for _ in climbed:
                to_climb.popleft()
            if self._set_back is put_right:
                self._set_back = None
            self.written += len(closed)
            if dropped:
                log.warning("%d rows of telemetry dropped: their cameras are not in the registry", dropped)
            if self.failing:
                log.info("telemetry is stored again")
            self.failing = self._known_only = False
            return True

    async def _run(self) -> None:
        pause = self._every_s
        while True:
            await asyncio.sleep(pause)
            pause = self._every_s if await self.flush() else min(pause * 2, RETRY_S)


def _write(
    closed: list[Interval],
    climbed: list[RungInterval],
    dirty: Iterable[Entry | StoredStanding],
    removed: tuple[str, ...],
    beat: Ms,
    known_only: bool,
    put_right: tuple[Ms, int] | None,
    connection: Connection,
) -> int:
    """Runs in the store's thread, so that turning thousands of entries into rows does not hold the loop."""
    if put_right is not None:
        set_back.set_back(connection, *put_right)
    dirty = tuple(dirty)
    entries = [entry for entry in dirty if isinstance(entry, Entry)]
    looks = [
        StoredPicture(entry.standing.camera, entry.sight.at, entry.sight.document())
        for entry in entries
        if entry.sight is not None
    ]
    rungs = [rung for entry in entries if entry.ladder and (rung := entry.ladder.open) is not None]
    unseen = {entry.camera if isinstance(entry, StoredStanding) else entry.standing.camera for entry in dirty}
    unseen |= set(removed)
    dropped = pictures.write_rungs(
        connection,
        climbed,
        rungs,
        unseen - {rung.camera for rung in rungs},
        known_only=known_only,
    ) + pictures.write_pictures(connection, looks, known_only=known_only)
    return dropped + telemetry.write_batch(
        connection,
        intervals=closed,
        standings=[e if isinstance(e, StoredStanding) else _row(e) for e in dirty],
        removed=removed,
        beat=beat,
        known_only=known_only,
    )


def _recast(zone: str, blind: Blindness, connection: Connection) -> int:
    count = 0
    for interval in own_outages.seen_since(connection, zone, blind.since):
        pieces = hindsight.told(interval, blind, None)
        if pieces == (interval,):
            continue
        telemetry.rewrite(connection, interval, pieces)
        for piece in pieces:
            if piece.state is State.UNKNOWN and piece.end is not None:
                pictures.unsee_rungs(connection, piece.camera, Span(piece.start, piece.end))
        count += 1
    for camera, since in own_outages.unsaid_now(connection, zone).items():
        pictures.unsee_rungs(connection, camera, Span(since, own_outages.FOREVER))
    return count


def _as_told(row: StoredStanding, interval: Interval) -> Interval:
    """The interval that an earlier run left open, with what was known better then."""
    if row.seen_state is None:
        return interval
    return replace(
        interval, state=row.state, cause=row.cause, seen_state=row.seen_state, seen_cause=row.seen_cause
    )


def _news(entry: Entry) -> object:
    """What of an entry is worth a write when it changes."""
    standing, probe = entry.standing, entry.probe
    failure = None if probe is None else probe.failure
    return (
        standing.state,
        standing.since,
        standing.cause,
        entry.withheld_until,
        failure and failure.kind,
        probe and (probe.rung, probe.codec, probe.width, probe.height),
        entry.ladder and (entry.ladder.climb, entry.ladder.since),
        entry.sight and (entry.sight.mode, entry.sight.defects),
    )


def _before(one: T, now: Ms) -> T | None:
    """What of a closed interval lies before ``now``, None if nothing does."""
    if one.start >= now or one.end is None:
        return None
    return one if one.end <= now else replace(one, end=now)


def _seen_before(stored: StoredPicture | None, now: Ms) -> Sight | None:
    if stored is None:
        return None
    try:
        return no_later(Sight.parse(stored.at, stored.found), now)
    except (ValueError, KeyError, TypeError):  # of another version: the next looks tell anew
        return None


def _row(entry: Entry) -> StoredStanding:
    last = None if entry.probe is None else summary(entry.probe)
    if last is not None and entry.withheld_until is not None:
        last["withheld_until_ms"] = entry.withheld_until
    return _stored(entry.standing, last)


def summary(probe: ProbeResult) -> dict[str, Any]:
    """A probe's result as a small JSON object: what it found, without keyframe and transcript."""
    failure = probe.failure
    found = {
        "at_ms": probe.at,
        "rung": probe.rung.label,
        "phase": failure.phase.value if failure else None,
        "kind": failure.kind.value if failure else None,
        "message": failure.message if failure else None,
        "codec": probe.codec,
        "width": probe.width,
        "height": probe.height,
        "fps": probe.fps,
        "bitrate_bps": probe.bitrate_bps,
        "packets": probe.packets,
        "lost": probe.lost,
        "connect_ms": probe.timings.connect_ms,
        "first_packet_ms": probe.timings.first_packet_ms,
        "keyframe_ms": probe.timings.keyframe_ms,
        "total_ms": probe.timings.total_ms,
    }
    return {name: value for name, value in found.items() if value is not None}


def _stored(standing: Standing, last_probe: Mapping[str, Any] | None) -> StoredStanding:
    streak: Streak = standing.failing if standing.failing.length else standing.delivering
    return StoredStanding(
        camera=standing.camera,
        state=standing.state,
        since=standing.since,
        cause=standing.cause,
        observed=standing.observed,
        fails=standing.failing.length,
        passes=standing.delivering.length,
        streak=streak.since if streak.length else None,
        last_probe=last_probe,
        seen_state=standing.seen_state,
        seen_cause=standing.seen_cause,
    )


def _restored(row: StoredStanding) -> Standing:
    """Without its streaks: what they counted towards is unknown after a restart anyway."""
    latest = Ms(max(row.since, row.observed or row.since))
    state = row.seen_state or row.state
    cause = row.cause if row.seen_state is None else row.seen_cause
    return Standing(row.camera, state, row.since, cause, latest, row.observed)
