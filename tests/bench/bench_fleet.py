"""What the fleet costs around a probe: schedule, pacing, judge, board, recorder; the probe itself is empty.

Run: python tests/bench/bench_fleet.py [cameras ...]     (default: 4000 100000)

Prints CPU time, since wall time on a shared machine says little. "first sweep" is the bare work; "full
cadence" is what a running service pays: a wake-up of the loop for each probe and a commit a second are in it.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from scenario.virtual_city import enter
from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.health import ProbeResult, Rung, Timings
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.health.board import Board
from sharpeyes.health.fleet import Fleet, Limits, Target
from sharpeyes.health.probe import ProbeRequest
from sharpeyes.health.recorder import Recorder
from sharpeyes.store.database import Database

SECONDS = 20.0
"""How long the fleet runs at full cadence."""


def clock() -> Ms:
    return Ms(time.time_ns() // 1_000_000)


async def instant(_: ProbeRequest) -> ProbeResult:
    await asyncio.sleep(0)
    return ProbeResult(at=clock(), rung=Rung.KEYFRAME, failure=None, timings=Timings(), packets=57)


async def bench(cameras: list[Camera], folder: Path, cadence_s: float) -> None:
    targets = [
        Target(camera=c, request=ProbeRequest(url=c.stream().url), cadence_s=cadence_s) for c in cameras
    ]
    with Database(f"sqlite:///{folder / 'bench.db'}") as database:
        database.upgrade()
        database.write(lambda connection: enter(connection, cameras, clock()))
        board = Board()
        fleet = Fleet(
            instant,
            board=board,
            recorder=Recorder(database, clock=clock),
            clock=clock,
            limits=Limits(starts_per_s=1e9),
        )
        began, cpu = time.monotonic(), time.process_time()
        await fleet.start(targets)
        started = time.process_time() - cpu
        while fleet.stats.probes < len(cameras):
            await asyncio.sleep(0.01)
        wall, swept = time.monotonic() - began, time.process_time() - cpu - started
        show("start", started * 1e6 / len(cameras), "us CPU a camera")
        show("first sweep", swept * 1e6 / len(cameras), f"us CPU a camera; {wall:.2f} s wall, start included")
        await asyncio.sleep(15)
        probes, cpu = fleet.stats.probes, time.process_time()
        await asyncio.sleep(SECONDS)
        probes, cpu = fleet.stats.probes - probes, time.process_time() - cpu
        show("full cadence", cpu * 1e6 / probes, f"us CPU a probe; {probes / SECONDS:.0f} probes/s")
        show("of one core", 100 * cpu / SECONDS, "%")
        show("late by", fleet.stats.late_s * 1e3, "ms (the latest probe)")
        began = time.process_time()
        for _ in range(100):
            board.tally()
        show("tally", (time.process_time() - began) * 1e4, "us")
        await fleet.stop()
    show("peak memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB")


def show(name: str, figure: float, unit: str) -> None:
    print(f"  {name:<16}{figure:10.1f} {unit}", flush=True)


def main() -> None:
    for number in [int(a) for a in sys.argv[1:]] or [4000, 100_000]:
        print(f"{number} cameras, cadence 30 s")
        tiers = list(Tier)
        cameras = [
            Camera(
                id=f"camera-{n:06}",
                name=f"Camera {n}",
                tier=tiers[n % 3],
                department=f"department-{n % 20}",
                area=f"area-{n % 50}",
                zone="zone",
                streams=(
                    Stream(role=StreamRole.SUB, url=f"rtsp://10.{n >> 16}.{n >> 8 & 255}.{n & 255}/sub"),
                ),
            )
            for n in range(number)
        ]
        with tempfile.TemporaryDirectory() as folder:
            uvloop.run(bench(cameras, Path(folder), 30.0))


if __name__ == "__main__":
    main()
