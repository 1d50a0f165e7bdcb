"""A sweep that diagnoses: who moves is met once, who does not again; who is gone then does not hold it up."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from fractions import Fraction
from functools import cache

import av
import numpy as np

from rtp_media import Clip
from scripted_camera import CLOSE, SAY_NOTHING, Reply, ScriptedCamera
from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.health import PictureFault, ProbeResult, Rung, State
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.health.decoders import Processes
from sharpeyes.health.fleet import Limits, Target
from sharpeyes.health.probe import ProbeRequest, probe
from sharpeyes.health.quality import Quality
from sharpeyes.health.sweep import Swept, sweep
from sharpeyes.simulator.fault import Fault, FaultKind
from sharpeyes.simulator.fleet import Addressing, uniform
from sharpeyes.simulator.scene import Scene
from sharpeyes.simulator.simulator import Simulator
from sharpeyes.wire.rtsp.message import Request

WIDTH, HEIGHT, FPS, GOP, GROUPS = 640, 360, 25, 9, 4
Show = Callable[[int], np.ndarray]
NEXT_GROUP = b"the next group"


def clock() -> Ms:
    return Ms(time.time_ns() // 1_000_000)


@cache
def street(number: int) -> np.ndarray:
    return Scene(0, WIDTH, HEIGHT, FPS).frame(number)


SHOWS: dict[str, Show] = {
    "living": street,
    "quiet": lambda number: street(number // GOP * 40),  # nothing moves for a while, then something has
    "frozen": lambda _: street(7),
}


@cache
def film(show: str) -> Clip:
    """Four groups of pictures of one quantiser: what stands still is coded alike each time."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.framerate, context.time_base, context.gop_size = Fraction(FPS), Fraction(1, FPS), GOP
    context.options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "qp": "24",
        "x264-params": f"keyint={GOP}:min-keyint={GOP}:scenecut=0",
    }
    pictures: list[list[bytes]] = []
    for number in range(GOP * GROUPS + 1):
        frame = None
        if number < GOP * GROUPS:
            frame = av.VideoFrame.from_ndarray(SHOWS[show](number), format="yuv420p")
            frame.pts = number
        pictures += [
            [unit for unit in re.split(rb"\x00*\x00\x00\x01", bytes(packet)) if unit]
            for packet in context.encode(frame)
        ]
    times = [number * 90_000 // FPS for number in range(len(pictures))]
    return Clip("h264", pictures, times, WIDTH, HEIGHT, float(FPS))


class Watched(ScriptedCamera):
    """Plays one group of pictures a visit, the next one at the next; ``then``: what later visits get."""

    def __init__(self, show: str, then: Reply = NEXT_GROUP) -> None:
        self.plays = 0

        def play(_: ScriptedCamera, request: Request) -> Reply:
            group = self.plays % GROUPS
            self.plays += 1
            if group and then is not NEXT_GROUP:
                return then
            self.packets = film(show).packets(pictures=slice(group * GOP, (group + 1) * GOP))
            return self.play(request)

        super().__init__(film(show).sdp(), [], script={"PLAY": play})


def target(name: str, url: str, **changes: object) -> Target:
    camera = Camera(
        id=name,
        name=name,
        tier=Tier.COMMUNITY,
        department="d",
        area="a",
        zone="z",
        streams=(Stream(role=StreamRole.MAIN, url=url),),
    )
    return Target(camera=camera, request=ProbeRequest(url=url, timeout_s=5.0, **changes))  # type: ignore[arg-type]


async def swept(
    targets: list[Target], told: list[int], ask: Callable[[ProbeRequest], object] = probe
) -> Swept:
    quality = Quality(Processes(), clock=clock, patient=True, pair_s=0.3)
    try:
        async with asyncio.timeout(120):
            return await sweep(
                targets,
                ask,  # type: ignore[arg-type]
                clock=clock,
                limits=Limits(),
                quality=quality,
                progress=told.append,
            )
    finally:
        await quality.stop()


async def test_who_moves_is_met_once_and_who_is_gone_does_not_hold_it_up() -> None:
    cameras = {
        "living": Watched("living"),
        "quiet": Watched("quiet"),
        "frozen": Watched("frozen"),
        "closing": Watched("frozen", CLOSE),
        "hanging": Watched("frozen", SAY_NOTHING),
    }
    told: list[int] = []
    async with AsyncExitStack() as stack:
        targets = [target(n, (await stack.enter_async_context(c)).url) for n, c in cameras.items()]
        found = await swept(targets, told)
    entries = {entry.camera.id: entry for entry in found.entries}
    faults = {n: {d.kind for d in e.sight.defects} if e.sight else None for n, e in entries.items()}
    assert faults == {
        "living": set(),
        "quiet": set(),
        "frozen": {PictureFault.FROZEN},
        "closing": None,
        "hanging": None,
    }
    plays = {name: each.plays for name, each in cameras.items()}
    assert plays["living"] == 1, "what moves behind its keyframe is enough"
    assert plays["quiet"] == 2, "it has changed by the second visit"
    assert plays["frozen"] == 3, "two visits show the same, the checks see both"
    assert (plays["closing"], plays["hanging"]) == (2, 2)
    rungs = {name: entry.rung for name, entry in entries.items()}
    assert (rungs["living"], rungs["quiet"], rungs["frozen"]) == (Rung.USABLE, Rung.USABLE, Rung.DECODED)
    assert entries["closing"].standing.state is State.OFFLINE
    # a prober that stood still itself, on a loaded machine, does not blame the camera for the time-out
    assert entries["hanging"].standing.state in (State.OFFLINE, State.UNKNOWN)
    assert told == sorted(told)
    assert set(told) <= set(range(len(cameras) + 1))


async def test_a_city_that_vanishes_between_two_looks_is_offline() -> None:
    place = Addressing(rtsp_port=0, onvif_port=0, discovery_port=None, network="127.0.62.9")
    async with Simulator(uniform(3, scenes=1), addressing=place) as simulator:
        names = list(simulator.endpoints)
        for name in names:
            await simulator.set_fault(name, Fault(kind=FaultKind.FREEZE))
        visits: list[str] = []
        seen: set[str] = set()
        going, gone = asyncio.Lock(), False

        async def ask(request: ProbeRequest) -> ProbeResult:
            nonlocal gone
            again = request.url in seen
            visits.append(request.url)
            if again:
                async with going:
                    while len(seen) < len(names):  # who connects to what just goes is another story
                        await asyncio.sleep(0.01)
                    for name in names if not gone else ():
                        await simulator.set_fault(name, Fault(kind=FaultKind.OFF))
                    gone = True
            result = await probe(request)
            seen.add(request.url)
            return result

        login = Credentials("admin", Secret("simulated"))
        targets = [
            target(e.camera, e.streams[StreamRole.SUB], credentials=login)
            for e in simulator.endpoints.values()
        ]
        found = await swept(targets, told := [], ask)
    assert gone
    assert found.by_state == {"offline": 3}
    assert len(visits) <= 3 * len(names)
    assert told == sorted(told)
