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
from dataclasses import dataclass, field, replace
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
from sharpeyes.health.own_time import OwnTime
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
"""A stage that cannot be opened, or that broke down, is tried again after so long; then after twice that."""
LONGEST_S = 900.0
OPEN_S = 600.0
"""So long a stage may take to open: its clips may have to be drawn first."""
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
        self._own_time = OwnTime(clock)
        self._lost: dict[str, Ms] = {}
        """Zones of which our view was lost when the stage broke down: it is not back by that."""
        self._task: asyncio.Task[None] | None = None

    # --- life ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin in the background: the clips may have to be drawn first. The fleet must have been started."""
        self._task = asyncio.create_task(self._run(), name="canaries")

    async def stop(self) -> None:
        """The stage closes; the fleet forgets them."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._leave()

    async def _run(self) -> None:
        """Perform, and whatever ends that, begin anew: a monitor that goes untested must say so."""
        loop, pause = asyncio.get_running_loop(), AGAIN_S
        while True:
            began = loop.time()
            try:
                await self._perform()
            except Exception as error:  # noqa: BLE001 (whatever it is, canaries do not end silently)
                foreseen = isinstance(error, (SharpEyesError, OSError))
                why = str(error) if foreseen and str(error) else repr(error)
                self._complain(f"there are no canaries: {why}", cause=None if foreseen else error)
            await self._leave()
            if loop.time() - began > OPEN_S + LONGEST_S:  # it had performed for a while
                pause = AGAIN_S
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_S)

    async def _perform(self) -> None:
        async with asyncio.timeout(OPEN_S):
            urls = await self._stage.open()
        begin = self._clock()
        for number, (zone, url) in enumerate(urls.items()):
            self.performing[zone] = self._newcomer(zone, number, begin)
            self._quality.set_apart(name_of(zone))
            self._fleet.put(_target(zone, url, self._stage.credentials))
        self.trouble = None
        async with asyncio.TaskGroup() as group:
            group.create_task(self._step_on(), name="canary-steps")
            group.create_task(self._read_clocks(), name="canary-clocks")

    def _newcomer(self, zone: str, number: int, begin: Ms) -> Canary:
        account = Account.opened(self._timing(begin, number))
        account = replace(account, failing=self._lost.pop(zone, None))
        return Canary(zone, account, clocks.newcomer(name_of(zone), begin))

    async def _leave(self) -> None:
        """There is no canary any more. What is not seen then stays not seen until one says otherwise."""
        self._lost |= self.failing()
        for zone in self.performing:
            self._fleet.remove(name_of(zone))
        self.performing.clear()
        try:
            await self._stage.close()
        except Exception as error:  # noqa: BLE001 (it shall be opened anew all the same)
            self._complain(f"there are no canaries, and their stage does not close: {error!r}")

    async def _step_on(self) -> None:
        while True:
            self._notice_set_back()
            for canary in self.performing.values():
                try:
                    await self._step(canary)
                except Exception as error:  # noqa: BLE001 (whatever it is, the others perform on)
                    self._complain(f"the canary of {canary.zone} does not perform: {error!r}")
            await asyncio.sleep(STEP_S)

    def _notice_set_back(self) -> None:
        """If our own clock was ahead until just now, the timetables begin anew: theirs would for as long."""
        now, ahead_ms = self._own_time.look()
        if not ahead_ms:
            return
        self._lost = {zone: Ms(min(since, now)) for zone, since in self.failing().items()}
        for number, canary in enumerate(self.performing.values()):
            fresh = self._newcomer(canary.zone, number, now)
            canary.account, canary.clock = fresh.account, fresh.clock

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

    def _complain(self, trouble: str, *, cause: BaseException | None = None) -> None:
        if trouble != self.trouble:
            log.error(trouble, exc_info=cause)
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
                except (SharpEyesError, OSError) as error:
                    canary.clock, _ = clocks.unread(canary.clock, self._clock(), str(error), _CLOCKS)
                else:
                    canary.clock, _ = clocks.after(canary.clock, reading, _CLOCKS)
            await asyncio.sleep(CLOCK_S)

    # --- shown ---------------------------------------------------------------------------------------

    def failing(self) -> dict[str, Ms]:
        """Zone -> since when we do not see it, by its canary, or by the one that was there last."""
        now = {
            zone: canary.account.failing
            for zone, canary in self.performing.items()
            if canary.account.failing is not None
        }
        return self._lost | now


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
