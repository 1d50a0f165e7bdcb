"""A tier's cadence is changed while its cameras are watched: no camera waits out the old one, and they do not
all come at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sharpeyes.domain.camera import Camera, Origin, Stream, StreamRole, Transport
from sharpeyes.domain.health import ProbeResult
from sharpeyes.domain.organisation import Tier
from sharpeyes.health.board import Board
from sharpeyes.health.fleet import Fleet, Limits, NoRecord, Target
from sharpeyes.health.probe import ProbeRequest
from sharpeyes.net.own_clock import wall_clock

CAMERAS, LONG_S, SHORT_S = 500, 3600.0, 60.0


async def mute(_: ProbeRequest) -> ProbeResult:
    await asyncio.Event().wait()
    raise AssertionError


def target(number: int) -> Target:
    url = f"rtsp://127.1.{number // 250}.{1 + number % 250}/"
    camera = Camera(
        id=f"c{number}",
        name="",
        tier=Tier.COMMUNITY,
        department="d",
        area="a",
        zone="z",
        streams=(Stream(role=StreamRole.MAIN, url=url),),
        origin=Origin.CONFIG,
        transport=Transport.TCP,
    )
    request = ProbeRequest(url=url, credentials=None, transport=Transport.TCP)
    return Target(camera=camera, request=request, cadence_s=LONG_S)


async def test_another_cadence_is_taken_up_in_turn() -> None:
    targets = [target(number) for number in range(CAMERAS)]
    limits = Limits(starts_per_s=0.1, stop_s=0.1)  # spread over the whole cadence
    fleet = Fleet(mute, board=Board(), recorder=NoRecord(), clock=wall_clock, limits=limits)
    await fleet.start(targets)
    try:
        fleet.sync([replace(one, cadence_s=SHORT_S) for one in targets])
        now = asyncio.get_running_loop().time()
        waits = [unit.due - now for unit in fleet._units.values() if unit.flight is None]
        assert len(waits) > 0.9 * CAMERAS
        assert max(waits) <= SHORT_S
        tenths = [sum(SHORT_S * n / 10 <= wait < SHORT_S * (n + 1) / 10 for wait in waits) for n in range(10)]
        assert max(tenths) < 2.5 * CAMERAS / 10
    finally:
        await fleet.stop()
