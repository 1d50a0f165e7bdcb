"""A sweep of virtual cameras that another process plays: wall time, this process's CPU and memory.

Run: python tests/bench/bench_sweep.py [--cameras N] [--main] [--diagnose] [--quick] [--hang N] [--port P]

``--main`` looks at the 1080p stream rather than the 640x360 sub-stream, ``--diagnose`` decodes and checks the
keyframes, two of a camera or with ``--quick`` one, ``--hang N`` has so many of the cameras (400 by default)
hang, in every phase of a probe, and prints how late the others' probes came at full cadence with and without
them. CPU is that of the prober alone; wall time is shared with the simulator and with whatever else runs on
the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections import defaultdict
from typing import Any

import uvloop

from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.health import ProbeResult
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.health.board import Board
from sharpeyes.health.decoders import Processes
from sharpeyes.health.fleet import Fleet, Limits, NoRecord, Target
from sharpeyes.health.probe import ProbeRequest, probe
from sharpeyes.health.quality import Quality
from sharpeyes.health.sweep import PLACES, sweep
from sharpeyes.net.process import calm_collector, give_back_memory, raise_file_limit

CADENCE_S = 10.0
HANGS: tuple[dict[str, object], ...] = (
    {"kind": "hang", "phase": "connect"},
    {"kind": "hang", "phase": "describe"},  # the first request of a probe: it sends no OPTIONS
    {"kind": "hang", "phase": "setup"},
    {"kind": "hang", "phase": "play"},
    {"kind": "no_rtp"},
    {"kind": "slow", "bytes_per_s": 100.0},  # the keyframe drips, and is never whole
    {"kind": "hang", "phase": "media"},  # after the first pictures: nor is TEARDOWN answered
)
"""In turn."""
ACCOUNT = Credentials("admin", Secret("simulated"))


def clock() -> Ms:
    return Ms(time.time_ns() // 1_000_000)


def simulator(cameras: int, port: int) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    command = [sys.executable, "-m", "sharpeyes", "simulate", "--cameras", str(cameras), "--json"]
    command += ["--address", "127.43.1.1", "--rtsp-port", str(port), "--onvif-port", str(port + 1)]
    command += ["--discovery-port", str(port + 2), "--control", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def targets_of(document: dict[str, Any], role: str) -> list[Target]:
    tiers = list(Tier)
    targets = []
    for number, one in enumerate(document["cameras"]):
        url = one["streams"][role]
        camera = Camera(
            id=one["id"],
            name=one["id"],
            tier=tiers[number % 3],
            department="d",
            area="a",
            zone="z",
            streams=(Stream(role=StreamRole(role), url=url),),
        )
        targets.append(Target(camera=camera, request=ProbeRequest(url=url, credentials=ACCOUNT)))
    return targets


async def bench(targets: list[Target], *, diagnose: bool, quick: bool) -> None:
    limits = Limits().within(raise_file_limit())
    for name, with_pictures in (("liveness", False), ("diagnosis", True)):
        if with_pictures and not diagnose:
            continue
        quality = None
        if with_pictures:
            quality = Quality(Processes(), clock=clock, patient=True, quick=quick, places=PLACES)
        swept = await sweep(targets, probe, clock=clock, limits=limits, quality=quality)
        print(f"{name}: {dict(swept.by_state)} {dict(swept.by_rung)} {dict(swept.by_fault)}")
        show("wall", swept.wall_s, "s")
        show("prober CPU", swept.cpu_s, "s")
        show("CPU a camera", swept.cpu_s * 1e6 / len(targets), "us")
        if quality is not None:
            stats = quality.stats
            show("decode", stats.decode_s * 1e3 / max(stats.looks, 1), "ms CPU a look")
            show("checks", stats.check_s * 1e3 / max(stats.full, 1), "ms CPU a full check")
            show("screened", 100 * stats.plain / max(stats.looks, 1), "% of the looks needed no more")
            await quality.stop()
        show("peak memory", swept.max_rss_bytes / 1e6, "MB")


async def cadence(targets: list[Target], seconds: float) -> dict[str, list[float]]:
    """When each camera was met, at full cadence."""
    met: dict[str, list[float]] = defaultdict(list)

    async def noted(request: ProbeRequest) -> ProbeResult:
        met[request.url].append(time.monotonic())
        return await probe(request)

    limits = Limits().within(raise_file_limit())
    fleet = Fleet(noted, board=Board(), recorder=NoRecord(), clock=clock, limits=limits)
    await fleet.start([target_at(target, CADENCE_S) for target in targets])
    await asyncio.sleep(seconds)
    await fleet.stop()
    return met


def target_at(target: Target, cadence_s: float) -> Target:
    return Target(camera=target.camera, request=target.request, cadence_s=cadence_s)


def pauses(met: dict[str, list[float]], among: set[str]) -> list[float]:
    return sorted(b - a for url in among for a, b in itertools.pairwise(met[url][1:]))


async def hang(control: str, ids: list[str]) -> None:
    import httpx

    async with httpx.AsyncClient(base_url=control) as client:
        for number, camera in enumerate(ids):
            answer = await client.put(f"/cameras/{camera}/fault", json=HANGS[number % len(HANGS)])
            answer.raise_for_status()


def show(name: str, figure: float, unit: str) -> None:
    print(f"  {name:<14}{figure:10.2f} {unit}", flush=True)


async def run(arguments: argparse.Namespace, document: dict[str, Any]) -> None:
    targets = targets_of(document, "main" if arguments.main else "sub")
    give_back_memory()  # as the command does
    calm_collector()
    await bench(targets, diagnose=arguments.diagnose, quick=arguments.quick)
    if not arguments.hang:
        return
    good = {target.request.url for target in targets[arguments.hang :]}
    for name in ("all well", f"{arguments.hang} hang"):
        met = await cadence(targets, 6 * CADENCE_S)
        found = pauses(met, good)
        print(f"cadence of the others, {name}: {len(found)} pauses of {CADENCE_S:.0f} s")
        for share in (0.5, 0.99, 1.0):
            show(f"p{share * 100:.0f}", found[min(int(share * len(found)), len(found) - 1)], "s")
        await hang(document["control"], [t.camera.id for t in targets[: arguments.hang]])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", type=int, default=400)
    parser.add_argument("--main", action="store_true")
    parser.add_argument("--diagnose", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--hang", type=int, default=0)
    parser.add_argument("--port", type=int, default=8654, help="the first of three")
    arguments = parser.parse_args()
    print(f"{arguments.cameras} cameras, {'1080p main' if arguments.main else '640x360 sub'}-stream, H.264")
    process, document = simulator(arguments.cameras, arguments.port)
    try:
        uvloop.run(run(arguments, document))
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
