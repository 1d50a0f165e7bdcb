"""The clocks of all devices: asked now and then, judged (:mod:`.clock`), shown and kept.

Before a device is blamed, others are asked: if they are off by the same amount, it is our own clock. While
that is suspected nothing is held against anybody, and clocks are asked more often, to see its end.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from sharpeyes.domain.clock import ClockInterval, ClockPolicy, ClockReading, ClockState, DeviceClock
from sharpeyes.domain.errors import SharpEyesError
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import DAY_MS, Ms
from sharpeyes.health import clock as judge
from sharpeyes.health import pacing
from sharpeyes.health.boxes import Box, Calls, Rota
from sharpeyes.health.own_time import OwnTime
from sharpeyes.net.onvif import OnvifClient, OnvifError, Trouble
from sharpeyes.net.own_clock import OwnClock, own_clock
from sharpeyes.store import clocks as store
from sharpeyes.store.database import Database

log = logging.getLogger(__name__)

STARTS_PER_S = 20.0
"""Pace of the first round."""
AGAIN_S = 30.0
"""A clock that reads otherwise than before is read again so soon."""
SETTLE_S = 180.0
"""A fault that begins or ends is looked at again so soon: tickets are closed by what was seen."""
LATELY_MS = 15 * 60_000
"""Readings no older than this are compared when our own clock is in question."""
SUSPICIOUS_S = 300.0
"""Cadence while it is."""
WRITE_S = 5.0
KEPT_MS = 400 * DAY_MS
"""How long closed intervals are kept: a year's report can be made again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockTally:
    """All clocks at one moment."""

    by_state: Mapping[tuple[Tier, ClockState], int]
    """Devices by the tier of their cameras."""
    offsets_ms: Mapping[Tier, tuple[int, ...]]
    """Absolute, ascending, of those with a valid reading."""


class Clocks:
    """:meth:`start`, :meth:`sync` when the registry changes, :meth:`stop`."""

    def __init__(
        self,
        client: OnvifClient,
        calls: Calls,
        *,
        clock: Callable[[], Ms],
        database: Database,
        policy: ClockPolicy | None = None,
    ) -> None:
        self.policy = policy or ClockPolicy()
        self.suspected_ms: int | None = None
        """By how much our own clock seems to be off (positive: behind), None while nothing says so."""
        self.own = OwnClock(None)
        """What the kernel says of our clock."""
        self.asked = 0
        self.unanswered = 0
        self._client = client
        self._calls = calls
        self._clock = clock
        self._database = database
        self._boxes: dict[str, Box] = {}
        self._clocks: dict[str, DeviceClock] = {}
        self._lately: dict[str, ClockReading] = {}
        self._dirty: set[str] = set()
        self._closed: list[ClockInterval] = []
        self._failing = False
        self._own_time = OwnTime(clock)
        self._rota = Rota("clocks", self._meet)
        self._writer: asyncio.Task[None] | None = None

    # --- life ----------------------------------------------------------------------------------------

    async def start(self, boxes: Iterable[Box]) -> None:
        """Take up what an earlier run left, and begin to ask."""
        self._own_time.look()
        self._clocks = await self._database.aread(store.load_clocks)
        before = self._clock() - KEPT_MS
        await self._database.awrite(lambda connection: store.forget_intervals(connection, Ms(before)))
        self.own = own_clock()
        self._rota.start()
        self._writer = asyncio.create_task(self._write_on(), name="clocks-writer")
        await self.sync(boxes)

    async def stop(self) -> None:
        await self._rota.stop()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self.flush()

    async def sync(self, boxes: Iterable[Box]) -> None:
        """Ask exactly these from now on."""
        wanted = {box.id: box for box in boxes}
        for gone in self._boxes.keys() - wanted.keys():
            await self._rota.drop(gone)
            self._lately.pop(gone, None)
        new = wanted.keys() - self._boxes.keys()
        self._boxes = wanted
        now, every = asyncio.get_running_loop().time(), self.policy.every_s
        for name in new:
            due = pacing.first_slot(now, pacing.phase(f"{name} clock"), every, len(new), STARTS_PER_S)
            self._rota.put(name, due)

    # --- shown ---------------------------------------------------------------------------------------

    def of(self, device: str | None) -> DeviceClock | None:
        """The clock of a device as it stands now, None if it is not asked."""
        clock = self._clocks.get(device or "")
        if clock is None or device not in self._boxes:
            return None
        return judge.lapse(clock, self._clock(), self.policy)[0]

    def tally(self) -> ClockTally:
        now = self._clock()
        states: Counter[tuple[Tier, ClockState]] = Counter()
        offsets: dict[Tier, list[int]] = {}
        for name, box in self._boxes.items():
            if not box.cameras:
                continue
            tier = box.cameras[0].tier
            known = self._clocks.get(name)
            clock = judge.lapse(known or judge.newcomer(name, now), now, self.policy)[0]
            states[tier, clock.state] += 1
            if clock.state is not ClockState.UNKNOWN and clock.reading is not None:
                offsets.setdefault(tier, []).append(abs(clock.reading.offset_ms))
        return ClockTally(
            by_state=states, offsets_ms={tier: tuple(sorted(some)) for tier, some in offsets.items()}
        )

    # --- one device ----------------------------------------------------------------------------------

    async def _meet(self, name: str) -> float | None:
        box = self._boxes.get(name)
        if box is None:
            return None
        reading, why = await self._read(box)
        if name not in self._boxes:
            return None
        self._notice_set_back()
        now, loop_now = self._clock(), asyncio.get_running_loop().time()
        clock = before = self._clocks.get(name) or judge.newcomer(name, now)
        if reading is None:
            self._note(*judge.unread(clock, now, why, self.policy))
        else:
            self._take(clock, reading)
        clock = self._clocks[name]
        if clock.against is not None:
            self._call_witnesses(name, loop_now)
            return loop_now + AGAIN_S
        if ClockState.FAIL in (before.state, clock.state) and before.state is not clock.state:
            return loop_now + SETTLE_S
        cadence = min(self.policy.every_s, SUSPICIOUS_S) if self.suspected_ms else self.policy.every_s
        return pacing.next_slot(loop_now, pacing.phase(f"{name} clock"), cadence)

    async def _read(self, box: Box) -> tuple[ClockReading | None, str]:
        self.asked += 1
        async with self._calls.at(box.host):
            try:
                device = self._client.dial(box.xaddr, tls=box.tls, fingerprint=box.device.fingerprint)
                reading = await device.measure_clock()
            except (OnvifError, SharpEyesError) as error:
                self.unanswered += 1
                if isinstance(error, OnvifError) and error.kind is Trouble.NO_RESOURCES:
                    return None, "this prober was out of sockets"
                return None, error.message
        return replace(reading, at=self._clock()), ""

    def _take(self, clock: DeviceClock, reading: ClockReading) -> None:
        self._lately[clock.device] = reading
        since = reading.at - LATELY_MS
        if len(self._lately) > judge.WITNESSES:
            self._lately = {name: each for name, each in self._lately.items() if each.at >= since}
        suspected = judge.own_offset(
            (each for each in self._lately.values() if each.at >= since), self.policy
        )
        if (suspected is None) is not (self.suspected_ms is None):
            self._suspect(suspected)
        self.suspected_ms = suspected
        if suspected is None:
            self._note(*judge.after(clock, reading, self.policy))
        else:
            self._note(*judge.unheld(replace(clock, at=reading.at, reading=reading), reading.at))

    def _suspect(self, offset_ms: int | None) -> None:
        """The suspicion begins or ends: what was said of clocks meanwhile is void."""
        now, loop_now = self._clock(), asyncio.get_running_loop().time()
        self.own = own_clock()
        if offset_ms is None:
            log.warning("this machine's clock agrees with the devices again")
        else:
            kept = {True: "is", False: "is not", None: "may or may not be"}[self.own.synchronised]
            log.error(
                "most devices are off by %+.1f s alike: this machine's clock is suspected; it %s kept in step"
                " (NTP), says the kernel",
                offset_ms / 1000,
                kept,
            )
            for clock in list(self._clocks.values()):
                self._note(*judge.unheld(clock, now))
        for name in self._boxes:
            self._rota.sooner(name, loop_now + pacing.phase(f"{name} clock") * SUSPICIOUS_S)

    def _notice_set_back(self) -> None:
        """If our own clock was ahead until just now, no reading is later than now, and no state."""
        now, ahead_ms = self._own_time.look()
        if not ahead_ms:
            return
        self._lately = {name: each for name, each in self._lately.items() if each.at <= now}
        self._closed = [each for each in self._closed if (each.end or now) <= now]
        for name, clock in list(self._clocks.items()):
            if max(clock.at, clock.since) > now:
                self._note(judge.newcomer(name, now), None)

    def _call_witnesses(self, name: str, now: float) -> None:
        """Others are asked before this one is blamed."""
        since = self._clock() - LATELY_MS
        others = (
            each
            for each in self._boxes
            if each != name and (each not in self._lately or self._lately[each].at < since)
        )
        needed = judge.WITNESSES - sum(reading.at >= since for reading in self._lately.values())
        for each, _ in zip(others, range(max(needed, 0)), strict=False):
            self._rota.sooner(each, now)

    # --- kept ----------------------------------------------------------------------------------------

    def _note(self, clock: DeviceClock, closed: ClockInterval | None) -> None:
        self._clocks[clock.device] = clock
        self._dirty.add(clock.device)
        if closed is not None:
            self._closed.append(closed)

    async def flush(self) -> None:
        """Store what changed; what the store does not take is tried again."""
        if not self._dirty:
            return
        names, self._dirty = self._dirty, set()
        closed, self._closed = self._closed, []
        clocks = [self._clocks[name] for name in names]

        def write(connection: Connection) -> None:
            store.put_clocks(connection, clocks, closed)

        try:
            await self._database.awrite(write)
            self._failing = False
        except (SQLAlchemyError, SharpEyesError, OSError) as error:
            if not self._failing:
                log.error("clocks of devices cannot be stored, kept in memory meanwhile: %s", error)
            self._failing = True
            self._dirty |= names
            self._closed = closed + self._closed

    async def _write_on(self) -> None:
        while True:
            await asyncio.sleep(WRITE_S)
            await self.flush()
