"""Events of virtual devices over real sockets: subscribed to, heard, taken down, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sharpeyes.domain.camera import Camera, Device, Identity, Stream, StreamRole
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.health import PictureFault
from sharpeyes.domain.organisation import Area, Department, Tier, Zone
from sharpeyes.domain.reports import EventsStatus, ReportKind
from sharpeyes.domain.time import Ms
from sharpeyes.health import events as room
from sharpeyes.health.boxes import Box, Calls
from sharpeyes.health.events import Events
from sharpeyes.net.onvif import OnvifClient, OnvifLimits
from sharpeyes.simulator.clip import ClipSpec
from sharpeyes.simulator.fault import Fault, FaultKind
from sharpeyes.simulator.fleet import Addressing, ChannelPlan, DevicePlan, Fleet
from sharpeyes.simulator.simulator import Simulator
from sharpeyes.store import camera_reports as store
from sharpeyes.store.cameras import put_cameras
from sharpeyes.store.database import Database
from sharpeyes.store.devices import put_devices
from sharpeyes.store.organisation import put_areas, put_departments, put_zones

NOW = Ms(1_790_000_000_000)
SPEC = ClipSpec(width=320, height=180, gop=10, gops=1, kbps=300)
ACCOUNT = Credentials("admin", Secret("simulated"))
LIMITS = OnvifLimits(retries=0, device_s=5.0)


def plan(name: str, channels: int = 1, **more: object) -> DevicePlan:
    return DevicePlan(
        id=name,
        channels=tuple(
            ChannelPlan(id=f"{name}-{n}", name=f"{name} {n}", streams=((StreamRole.MAIN, SPEC),))
            for n in range(1, channels + 1)
        ),
        credentials=ACCOUNT,
        **more,  # type: ignore[arg-type]
    )


class Town:
    """Virtual devices, a store that knows them, and the room that listens to them."""

    def __init__(self, simulator: Simulator, database: Database) -> None:
        self.simulator, self.database = simulator, database
        self.now = NOW
        self.hurried: list[str] = []
        self.boxes = [
            Box(
                device=Device(id=name, identity=Identity(), xaddr=some[0].xaddr),
                cameras=tuple(
                    Camera(
                        id=each.camera,
                        name=each.camera,
                        tier=Tier.COMMUNITY,
                        department="d",
                        area="a",
                        zone="z",
                        device=name,
                        channel=each.token,
                        streams=(Stream(role=StreamRole.MAIN, url=each.streams[StreamRole.MAIN]),),
                    )
                    for each in some
                ),
                credentials=ACCOUNT,
            )
            for name in dict.fromkeys(each.device for each in simulator.endpoints.values())
            if (some := [each for each in simulator.endpoints.values() if each.device == name])
        ]

    def points(self, name: str) -> int:
        return self.simulator.subscriptions(name)

    def prepare(self) -> None:
        def write(connection):  # type: ignore[no-untyped-def]
            put_zones(connection, [Zone(id="z", name="z")])
            put_departments(connection, [Department(id="d", name="d")])
            put_areas(connection, [Area(id="a", name="a")])
            put_devices(connection, [box.device for box in self.boxes], now=NOW)
            put_cameras(connection, [camera for box in self.boxes for camera in box.cameras], now=NOW)

        self.database.upgrade()
        self.database.write(write)

    @asynccontextmanager
    async def listening(self, **more: object) -> AsyncIterator[Events]:
        async with OnvifClient(LIMITS) as client:
            events = Events(
                client,
                Calls(),
                clock=lambda: self.now,
                database=self.database,
                hurry=self.hurried.append,
                **({"pull_s": 0.05} | more),  # type: ignore[arg-type]
            )
            await events.start(self.boxes)
            try:
                yield events
            finally:
                await events.stop()


@asynccontextmanager
async def town(tmp_path: Path, *plans: DevicePlan, address: str = "127.9.31.1") -> AsyncIterator[Town]:
    place = Addressing(network=address, rtsp_port=0, onvif_port=0, discovery_port=None)
    async with Simulator(Fleet(devices=plans), addressing=place, cache=tmp_path) as simulator:
        with Database(f"sqlite:///{tmp_path}/a.db") as database:
            found = Town(simulator, database)
            found.prepare()
            yield found


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("filters", [True, False])
async def test_what_a_camera_reports_is_heard_and_kept(tmp_path: Path, filters: bool) -> None:
    async with town(tmp_path, plan("cam", event_filters=filters)) as place:
        async with place.listening() as events:
            await until(lambda: events.stats.pulls >= 2)
            assert events.subscribed == place.points("cam") == 1
            assert not place.hurried
            assert events.speaks_for("cam-1") == frozenset()
            await place.simulator.set_fault("cam-1", Fault(kind=FaultKind.OCCLUDED))
            await until(lambda: len(events.current("cam-1")) == 2)
            assert place.hurried == ["cam-1"], "two reports, one look"
            assert PictureFault.OCCLUDED in events.speaks_for("cam-1")
            await place.simulator.clear_fault("cam-1")
            await until(lambda: not events.current("cam-1"))
            assert (events.stats.passed_over == 0) is filters, "motion is passed over, or not even asked for"
        assert place.points("cam") == 0, "no subscription is left behind"
        kept = place.database.read(lambda c: store.list_reports(c, "cam-1", now=place.now))
        assert {(each.kind, each.active) for each in kept} == {
            (kind, active)
            for kind in (ReportKind.TAMPER, ReportKind.SCENE_CHANGE)
            for active in (True, False)
        }
        assert not any("Motion" in each.topic or "Line" in each.topic for each in kept)
        known = place.database.read(store.load_device_events)
        assert known["cam"].status is EventsStatus.SUBSCRIBED


async def test_channels_of_a_recorder_share_one_subscription(tmp_path: Path) -> None:
    async with (
        town(tmp_path, plan("nvr", 3), address="127.9.32.1") as place,
        place.listening() as events,
    ):
        await until(lambda: events.stats.pulls >= 1)
        await place.simulator.set_fault("nvr-2", Fault(kind=FaultKind.OCCLUDED))
        await until(lambda: len(events.current("nvr-2")) == 2)
        assert place.points("nvr") == 1
        assert events.current("nvr-1") == events.current("nvr-3") == ()


async def test_devices_without_events_and_with_other_passwords_are_left_alone(tmp_path: Path) -> None:
    plans = plan("mute", pull_points=0), plan("shut")
    async with town(tmp_path, *plans, address="127.9.33.1") as place:
        wrong = Credentials("admin", Secret("wrong"))
        place.boxes = [replace(box, credentials=wrong) if box.id == "shut" else box for box in place.boxes]
        async with place.listening() as events:
            await until(lambda: len(events.by_status()) == 2)
            assert events.by_status() == {EventsStatus.NONE: 1, EventsStatus.REFUSED: 1}
            refused = events.status("shut")
            assert refused is not None
            assert refused.retry == place.now + 30 * 60_000, "as long as accounts are locked for"
            assert "wrong" not in (refused.detail or "")
        async with place.listening() as again:
            await asyncio.sleep(0.3)
            assert again.stats.pulls == 0, "it is remembered"
            assert again.stats.failed == 0


async def test_more_devices_than_subscriptions_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "TENURE_S", 0.2)
    plans = [plan(f"cam{n}") for n in range(4)]
    async with town(tmp_path, *plans, address="127.9.34.1") as place:
        heard: set[str] = set()
        async with place.listening(limit=2) as events:
            async with asyncio.timeout(30):
                while len(heard) < 4:
                    open_now = {each.id for each in plans if place.points(each.id)}
                    assert len(open_now) <= 2
                    heard |= open_now
                    await asyncio.sleep(0.02)
            assert events.waiting >= 1


async def test_a_subscription_that_the_device_forgot_is_made_anew(tmp_path: Path) -> None:
    async with (
        town(tmp_path, plan("cam"), address="127.9.35.1") as place,
        place.listening() as events,
    ):
        await until(lambda: events.stats.pulls >= 1)
        place.simulator.forget_subscriptions("cam")
        await until(lambda: events.stats.failed == 1)
        await until(lambda: place.points("cam") == 1)
        await place.simulator.set_fault("cam-1", Fault(kind=FaultKind.DARK))
        await until(lambda: bool(events.current("cam-1")))
        assert events.stats.failed == 1


async def test_reports_hold_for_a_while_only(tmp_path: Path) -> None:
    async with (
        town(tmp_path, plan("cam", fault=Fault(kind=FaultKind.BLUR)), address="127.9.36.1") as place,
        place.listening() as events,
    ):
        await until(lambda: bool(events.current("cam-1")))
        assert events.speaks_for("cam-1") == {PictureFault.BLURRED}
        place.now = Ms(place.now + room.HOLDS_MS + 1)
        assert events.speaks_for("cam-1") == frozenset()
