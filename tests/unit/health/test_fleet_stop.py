"""What a fleet leaves behind: nothing of ways that lead nowhere any more, and no stop that does not end."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Any, cast

import pytest

from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.health import Keyframe, ProbeResult, Rung, Timings
from sharpeyes.domain.organisation import Tier
from sharpeyes.health.board import Board
from sharpeyes.health.fleet import Fleet, Limits, NoRecord, Target
from sharpeyes.health.probe import ProbeRequest
from sharpeyes.health.quality import Look, Quality
from sharpeyes.health.sight import Sight
from sharpeyes.net.own_clock import wall_clock


async def mute(_: ProbeRequest) -> ProbeResult:
    await asyncio.Event().wait()
    raise AssertionError


def target(number: int, host: str = "127.1.0.1", zone: str = "z") -> Target:
    url = f"rtsp://{host}/{number}"
    camera = Camera(
        id=f"c{number}",
        name=f"c{number}",
        tier=Tier.COMMUNITY,
        department="d",
        area="a",
        zone=zone,
        streams=(Stream(role=StreamRole.MAIN, url=url),),
    )
    return Target(camera=camera, request=ProbeRequest(url=url, credentials=None), cadence_s=0.05)


async def test_ways_that_lead_nowhere_any_more_go() -> None:
    fleet = Fleet(mute, board=Board(), recorder=NoRecord(), clock=wall_clock, limits=Limits(stop_s=0.1))
    await fleet.start([])
    try:
        for generation in range(50):  # the city is renumbered again and again, half of it in flight
            hosts = [f"10.{generation}.{number}.1" for number in range(4)]
            fleet.sync([target(number, host, f"z{generation}") for number, host in enumerate(hosts)])
            await asyncio.sleep(0.002)
        assert len(fleet.turns.ways) == 4 + 4 + 1, "a gate each, a subnet each, one zone"
        fleet.sync([])
        assert len(fleet.turns.ways) == 0
    finally:
        await fleet.stop()


class Stubborn(Quality):
    """A look that does not end, whatever is asked of it."""

    def __init__(self) -> None:
        super().__init__(cast(Any, None), clock=wall_clock)
        self.begun = 0

    async def look(self, camera: str, result: ProbeResult, before: Sight | None, cadence_s: float) -> Look:
        self.begun += 1
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.5)
                if self.released:
                    return Look(None)

    released = False


async def plays(request: ProbeRequest) -> ProbeResult:
    keyframe = Keyframe(codec="h264", data=b"x", rtp_time=0)
    return ProbeResult(
        at=wall_clock(), rung=Rung.KEYFRAME, failure=None, timings=Timings(), keyframe=keyframe
    )


async def test_a_look_that_does_not_end_does_not_hold_up_the_stop_and_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sharpeyes.health.fleet.LOOK_S", 0.05)
    monkeypatch.setattr("sharpeyes.health.fleet.GIVEN_UP_S", 0.05)
    quality = Stubborn()
    fleet = Fleet(
        plays,
        board=Board(),
        recorder=NoRecord(),
        clock=wall_clock,
        limits=Limits(stop_s=0.1),
        quality=quality,
    )
    await fleet.start([replace(target(0), quality_s=0.05)])
    async with asyncio.timeout(60):
        while not quality.begun:
            await asyncio.sleep(0.01)
        assert fleet._looks is not None
        looks = set(fleet._looks.tasks)
        await fleet.stop()
    assert not all(look.done() for look in looks), "it does not listen"
    assert [r.getMessage() for r in caplog.records] == [
        "stopped with 1 looks at pictures under way: given up; 1 of them go on all the same"
    ]
    quality.released = True
    await asyncio.wait(looks)


async def test_a_probe_that_does_not_end_does_not_hold_up_the_stop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sharpeyes.health.fleet.GIVEN_UP_S", 0.05)
    begun, released = asyncio.Event(), asyncio.Event()

    async def stubborn(request: ProbeRequest) -> ProbeResult:
        begun.set()
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()
        return await plays(request)

    fleet = Fleet(stubborn, board=Board(), recorder=NoRecord(), clock=wall_clock, limits=Limits(stop_s=0.05))
    await fleet.start([target(0)])
    async with asyncio.timeout(60):
        await begun.wait()
        flights = {flight.task for flight in fleet.turns.flights if flight.task is not None}
        await fleet.stop()
    assert "1 probes under way: given up; 1 of them go on" in caplog.text
    released.set()
    await asyncio.wait(flights)
