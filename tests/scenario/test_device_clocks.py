"""Clocks of virtual devices, asked over real sockets: judged, and held against nobody wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from faults_town import HOUR, MINUTE, START, Town
from sqlalchemy import select

from sharpeyes.domain.camera import Camera, Device, Identity, Stream, StreamRole
from sharpeyes.domain.clock import ClockPolicy, ClockReading, ClockState, DeviceClock
from sharpeyes.domain.faults import FaultKind, Scope, Severity, TicketStage
from sharpeyes.domain.health import State
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.health import clocks as room
from sharpeyes.health.boxes import Box, Calls
from sharpeyes.health.clocks import Clocks
from sharpeyes.net.onvif import OnvifClient, OnvifLimits
from sharpeyes.simulator.clip import ClipSpec
from sharpeyes.simulator.fault import Fault
from sharpeyes.simulator.fault import FaultKind as Wrong
from sharpeyes.simulator.fleet import Addressing, ChannelPlan, DevicePlan, Fleet
from sharpeyes.simulator.simulator import Simulator
from sharpeyes.store.clocks import load_clocks, put_clocks
from sharpeyes.store.database import Database
from sharpeyes.store.device_schema import clock_interval
from sharpeyes.store.devices import put_devices

SPEC = ClipSpec(width=320, height=180, gop=10, gops=1, kbps=300)
NOW = Ms(1_790_000_000_000)


class Asked:
    """Devices ``d0``... with these offsets, and the room that asks them."""

    def __init__(self, simulator: Simulator, clocks: Clocks, database: Database) -> None:
        self.simulator, self.clocks, self.database = simulator, clocks, database
        self.now = NOW

    def states(self) -> dict[str, ClockState]:
        found = {name: self.clocks.of(name) for name in self.simulator.ids}
        return {name: clock.state for name, clock in found.items() if clock is not None}


@asynccontextmanager
async def asked(folder: Path, address: str, *offsets: float) -> AsyncIterator[Asked]:
    plans = tuple(
        DevicePlan(
            id=f"d{n}",
            channels=(ChannelPlan(id=f"d{n}", name="", streams=((StreamRole.MAIN, SPEC),)),),
            clock_offset_s=offset,
        )
        for n, offset in enumerate(offsets)
    )
    place = Addressing(network=address, rtsp_port=0, onvif_port=0, discovery_port=None)
    async with (
        Simulator(Fleet(devices=plans), addressing=place, cache=folder) as simulator,
        OnvifClient(OnvifLimits(retries=0, device_s=3.0)) as client,
    ):
        devices = [
            Device(id=name, identity=Identity(), xaddr=simulator.endpoints[name].xaddr)
            for name in simulator.ids
        ]
        with Database(f"sqlite:///{folder}/a.db") as database:
            database.upgrade()
            database.write(lambda connection: put_devices(connection, devices, now=NOW))
            clocks = Clocks(
                client,
                Calls(),
                clock=lambda: town.now,
                database=database,
                policy=ClockPolicy(),
            )
            town = Asked(simulator, clocks, database)
            await clocks.start([Box(device=device, cameras=(_camera(device.id),)) for device in devices])
            try:
                yield town
            finally:
                await clocks.stop()


def _camera(name: str) -> Camera:
    stream = Stream(role=StreamRole.MAIN, url="rtsp://127.0.0.1:1/a")
    return Camera(
        id=name, name=name, tier=Tier.COMMUNITY, department="d", area="a", zone="z", streams=(stream,)
    )


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)


async def test_drift_is_read_judged_and_kept(tmp_path: Path) -> None:
    async with asked(tmp_path, "127.9.51.1", 0.0, 12.0, -7_200.0) as town:
        await until(lambda: len(town.states()) == 3)
        states = town.states()
        assert states == {"d0": ClockState.OK, "d1": ClockState.WARN, "d2": ClockState.FAIL}
        wrong = town.clocks.of("d2")
        assert wrong is not None
        assert wrong.reading is not None
        assert abs(wrong.reading.offset_ms + 7_200_000) <= wrong.reading.uncertainty_ms
        tally = town.clocks.tally()
        assert tally.by_state[Tier.COMMUNITY, ClockState.FAIL] == 1
        assert len(tally.offsets_ms[Tier.COMMUNITY]) == 3
    with Database(f"sqlite:///{tmp_path}/a.db") as database:
        assert {n: c.state for n, c in database.read(load_clocks).items()} == states
        assert set(database.read(lambda c: load_clocks(c, failing=True))) == {"d2"}


async def test_a_device_that_does_not_answer_is_unknown_and_says_why(tmp_path: Path) -> None:
    async with asked(tmp_path, "127.9.52.1", 0.0) as town:
        await until(lambda: len(town.states()) == 1)
        await town.simulator.set_fault("d0", Fault(kind=Wrong.OFF))
        town.now = Ms(NOW + 3 * HOUR + 1)
        clock = town.clocks.of("d0")
        assert clock is not None
        assert clock.state is ClockState.UNKNOWN, "nobody has read it for three cadences"
        await town.clocks._rota.drop("d0")
        assert await town.clocks._meet("d0") is not None
        clock = town.clocks.of("d0")
        assert clock is not None
        assert clock.state is ClockState.UNKNOWN
        assert str(clock.why).startswith("GetSystemDateAndTime: ")
        await town.clocks.flush()
        (kept,) = town.database.read(lambda c: c.execute(select(clock_interval)).all())
        assert (kept.state, kept.ended_ms) == (ClockState.OK, NOW + 3 * HOUR)


async def test_all_off_alike_at_once_is_our_own_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "AGAIN_S", 0.3)
    async with asked(tmp_path, "127.9.53.1", *[0.0] * 7) as town:
        await until(lambda: len(town.states()) == 7)
        for name in town.simulator.ids:  # as if our own clock had jumped back by a minute
            await town.simulator.set_fault(name, Fault(kind=Wrong.CLOCK, seconds=60.0))
        town.now = Ms(NOW + 20 * MINUTE)
        loop = asyncio.get_running_loop()
        # One is read in its turn; it calls the others as witnesses.
        town.clocks._rota.sooner("d3", loop.time())
        await until(lambda: town.clocks.suspected_ms is not None)
        assert abs((town.clocks.suspected_ms or 0) - 60_000) < 2_500
        assert set(town.states().values()) == {ClockState.UNKNOWN}
        assert town.clocks.tally().by_state.get((Tier.COMMUNITY, ClockState.FAIL), 0) == 0
        for name in town.simulator.ids:
            await town.simulator.clear_fault(name)
        town.now = Ms(NOW + 40 * MINUTE)
        for name in town.simulator.ids:
            town.clocks._rota.sooner(name, loop.time())
        await until(lambda: set(town.states().values()) == {ClockState.OK})
        assert town.clocks.suspected_ms is None


def _wrong(device: str, state: ClockState, since: int, at: int) -> DeviceClock:
    reading = ClockReading(at=Ms(at), offset_ms=90_000 if state is ClockState.FAIL else 0, uncertainty_ms=600)
    return DeviceClock(device=device, state=state, since=Ms(since), at=Ms(at), reading=reading)


async def test_a_wrong_clock_is_one_ticket_of_the_recorder_closed_by_a_reading(tmp_path: Path) -> None:
    town = Town(tmp_path, channels=4, singles=1)
    try:
        await town.tick()

        def tell(state: ClockState, since: int) -> None:
            clock = _wrong("nvr-1", state, since, town.now)
            town.database.write(lambda connection: put_clocks(connection, [clock]))

        tell(ClockState.FAIL, START)
        await town.run(14 * MINUTE)
        assert town.tickets() == [], "it has not lasted yet"
        await town.run(2 * MINUTE)
        (ticket,) = town.tickets()
        assert (ticket.key.scope, ticket.key.kind) == (Scope.NODE, FaultKind.CLOCK)
        assert (ticket.severity, ticket.children, ticket.unit) == (Severity.MINOR, 4, "police")
        tell(ClockState.UNKNOWN, town.now)
        await town.run(5 * MINUTE)
        assert town.tickets()[0].stage is TicketStage.ROUTED, "unknown mends nothing"
        tell(ClockState.OK, town.now)
        mended = town.now
        await town.run(MINUTE)
        assert town.tickets()[0].stage is TicketStage.VERIFYING
        await town.run(3 * MINUTE)
        assert town.tickets()[0].stage is TicketStage.VERIFYING, "no reading has said so since"
        tell(ClockState.OK, mended)
        await town.run(MINUTE)
        (ticket,) = town.tickets()
        assert ticket.stage is TicketStage.CLOSED
        assert ticket.evidence is not None
        assert "+0.0 s" in str(ticket.evidence)
    finally:
        town.close()


async def test_no_ticket_for_the_clock_of_what_is_in_maintenance(tmp_path: Path) -> None:
    town = Town(tmp_path, channels=2)
    try:
        town.set(town.cameras, State.MAINTENANCE)
        await town.tick()
        clock = _wrong("nvr-1", ClockState.FAIL, START, START)
        town.database.write(lambda connection: put_clocks(connection, [clock]))
        await town.run(20 * MINUTE)
        assert town.tickets() == []
    finally:
        town.close()
