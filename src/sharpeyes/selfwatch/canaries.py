"""Canaries: cameras of our own, of which we know at every moment what there is to see.

Each zone has one. It is looked at by the same fleet, judged by the same judge and quality as any camera, and
is on no board, in no rate and in no list. What it shows (:mod:`.schedule`) is put beside what is said of it
(:mod:`.reckoner`). While one is not seen as what it is, nothing that is said of its zone can be believed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.clock import ClockPolicy, ClockReading, ClockState, DeviceClock
from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.errors import SharpEyesError
from sharpeyes.domain.health import State
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.health import clock as clocks
from sharpeyes.health.fleet import Fleet, Target, endpoint_of
from sharpeyes.health.probe import ProbeRequest
from sharpeyes.health.quality import Quality
from sharpeyes.selfwatch.reckoner import CLOCK, Account, Glimpse, reckon
from sharpeyes.selfwatch.schedule import Schedule, Show

log = logging.getLogger(__name__)

STEP_S = 1.0
"""How often what is said is put beside what is shown: the grain of the delays."""
LIVENESS_S = 10.0
QUALITY_S = 60.0
"""Sooner than most cameras, so that a view that is lost is noticed before they are judged by it."""
CLOCK_S = 20.0
WARM_MS = 420_000
APART_MS, APART = 45_000, 8
"""Canaries do not show the same at the same time: while one is out of order, most are not."""
AGAIN_S = 60.0
"""A stage that cannot be opened is tried again so often."""
_CLOCKS = ClockPolicy(every_s=CLOCK_S)


class Stage(Protocol):
    """Where canaries perform: :class:`~sharpeyes.selfwatch.stage.SimulatedStage`."""

    credentials: Credentials
    """Their account, all of them."""

    async def open(self) -> Mapping[str, str]: ...

    async def show(self, zone: str, show: Show) -> None: ...

    async def read_clock(self, zone: str) -> ClockReading: ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class Canary:
    """One zone's, while it performs."""

    zone: str
    account: Account
    clock: DeviceClock
    shown: Show = Show.HEALTHY
    """What the stage was last told to show."""
    said: Glimpse = field(default_factory=lambda: Glimpse(state=State.UNKNOWN))
    detected: Counter[Show] = field(default_factory=Counter)
    missed: Counter[Show] = field(default_factory=Counter)
    false_alarms: Counter[str] = field(default_factory=Counter)


class Canaries:
    """:meth:`start`, :meth:`stop`. Before its stage is open, and where it cannot be, there are none."""

    def __init__(
        self,
        stage: Stage,
        fleet: Fleet,
        quality: Quality,
        *,
        clock: Callable[[], Ms],
        detected: Callable[[Show, float], None] = lambda _show, _seconds: None,
        timing: Callable[[Ms, int], Schedule] = lambda begin, number: Schedule(
            begin=begin, warm_ms=WARM_MS + number % APART * APART_MS
        ),
    ) -> None:
        """``detected`` is told how many seconds it took to name what; ``timing`` makes the schedule of the
        canary of this number."""
        self.performing: dict[str, Canary] = {}
        """By zone."""
        self.trouble: str | None = None
        """Why there are none, or one does not perform; None if all is well."""
        self._stage = stage
        self._fleet = fleet
        self._quality = quality
        self._clock = clock
        self._detected = detected
        self._timing = timing
        self._tasks: list[asyncio.Task[None]] = []

    # --- life ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin in the background: the clips may have to be drawn first. The fleet must have been started."""
        self._tasks = [asyncio.create_task(self._run(), name="canaries")]

    async def stop(self) -> None:
        """The stage closes; the fleet forgets them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for zone in self.performing:
            self._fleet.remove(name_of(zone))
        self.performing.clear()
        await self._stage.close()

    async def _run(self) -> None:
        urls = await self._opened()
        begin = self._clock()
        for number, (zone, url) in enumerate(urls.items()):
            name, schedule = name_of(zone), self._timing(begin, number)
            self.performing[zone] = Canary(zone, Account.opened(schedule), clocks.newcomer(name, begin))
            self._quality.set_apart(name)
            self._fleet.put(_target(zone, url, self._stage.credentials))
        self._tasks.append(asyncio.create_task(self._read_clocks(), name="canary-clocks"))
        while True:
            for canary in self.performing.values():
                try:
                    await self._step(canary)
                except Exception as error:  # noqa: BLE001 (whatever it is, the others perform on)
                    self._complain(f"the canary of {canary.zone} does not perform: {error!r}")
            await asyncio.sleep(STEP_S)

    async def _opened(self) -> Mapping[str, str]:
        while True:
            try:
                urls = await self._stage.open()
            except (SharpEyesError, OSError) as error:
                self._complain(f"there are no canaries: {error}")
                await self._stage.close()
                await asyncio.sleep(AGAIN_S)
            else:
                self.trouble = None
                return urls

    async def _step(self, canary: Canary) -> None:
        now = self._clock()
        show = canary.account.schedule.at(now).show
        if show is not canary.shown:
            try:
                await self._stage.show(canary.zone, show)
            except (SharpEyesError, OSError) as error:
                self._complain(f"the canary of {canary.zone} cannot show {show}: {error}")
                show = canary.shown
            else:
                self.trouble = None
            if canary.shown is Show.REFUSAL and show is not canary.shown:
                self._mend_account(canary)
            canary.shown = show
        canary.said = self._glimpse(canary)
        before = canary.account.failing
        canary.account, tally = reckon(canary.account, canary.said, now)
        for shown, seconds in tally.detected:
            canary.detected[shown] += 1
            self._detected(shown, seconds)
        for shown in tally.missed:
            canary.missed[shown] += 1
            log.warning("canary: %s was shown in %s, and nobody said so", shown, canary.zone)
        for word in tally.false_alarms:
            canary.false_alarms[word] += 1
            log.warning("canary: %s was said in %s, and is not so", word, canary.zone)
        if (before is None) != (canary.account.failing is None):
            if before is None:
                why = f"{canary.said.state}: {canary.said.cause}"
                log.error("our view of %s is lost: its canary shows %s and is %s", canary.zone, show, why)
            else:
                log.warning("our view of %s is back", canary.zone)

    def _mend_account(self, canary: Canary) -> None:
        """The account is in order again: say so, as an operator does, or it would not be tried for long."""
        entry = self._fleet.canaries.get(name_of(canary.zone))
        if entry is not None:
            endpoint = endpoint_of(entry.camera.stream().url)
            self._fleet.accounts.forgive(endpoint, self._stage.credentials)

    def _complain(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.error(trouble)
        self.trouble = trouble

    def _glimpse(self, canary: Canary) -> Glimpse:
        entry = self._fleet.canaries.get(name_of(canary.zone))
        if entry is None:
            return Glimpse(state=State.UNKNOWN)
        standing, sight = entry.standing, entry.sight
        faults = {defect.kind.value for defect in sight.defects} if sight is not None else set[str]()
        if canary.clock.state is ClockState.FAIL:
            faults.add(CLOCK)
        return Glimpse(
            state=standing.state,
            cause=standing.cause,
            observed=standing.observed,
            doubted=standing.failing.length > 0 and standing.state is not State.OFFLINE,
            faults=frozenset(faults),
        )

    async def _read_clocks(self) -> None:
        while True:
            for canary in self.performing.values():
                try:
                    reading = await self._stage.read_clock(canary.zone)
                except SharpEyesError as error:
                    canary.clock, _ = clocks.unread(canary.clock, self._clock(), str(error), _CLOCKS)
                else:
                    canary.clock, _ = clocks.after(canary.clock, reading, _CLOCKS)
            await asyncio.sleep(CLOCK_S)

    # --- shown ---------------------------------------------------------------------------------------

    def failing(self) -> dict[str, Ms]:
        """Zone -> since when we do not see it, by its canary."""
        return {
            zone: canary.account.failing
            for zone, canary in self.performing.items()
            if canary.account.failing is not None
        }


def name_of(zone: str) -> str:
    """Id of a zone's canary: no id of a camera, which has no colon."""
    return f"canary:{zone}"


def _target(zone: str, url: str, credentials: Credentials) -> Target:
    camera = Camera(
        id=name_of(zone),
        name=f"Canary of {zone}",
        tier=Tier.COMMUNITY,
        department="",
        area="",
        zone=zone,
        streams=(Stream(role=StreamRole.SUB, url=url),),
    )
    return Target(
        camera=camera,
        request=ProbeRequest(url=url, credentials=credentials),
        cadence_s=LIVENESS_S,
        quality_s=QUALITY_S,
        canary=True,
    )
