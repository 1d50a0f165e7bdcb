"""CPU of each route that the console's pages read, the service otherwise idle.

Run: PYTHONPATH=tests python tests/bench/bench_routes.py [cameras] [spells] [--folder DIR] [--profile WORD]
(default: 4000 cameras, 20 intervals a camera and month; --folder keeps the city for the next run)

The whole service, called in its own process over ASGI: no socket, no client. Behind it are a month of
intervals and rungs, its days added up, today's not; nobody probes meanwhile. Time of all threads of the
process, the least of a few rounds; "floor" is the time of a route that does nothing but answer. With
--profile, what the routes whose path holds the word spend it on.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import itertools
import pstats
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import update

from api_client import client_of
from sharpeyes.app import Service
from sharpeyes.domain.health import Interval, ProbeResult, Rung, RungInterval, State, Timings
from sharpeyes.domain.time import Ms
from sharpeyes.net.process import calm_collector
from sharpeyes.store import pictures, schema, telemetry

DAY = 86_400_000
NOW = Ms(1_790_000_000_000)
SINCE = Ms(NOW - 33 * DAY)
FLOOR = "/healthz"
WEEK = datetime.fromtimestamp((NOW - 7 * DAY) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
MONTH = datetime.fromtimestamp((NOW - 30 * DAY) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
DAYS = datetime.fromtimestamp((NOW - DAY) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
ROUTES = (
    FLOOR,
    "/api/v1/status",
    "/api/v1/rates?by=tier",
    f"/api/v1/rates?by=tier&step=hour&from={DAYS}",
    "/api/v1/rates?by=area",
    "/api/v1/states?by=department",
    "/api/v1/tiers",
    "/api/v1/areas",
    "/api/v1/areas/cover",
    "/api/v1/cameras/table",
    "/api/v1/cameras?limit=100",
    "/api/v1/cameras?limit=100&state=online&q=camera-00",
    "/api/v1/cameras/camera-000777",
    "/api/v1/cameras/camera-000777/probes?limit=20",
    "/api/v1/intervals?camera=camera-000777",
    "/api/v1/tickets?scope=camera&subject=camera-000777&limit=10",
    "/api/v1/events?subject=camera-000777&limit=20",
    "/api/v1/tickets?limit=50",
    "/api/v1/ticket-statistics",
    f"/api/v1/rates?by=tier&from={WEEK}",
    f"/api/v1/rates?by=tier&from={MONTH}",
    f"/api/v1/rates?by=department&from={MONTH}",
    f"/api/v1/rates?by=area&from={MONTH}",
    f"/api/v1/rates?by=tier&step=day&from={MONTH}",
    "/api/v1/rates?by=camera&limit=100",
    f"/api/v1/rates?by=camera&limit=100&from={WEEK}",
    f"/api/v1/rates?by=camera&limit=100&from={MONTH}",
    "/metrics",
)
HEAD = """\
site: {{name: Bench, timezone: Asia/Shanghai}}
zones: {{police: {{name: Police, network: 1}}}}
departments: {{{departments}}}
areas: {{city: {{name: City, children: {{{areas}}}}}}}
cameras:
"""
TIERS = ("public_security", "departmental", "community")


def write_city(folder: Path, cameras: int) -> None:
    text = HEAD.format(
        departments=", ".join(f"d{n}: {{name: Department {n}}}" for n in range(20)),
        areas=", ".join(f"a{n}: {{name: Area {n}}}" for n in range(40)),
    )
    for n in range(cameras):
        address = f"127.{1 + (n >> 16)}.{n >> 8 & 255}.{n & 255}:1"
        text += (
            f"  - {{id: camera-{n:06}, name: 'Street {n % 97}', tier: {TIERS[n % 3]}, department: d{n % 20},"
            f' area: a{n % 40}, zone: police, main: "rtsp://{address}/main", sub: "rtsp://{address}/sub"}}\n'
        )
    (folder / "cameras.yaml").write_text(text, encoding="utf-8")


def history(camera: str, spells: int) -> Iterator[Interval]:
    """Mostly online; the last one ends an hour ago, in a state that lasts."""
    moments = sorted(random.sample(range(SINCE + 1, NOW - 3_600_000), 2 * spells))
    for n, (start, end) in enumerate(itertools.pairwise([SINCE, *moments])):
        state = State.ONLINE if n % 2 == 0 else random.choice([State.OFFLINE, State.UNKNOWN, State.DEGRADED])
        yield Interval(camera=camera, state=state, start=Ms(start), end=Ms(end), cause=None)


def climb(interval: Interval) -> RungInterval:
    rung = {State.ONLINE: Rung.USABLE, State.DEGRADED: Rung.CHANGING}.get(interval.state, Rung.REACHABLE)
    return RungInterval(
        camera=interval.camera, rung=rung, asked=Rung.USABLE, start=interval.start, end=interval.end
    )


async def live_through(service: Service, spells: int) -> None:
    """A month in the store, its days added up."""
    database = service.database
    ids = [entry.camera.id for entry in service.board]
    await database.awrite(lambda c: c.execute(update(schema.membership).values(started_ms=SINCE)) and None)
    for first in range(0, len(ids), 500):
        some = ids[first : first + 500]
        batch = [interval for key in some for interval in history(key, spells)]
        rungs = [climb(one) for one in batch if one.state is not State.UNKNOWN]
        last = {one.camera: Ms(one.end or NOW) for one in batch}
        standing = [telemetry.StoredStanding(
            camera=key, state=State.ONLINE, since=last[key], cause=None, observed=NOW, fails=0, passes=3,
            streak=None, last_probe=None,
        ) for key in some]  # fmt: skip
        written = partial(telemetry.write_batch, intervals=batch, standings=standing, beat=NOW)
        await database.awrite(written)
        await database.awrite(partial(pictures.write_rungs, closed=rungs, current=(), unseen=()))
    await service._roller.turn()


@asynccontextmanager
async def city(folder: Path, cameras: int, spells: int) -> AsyncIterator[tuple[Any, str]]:
    """The application, and an administrator's token."""
    kept = folder / "token"
    if not (folder / "cameras.yaml").exists():
        write_city(folder, cameras)
    async with client_of(folder, clock=lambda: NOW) as client:
        service = client.service
        await service.fleet.stop()
        if not kept.exists():
            random.seed(1)
            await live_through(service, spells)
            kept.write_text(client.headers["Authorization"])
        for n, entry in enumerate(list(service.board)):
            state = State.ONLINE if n % 25 else State.OFFLINE
            probe = ProbeResult(at=NOW, rung=Rung.KEYFRAME, failure=None, timings=Timings(total_ms=300.0))
            service.board.update(replace(entry.standing, state=state), probe)
        await service.database.awrite(lambda c: telemetry.set_heartbeat(c, NOW))
        calm_collector()
        yield client._transport.app, kept.read_text()


async def call(app: Any, path: str, token: str) -> tuple[int, int]:
    """Status and size of the answer."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [
            (b"host", b"sharpeyes"),
            (b"authorization", token.encode()),
            (b"accept-encoding", b"gzip"),
        ],
        "client": ("127.0.0.1", 4711), "server": ("sharpeyes", 80),
    }  # fmt: skip
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    await app(scope, receive, send)
    return told[0]["status"], sum(len(one.get("body", b"")) for one in told)


async def main(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(arguments.folder or name)
        folder.mkdir(exist_ok=True)
        async with city(folder, arguments.cameras, arguments.spells) as (app, token):
            floor = 0.0
            for route in ROUTES:
                if arguments.profile and arguments.profile not in route:
                    continue
                status, size = await call(app, route, token)
                profile = cProfile.Profile() if arguments.profile else None
                if profile is not None:
                    profile.enable()
                best, rounds = float("inf"), 1
                for _ in range(7):
                    cpu = time.process_time()
                    for _ in range(rounds):
                        await call(app, route, token)
                    spent = (time.process_time() - cpu) / rounds * 1000
                    best, rounds = min(best, spent), max(1, min(20, int(30 / spent)))
                if profile is not None:
                    profile.disable()
                    pstats.Stats(profile).sort_stats("tottime").print_stats(25)
                floor = floor or best
                shown = route if status == 200 else f"{status} {route}"
                over = f"{best - floor:8.2f} over the floor"
                print(f"  {shown:<74}{best:8.2f} ms {over} {size / 1000:8.1f} KB", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("cameras", type=int, nargs="?", default=4000)
    parser.add_argument("spells", type=int, nargs="?", default=20)
    parser.add_argument("--folder")
    parser.add_argument("--profile")
    asyncio.run(main(parser.parse_args()))
