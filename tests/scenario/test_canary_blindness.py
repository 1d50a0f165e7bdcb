"""What we could not see is held against nobody: canaries, mass failures, and what is known afterwards.

Fleet, looks, judge, recorder, loop of faults and store are the real ones; cameras and canaries are played.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from scenario.test_pictures_day import Examiner
from scenario.virtual_city import EPOCH, City, city, roll_up, rung_intervals, seconds
from sharpeyes.domain.camera import Camera
from sharpeyes.domain.clock import ClockReading
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.faults import Node, NodeKind, StateChange
from sharpeyes.domain.health import Rung, RungInterval, State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.faults.faults import Faults, FaultSettings
from sharpeyes.health.board import Board, Subscription
from sharpeyes.health.decoders import Threads
from sharpeyes.health.fleet import Fleet
from sharpeyes.health.quality import Quality
from sharpeyes.health.recorder import Recorder
from sharpeyes.rates import rollup
from sharpeyes.selfwatch.canaries import Canaries, name_of
from sharpeyes.selfwatch.own_outages import OwnOutages
from sharpeyes.selfwatch.schedule import FAULTS, Show
from sharpeyes.store import causes, rollups, telemetry
from sharpeyes.store import own_outages as outages
from sharpeyes.store.own_outages import StoredOutage
from sharpeyes.store.pictures import load_rungs
from sharpeyes.store.quality_schema import unsaid_rung

ONLINE, DEGRADED, OFFLINE, UNKNOWN = State.ONLINE, State.DEGRADED, State.OFFLINE, State.UNKNOWN
SAYS = {Show.BLACK: "black", Show.FREEZE: "frozen", Show.BLUR: "blurred"}


class PlayedStage:
    """Canaries among the city's cameras. ``unseen``: shows that nothing gives away."""

    credentials = Credentials("canary", Secret("right"))

    def __init__(self, place: City, zones: tuple[str, ...]) -> None:
        self.place, self.zones = place, zones
        for zone in zones:
            place.passwords[f"canary-{zone}"] = "right"
        self.offset_ms: dict[str, int] = defaultdict(int)
        self.unseen: set[Show] = {Show.SHIFT}  # the played checks know no scenes
        self.log: list[tuple[float, str, Show]] = []

    async def open(self) -> Mapping[str, str]:
        return {zone: f"rtsp://canary-{zone}/{name_of(zone)}" for zone in self.zones}

    async def show(self, zone: str, show: Show) -> None:
        self.log.append((self.place.loop.time(), zone, show))
        name = name_of(zone)
        self.place.behaviour.pop(name, None)
        self.place.pictures.pop(name, None)
        self.place.passwords[f"canary-{zone}"] = "right"
        self.offset_ms[zone] = 600_000 if show is Show.CLOCK else 0
        if show in self.unseen:
            return
        if show is Show.HANG:
            self.place.behaviour[name] = "hangs at describe"
        if show is Show.REFUSAL:
            self.place.passwords[f"canary-{zone}"] = "another"
        if show in SAYS:
            self.place.pictures[name] = SAYS[show]

    async def read_clock(self, zone: str) -> ClockReading:
        return ClockReading(at=self.place.clock(), offset_ms=self.offset_ms[zone], uncertainty_ms=500)

    async def close(self) -> None: ...


class Monitor:
    """All of a service but its API, on a city's database."""

    def __init__(self, place: City, *, zones: tuple[str, ...] = ()) -> None:
        self.place = place
        self.board = Board()
        self.recorder = Recorder(place.database, clock=place.clock)
        self.quality = Quality(Threads(Examiner(place)), clock=place.clock)
        self.fleet = Fleet(
            place.probe,
            board=self.board,
            recorder=self.recorder,
            clock=place.clock,
            quality=self.quality,
        )
        self.own = OwnOutages(place.database, self.fleet, self.recorder)
        self.stage = PlayedStage(place, zones)
        self.delays: dict[Show, list[float]] = defaultdict(list)
        self.canaries = Canaries(
            self.stage,
            self.fleet,
            self.quality,
            clock=place.clock,
            detected=lambda show, s: self.delays[show].append(s),
        )
        self.faults = Faults(
            place.database,
            FaultSettings(),
            place.clock,
            found=self.own.found,
            failing_canaries=lambda: self.canaries.failing(),
        )

    @contextlib.asynccontextmanager
    async def running(self, cameras: list[Camera], **fields: Any) -> AsyncIterator[None]:
        await self.own.resume()
        await self.fleet.start([self.place.target(camera, **fields) for camera in cameras])
        if self.stage.zones:
            self.canaries.start()
        with self.board.subscribe(100_000) as changes:
            async with self.faults.running(self._changes(changes)):
                yield
        await self.canaries.stop()
        await self.fleet.stop()
        await self.quality.stop()

    async def _changes(self, changes: Subscription) -> AsyncIterator[StateChange]:
        async for change in changes:
            at = Ms(max(self.place.clock(), change.at))
            yield StateChange(
                camera=change.camera, state=change.after, cause=change.cause, at=at, since=change.at
            )

    def states(self) -> dict[State, int]:
        return dict(self.board.tally().by_state)

    def outages(self) -> list[StoredOutage]:
        return self.place.database.read(outages.list_outages)[::-1]

    async def say_real(self, key: int) -> StoredOutage:
        return await self.own.say_real(
            key,
            by="li",
            remark="the grid company says so",
            at=self.place.clock(),
            commit=self.place.database.awrite,
        )


def spells(place: City, camera: str) -> list[tuple[State, float, float | None, str | None]]:
    """All of a camera, the open interval last; in seconds."""
    found = place.intervals()[camera]
    return [(i.state, seconds(i.start), None if i.end is None else seconds(i.end), i.cause) for i in found]


def offline_s(place: City, camera: str) -> float:
    """Seconds that count as offline."""
    end = place.loop.time()
    return sum((b if b is not None else end) - a for s, a, b, _ in spells(place, camera) if s is OFFLINE)


def check_tiled(place: City) -> None:
    """No gap, no overlap, none empty, whatever was said afterwards; and no rung while nothing was seen."""
    for camera, found in place.intervals().items():
        assert all(a.end == b.start for a, b in pairwise(found)), (camera, found)
        closed = [i for i in found if i.end is not None]
        assert all(i.end is not None and i.end > i.start for i in closed)
        climbed = rungs(place, camera)
        assert all(one.end is not None and one.end <= other.start for one, other in pairwise(climbed))
        for rung in climbed:
            for unseen in found:
                if unseen.state is UNKNOWN:
                    over = unseen.end is not None and rung.start >= unseen.end
                    before = rung.end is not None and rung.end <= unseen.start
                    assert over or before, (camera, rung, unseen)


def check_climbed(place: City, camera: str) -> None:
    """Of all time in which a state is said, a rung is said, and one that goes with the state."""
    climbed = rungs(place, camera)
    for spell in place.intervals()[camera]:
        if spell.state in (ONLINE, DEGRADED, OFFLINE):
            end = spell.end or place.clock()
            parts = [
                (max(r.start, spell.start), min(r.end or end, end), r.rung)
                for r in climbed
                if r.start < end and (r.end is None or r.end > spell.start)
            ]
            assert sum(b - a for a, b, _ in parts) == end - spell.start, (camera, spell, climbed)
            assert all((rung < Rung.KEYFRAME) is (spell.state is OFFLINE) for _, _, rung in parts), spell


def rungs(place: City, camera: str) -> list[RungInterval]:
    """What is said of a camera's climb, the open interval last."""
    span = Span(Ms(0), Ms(EPOCH * 2))
    found = place.database.read(lambda c: rung_intervals(c, camera, span))
    last = place.database.read(load_rungs).get(camera)
    return [*found, *([] if last is None else [last])]


def unsaid(place: City) -> int:
    """Rows of rungs that are kept apart."""
    return place.database.read(lambda c: c.scalar(select(func.count()).select_from(unsaid_rung))) or 0


def singles(place: City, number: int, zone: str = "z") -> list[Camera]:
    return place.build({f"{zone}{n}": 1 for n in range(number)}, zone=zone)


# --- canaries -------------------------------------------------------------------------------------------


def test_a_turn_of_a_canary_names_every_fault_and_raises_no_false_alarm(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = singles(place, 3)
        monitor = Monitor(place, zones=("z",))
        shown = [show for show in FAULTS if show is not Show.SHIFT]

        async def story() -> None:
            async with monitor.running(cameras, cadence_s=300.0):
                await asyncio.sleep(420 + len(FAULTS) * 360)
                canary = monitor.canaries.performing["z"]
                assert canary.detected == dict.fromkeys(shown, 1)
                assert canary.missed == {Show.SHIFT: 1}, "which these checks do not know"
                assert canary.false_alarms == {}
                assert monitor.canaries.failing() == {}
                assert len(monitor.board) == 3, "no canary is among the cameras"
                assert monitor.fleet.stats.failures == {}, "nor counted with them"
            assert monitor.outages() == []

        run(story())
        for show in shown:
            assert 0 < max(monitor.delays[show]) <= 180, show
        assert all(spells(place, c.id)[-1][0] is ONLINE for c in cameras)
        stored = place.database.read(telemetry.load_standings)
        assert set(stored) == {c.id for c in cameras}


def test_the_fleet_forgets_the_canaries_when_they_stop(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = singles(place, 1)
        monitor = Monitor(place, zones=("y", "z"))

        async def story() -> None:
            async with monitor.running(cameras):
                await asyncio.sleep(120)
                assert len(monitor.fleet.canaries) == 2
                monitor.fleet.sync([place.target(c) for c in cameras])
                assert len(monitor.fleet.canaries) == 2, "they are in no registry, and stay"
                await monitor.canaries.stop()
                assert len(monitor.fleet.canaries) == 0

        run(story())


@pytest.mark.parametrize("fault", ["refuses", "emfile", "hangs at describe"])
def test_a_canary_that_is_not_seen_as_it_is_makes_its_zone_unknown_and_no_other(
    tmp_path: Path, fault: str
) -> None:
    with city(tmp_path) as (place, run):
        near, far = singles(place, 4), singles(place, 4, "far")
        monitor = Monitor(place, zones=("z", "far"))

        async def story() -> None:
            async with monitor.running([*near, *far]):
                await asyncio.sleep(300)
                assert monitor.states() == {ONLINE: 8}
                # The prober fails for all of a zone, its own canary included, in a way that looks like them.
                names = [name_of("z"), *(c.id for c in near)]
                place.behaviour |= dict.fromkeys(names, fault)
                await asyncio.sleep(400 - place.loop.time())
                assert set(monitor.canaries.failing()) == {"z"}
                assert monitor.states() == {UNKNOWN: 4, ONLINE: 4}
                for name in names:
                    place.behaviour.pop(name, None)
                await asyncio.sleep(90)
                assert monitor.canaries.failing() == {}
                assert monitor.states() == {ONLINE: 8}

        run(story())
        (outage,) = monitor.outages()
        assert (outage.zone, outage.reason) == ("z", "canary")
        assert 285 <= seconds(outage.since) <= 301, "the last instant at which the canary was seen well"
        for camera in near:
            assert [s[0] for s in spells(place, camera.id)][-2:] == [UNKNOWN, ONLINE]
            assert offline_s(place, camera.id) == 0
            unknown = [s for s in spells(place, camera.id) if s[0] is UNKNOWN][1:]
            assert unknown[0][1] <= 331
            assert {s[3] for s in unknown} <= {"prober_canary", "no_descriptors"}
        for camera in far:
            assert [s[0] for s in spells(place, camera.id)] == [UNKNOWN, ONLINE]
        check_tiled(place)


def test_while_the_view_is_lost_even_what_is_seen_is_not_believed(tmp_path: Path) -> None:
    """A proxy that answers in place of the cameras would answer for the canary too."""
    with city(tmp_path) as (place, run):
        cameras = singles(place, 3)
        monitor = Monitor(place, zones=("z",))

        async def story() -> None:
            async with monitor.running(cameras):
                await asyncio.sleep(300)
                place.behaviour[name_of("z")] = "refuses"
                await asyncio.sleep(90)
                assert monitor.states() == {UNKNOWN: 3}
                del place.behaviour[name_of("z")]
                await asyncio.sleep(60)
                assert monitor.states() == {ONLINE: 3}

        run(story())
        for camera in cameras:
            found = place.intervals()[camera.id]
            lost = next(i for i in found if i.cause == "prober_canary")
            assert (lost.state, lost.seen_state) == (UNKNOWN, ONLINE)
            assert 285 <= seconds(lost.start) <= 301
        check_tiled(place)


class Brittle(PlayedStage):
    """A stage that breaks in a way that nobody foresaw."""

    def __init__(self, place: City, zones: tuple[str, ...]) -> None:
        super().__init__(place, zones)
        self.opened: list[float] = []
        self.closed = 0
        self.broken: Exception | None = ZeroDivisionError("in a clip")
        self.unreadable = False

    async def open(self) -> Mapping[str, str]:
        self.opened.append(self.place.loop.time())
        if self.broken is not None:
            raise self.broken
        return await super().open()

    async def read_clock(self, zone: str) -> ClockReading:
        if self.unreadable:
            raise LookupError(zone)
        return await super().read_clock(zone)

    async def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("error", [ZeroDivisionError("in a clip"), OSError("no cache"), TimeoutError()])
def test_a_stage_that_breaks_is_opened_again_ever_more_slowly_and_it_is_said(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with city(tmp_path) as (place, run):
        cameras = singles(place, 1)
        monitor = Monitor(place, zones=("z",))
        stage = Brittle(place, ("z",))
        stage.broken = error
        monitor.canaries = Canaries(stage, monitor.fleet, monitor.quality, clock=place.clock)

        async def story() -> None:
            async with monitor.running(cameras):
                await asyncio.sleep(3600)
                gaps = [round(b - a) for a, b in pairwise(stage.opened)]
                assert gaps[:6] == [60, 120, 240, 480, 900, 900]
                assert stage.closed == len(stage.opened), "nothing half open is left behind"
                trouble = monitor.canaries.trouble
                assert trouble is not None
                assert trouble.startswith("there are no canaries: ")
                assert type(error).__name__ in trouble or str(error) in trouble
                assert (str(error) or repr(error)) in trouble
                assert monitor.canaries.performing == {}, "nobody can say how our view is"
                assert monitor.states() == {ONLINE: 1}
                stage.broken = None
                while not monitor.canaries.performing:
                    await asyncio.sleep(1)
                await asyncio.sleep(120)
                assert monitor.canaries.trouble is None
                assert monitor.canaries.performing["z"].said.state is ONLINE

        run(story())
    assert len([r for r in caplog.records if "there are no canaries" in r.message]) == 1


def test_a_view_that_was_lost_is_not_back_because_the_stage_broke_down(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = singles(place, 2)
        monitor = Monitor(place, zones=("z",))
        stage = monitor.stage = Brittle(place, ("z",))
        stage.broken = None
        monitor.canaries = Canaries(stage, monitor.fleet, monitor.quality, clock=place.clock)

        async def story() -> None:
            async with monitor.running(cameras):
                await asyncio.sleep(300)
                place.behaviour[name_of("z")] = "refuses"
                await asyncio.sleep(60)
                lost = monitor.canaries.failing()["z"]
                stage.unreadable, stage.broken = True, ValueError("broken for good")
                await asyncio.sleep(60)
                assert monitor.canaries.performing == {}
                assert len(monitor.fleet.canaries) == 0
                assert monitor.canaries.failing() == {"z": lost}
                assert monitor.states() == {UNKNOWN: 2}
                stage.unreadable, stage.broken = False, None
                await asyncio.sleep(240)
                assert monitor.canaries.failing() == {"z": lost}, "the new one is not seen either"
                del place.behaviour[name_of("z")]
                await asyncio.sleep(60)
                assert monitor.canaries.failing() == {}
                assert monitor.states() == {ONLINE: 2}
            assert len(monitor.outages()) == 1

        run(story())
        check_tiled(place)


def test_a_clock_of_ours_that_is_set_back_by_months_leaves_no_canary_waiting_for_them(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = singles(place, 2)
        monitor = Monitor(place, zones=("z",))

        async def story() -> None:
            place.shift_ms = 100 * 24 * 3_600_000
            async with monitor.running(cameras):
                await asyncio.sleep(300)
                place.shift_ms = 0
                await asyncio.sleep(420 + 360 * 2 - 90)  # it is well, until the next fault after these
                canary = monitor.canaries.performing["z"]
                assert canary.detected[Show.BLACK] == 1, "the timetable goes on"
                assert canary.account.good <= place.clock()
                assert monitor.canaries.failing() == {}
                assert monitor.states() == {ONLINE: 2}
                place.behaviour[name_of("z")] = "refuses"
                await asyncio.sleep(60)
                assert monitor.canaries.failing()["z"] <= place.clock()

        run(story())
        (outage,) = monitor.outages()
        assert outage.since <= place.clock()


# --- mass failures --------------------------------------------------------------------------------------


def fall(place: City, cameras: list[Camera], manner: str = "dead") -> None:
    place.behaviour |= {camera.id: manner for camera in cameras}


def rise(place: City, cameras: list[Camera]) -> None:
    for camera in cameras:
        place.behaviour.pop(camera.id, None)


def test_many_unrelated_cameras_at_once_are_unknown_from_their_first_failing_probe(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = singles(place, 40)
        own, shared = cameras[:1], cameras[1:]
        monitor = Monitor(place)

        async def story() -> None:
            async with monitor.running(cameras):
                await asyncio.sleep(100)
                fall(place, own)
                await asyncio.sleep(900)
                assert monitor.states() == {OFFLINE: 1, ONLINE: 39}
                fall(place, shared)
                await asyncio.sleep(120)
                assert monitor.states() == {OFFLINE: 1, UNKNOWN: 39}
                rise(place, shared[:30])  # a pass is a pass: who is seen is well
                await asyncio.sleep(60)
                assert monitor.states() == {OFFLINE: 1, UNKNOWN: 9, ONLINE: 30}
                assert monitor.outages()[0].ended is not None, "half of the zone is seen again"
                await asyncio.sleep(120)
                assert monitor.states() == {OFFLINE: 10, ONLINE: 30}, "the others are judged anew"

        run(story())
        (outage,) = monitor.outages()
        assert outage.reason == "mass"
        for camera in shared[:30]:
            assert offline_s(place, camera.id) == 0
            assert [s[0] for s in spells(place, camera.id)] == [UNKNOWN, ONLINE, UNKNOWN, ONLINE]
        for camera in shared[30:]:
            assert outage.ended is not None
            down = [s for s in spells(place, camera.id) if s[0] is OFFLINE]
            assert down[0][1] >= seconds(outage.ended), "judged by what was seen since"
        check_tiled(place)


def test_fallen_and_back_before_anybody_knew_is_taken_back_too(tmp_path: Path) -> None:
    """Some have recovered, and their outage is stored, when the others make it a mass failure."""
    with city(tmp_path) as (place, run):
        cameras = singles(place, 30)
        monitor = Monitor(place)

        async def story() -> None:
            async with monitor.running(cameras, cadence_s=20.0):
                await asyncio.sleep(100)
                fall(place, cameras[:8], "refuses")
                await asyncio.sleep(40)
                assert monitor.states()[OFFLINE] >= 6
                rise(place, cameras[:8])
                await asyncio.sleep(40)
                assert monitor.states() == {ONLINE: 30}
                fall(place, cameras[:20], "refuses")
                await asyncio.sleep(100)
                assert monitor.states() == {UNKNOWN: 20, ONLINE: 10}

        run(story())
        (outage,) = monitor.outages()
        stored = [i for c in cameras for i in place.intervals()[c.id] if i.seen_state is OFFLINE]
        assert all(i.start >= outage.since for i in stored)
        assert all(offline_s(place, c.id) == 0 or spells(place, c.id)[1][2] for c in cameras)
        check_tiled(place)


@pytest.mark.parametrize("when", ["while it lasts", "afterwards"])
def test_an_operator_says_that_it_was_real(tmp_path: Path, when: str) -> None:
    with city(tmp_path) as (place, run):
        cameras = singles(place, 20)
        dark = cameras[:12]
        monitor = Monitor(place)

        async def story() -> None:
            async with monitor.running(cameras):
                await asyncio.sleep(100)
                fall(place, dark)
                await asyncio.sleep(300)
                assert monitor.states() == {UNKNOWN: 12, ONLINE: 8}
                (outage,) = monitor.outages()
                if when == "while it lasts":
                    await monitor.say_real(outage.id)
                    assert monitor.states() == {OFFLINE: 12, ONLINE: 8}, "at once"
                    await asyncio.sleep(900)
                    assert monitor.states() == {OFFLINE: 12, ONLINE: 8}, "and it is not taken back"
                    assert len(monitor.outages()) == 1
                rise(place, dark)
                await asyncio.sleep(90)
                assert monitor.states() == {ONLINE: 20}
                if when == "afterwards":
                    assert all(offline_s(place, c.id) == 0 for c in dark)
                    await monitor.say_real(outage.id)
                told = monitor.outages()[0]
                assert (told.real_by, told.remark) == ("li", "the grid company says so")
                with pytest.raises(Exception, match="already"):
                    await monitor.say_real(outage.id)

        run(story())
        length = 1200 if when == "while it lasts" else 300
        for camera in dark:
            (down,) = [s for s in spells(place, camera.id) if s[0] is OFFLINE]
            assert 99 <= down[1] <= 132
            assert down[2] is not None
            assert down[2] - down[1] == pytest.approx(length, abs=45)
            assert down[3] == "timeout", "with the cause that the probes gave"
            check_climbed(place, camera.id)
        check_tiled(place)
        assert unsaid(place) == 0


def test_rungs_that_move_during_an_outage_of_our_own_come_back_with_it(tmp_path: Path) -> None:
    """First nobody answers, then somebody does, as when power comes back before the network does."""
    with city(tmp_path) as (place, run):
        cameras = singles(place, 20)
        dark = cameras[:12]
        monitor = Monitor(place)

        async def story() -> None:
            async with monitor.running(cameras):
                await asyncio.sleep(100)
                fall(place, dark)
                await asyncio.sleep(300)
                for camera in dark:
                    place.behaviour[camera.id] = "hangs at describe"
                await asyncio.sleep(300)
                assert monitor.states() == {UNKNOWN: 12, ONLINE: 8}
                assert all(rungs(place, c.id)[-1].end is not None for c in dark), "none is said meanwhile"
                assert unsaid(place) >= 12
                (outage,) = monitor.outages()
                await monitor.say_real(outage.id)
                assert monitor.states() == {OFFLINE: 12, ONLINE: 8}
                await asyncio.sleep(60)
                for camera in dark:
                    check_climbed(place, camera.id)
                    heights = [r.rung for r in rungs(place, camera.id)]
                    assert len(set(heights)) >= 3, "well, mute, and half awake"
                rise(place, dark)
                await asyncio.sleep(120)

        run(story())
        for camera in cameras:
            check_climbed(place, camera.id)
        check_tiled(place)
        assert unsaid(place) == 0


@pytest.mark.parametrize("real", [True, False])
def test_what_was_seen_well_while_our_view_was_lost_counts_if_somebody_says_so(
    tmp_path: Path, real: bool
) -> None:
    with city(tmp_path) as (place, run):
        cameras = singles(place, 3)
        monitor = Monitor(place, zones=("z",))

        async def story() -> None:
            async with monitor.running(cameras):
                await asyncio.sleep(300)
                place.behaviour[name_of("z")] = "refuses"
                await asyncio.sleep(90)
                assert monitor.states() == {UNKNOWN: 3}
                check_tiled(place)
                del place.behaviour[name_of("z")]
                await asyncio.sleep(60)
                (outage,) = monitor.outages()
                if real:
                    await monitor.say_real(outage.id)

        run(story())
        for camera in cameras:
            lost = [s for s in spells(place, camera.id) if s[3] == "prober_canary" and s[1] < 390]
            assert bool(lost) is not real
            check_climbed(place, camera.id)
        check_tiled(place)
        assert (unsaid(place) == 0) is real


def test_a_restart_in_the_middle_of_an_own_outage_changes_nothing(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = singles(place, 20)
        dark = cameras[:12]

        async def story() -> None:
            first = Monitor(place)
            async with first.running(cameras):
                await asyncio.sleep(100)
                fall(place, dark)
                await asyncio.sleep(200)
                assert first.states() == {UNKNOWN: 12, ONLINE: 8}
            await asyncio.sleep(30)
            second = Monitor(place)
            async with second.running(cameras):
                await asyncio.sleep(200)
                assert second.states() == {UNKNOWN: 12, ONLINE: 8}
                (outage,) = second.outages()
                await second.say_real(outage.id)
                await asyncio.sleep(30)
                assert second.states() == {OFFLINE: 12, ONLINE: 8}
                third = Monitor(place)
            async with third.running(cameras):
                await asyncio.sleep(200)
                assert third.states() == {OFFLINE: 12, ONLINE: 8}, "what is said to be real stays so"

        run(story())
        for camera in dark:
            assert offline_s(place, camera.id) == pytest.approx(200 + 230 + 200, abs=120)
        check_tiled(place)


def test_emfile_for_everybody_is_unknown_and_no_outage_of_theirs(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = singles(place, 20)
        monitor = Monitor(place, zones=("z",))

        async def story() -> None:
            async with monitor.running(cameras):
                await asyncio.sleep(200)
                fall(place, cameras, "emfile")
                place.behaviour[name_of("z")] = "emfile"
                await asyncio.sleep(100)
                assert monitor.states() == {UNKNOWN: 20}
                assert set(monitor.canaries.failing()) == {"z"}
                place.behaviour.clear()
                await asyncio.sleep(60)
                assert monitor.states() == {ONLINE: 20}

        run(story())
        assert all(offline_s(place, c.id) == 0 for c in cameras)
        assert [o.reason for o in monitor.outages()] == ["canary"]
        check_tiled(place)


# --- upstream -------------------------------------------------------------------------------------------


def test_below_a_switch_that_fails_cameras_are_offline_with_cause_upstream(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = singles(place, 20)
        below, lasting = cameras[:6], cameras[5]
        ids = [c.id for c in below]
        switch = Node(id="switch-1", kind=NodeKind.SWITCH, name="Switch 1")
        place.database.write(lambda c: causes.put_node(c, switch, ids, now=place.clock()))
        monitor = Monitor(place)

        async def story() -> None:
            async with monitor.running(cameras):
                await asyncio.sleep(100)
                fall(place, below)
                await asyncio.sleep(300)
                assert monitor.states() == {OFFLINE: 6, ONLINE: 14}, "they count as offline"
                causes = {e.standing.cause for e in monitor.board if e.standing.state is OFFLINE}
                assert causes == {"upstream"}
                assert monitor.faults.loop.outcome.suppressed == {"switch-1": 6}
                assert len(monitor.own.upstream) == 6
                rise(place, below[:5])
                await asyncio.sleep(600)
                entry = monitor.board.get(lasting.id)
                assert entry is not None
                assert (entry.standing.state, entry.standing.cause) == (OFFLINE, "timeout")
                rise(place, below[5:])
                await asyncio.sleep(60)

        run(story())
        for camera in below[:5]:
            (down,) = [i for i in place.intervals()[camera.id] if i.state is OFFLINE]
            assert (down.cause, down.seen_cause) == ("upstream", "timeout")
        down = [i for i in place.intervals()[lasting.id] if i.state is OFFLINE]
        assert [i.cause for i in down] == ["upstream", "timeout"], "its own from when the switch was well"
        check_tiled(place)


def test_a_day_is_added_up_again_when_it_turns_out_otherwise(tmp_path: Path) -> None:
    """A night's outage, said to be real the next morning, counts in a day of 25 hours that was added up."""
    berlin = ZoneInfo("Europe/Berlin")
    with city(tmp_path) as (place, run):
        midnight = round(datetime(2026, 10, 25, tzinfo=berlin).timestamp() * 1000)
        place.shift_ms = midnight - EPOCH + 2 * 3_600_000  # soon it is two o'clock for the first time
        cameras = singles(place, 12)
        monitor = Monitor(place)

        async def story() -> None:
            async with monitor.running(cameras):
                await asyncio.sleep(100)
                fall(place, cameras)
                await asyncio.sleep(600)
                rise(place, cameras)
                await asyncio.sleep(90)
            before = figures()
            assert (before[OFFLINE], before[UNKNOWN] >= 12 * 500_000) == (0, True)
            (outage,) = monitor.outages()
            await monitor.say_real(outage.id)
            assert not place.database.read(rollups.days)[0].fresh, "it has to be added up anew"
            after = figures()
            assert after[OFFLINE] >= 12 * 500_000
            assert sum(after.values()) == sum(before.values()) == 12 * (day().length_ms - 2 * 3_600_000)

        def day() -> Span:
            return Span(Ms(midnight), Ms(midnight + 25 * 3_600_000))

        def figures() -> dict[State, int]:
            place.database.write(lambda c: telemetry.set_heartbeat(c, Ms(day().end + 600_000)))
            due = place.database.read(lambda c: rollup.due(c, berlin, Ms(day().end + 600_000)))
            assert due == [day()]
            place.database.write(lambda c: roll_up(c, day(), day().end))
            found, _ = place.database.read(lambda c: rollup.add_up(c, day()))
            return {state: sum(f.states[n] for f in found.values()) for n, state in enumerate(State)}

        run(story())
        check_tiled(place)
