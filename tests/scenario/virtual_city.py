"""A city of cameras without a network, and a clock that jumps: hours of watching take milliseconds.

The event loop's time stands still while anything runs and jumps to the next timer when nothing does. The
fleet, the judge, the board, the recorder and the database are the real ones; only the function that probes is
played by :class:`City`, camera by camera.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, insert, select

from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.health import (
    Failure,
    FailureKind,
    Interval,
    Keyframe,
    Phase,
    ProbeResult,
    Rung,
    RungInterval,
    State,
    Timings,
)
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms, Span
from sharpeyes.health.board import Board
from sharpeyes.health.fleet import Fleet, Limits, Target
from sharpeyes.health.probe import ProbeRequest
from sharpeyes.health.quality import Quality
from sharpeyes.health.recorder import Recorder
from sharpeyes.rates import rollup
from sharpeyes.store import rollups, schema, telemetry
from sharpeyes.store.database import Database
from sharpeyes.store.quality_schema import rung_interval

EPOCH = 1_790_000_000_000
"""The wall clock when the loop's clock is 0: 2026-09-21T13:33:20Z."""
TIERS = list(Tier)


class _Jump(selectors.DefaultSelector):
    """Nothing to do until the next timer: make it now."""

    loop: JumpingLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen")
        if timeout > 0:
            self.loop.now += timeout
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while work is done, and jumps over the waiting."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _Jump()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """At once and here: another thread would work in another time."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
            future.set_exception(error)
        return future


class City:
    """Cameras that behave as told, and what came to pass between them and the fleet."""

    def __init__(self, path: Path, loop: JumpingLoop) -> None:
        self.loop = loop
        self.path = path
        self.database = Database(f"sqlite:///{path}")
        self.database.upgrade()
        self.behaviour: dict[str, str] = {}
        self.pictures: dict[str, str] = {}
        """What a camera's keyframe says, in place of a picture."""
        self.passwords: dict[str, str] = {}
        self.cameras: dict[str, Camera] = {}
        self.shift_ms = 0
        """What somebody has turned the wall clock by."""
        self.starts: dict[str, list[float]] = defaultdict(list)
        self.logins: Counter[tuple[str, bool]] = Counter()
        self.open: Counter[str] = Counter()
        self.most_open: Counter[str] = Counter()
        self.started_at: list[float] = []
        self.took_s = 0.05

    def clock(self) -> Ms:
        return Ms(EPOCH + self.shift_ms + round(self.loop.time() * 1000))

    async def probe(self, request: ProbeRequest) -> ProbeResult:
        """What the camera at this URL does to a probe."""
        parts = urlsplit(request.url)
        camera, host, at = parts.path.strip("/"), parts.netloc, self.clock()
        self.starts[camera].append(self.loop.time())
        self.started_at.append(self.loop.time())
        for key in (host, "all"):
            self.open[key] += 1
            self.most_open[key] = max(self.most_open[key], self.open[key])
        try:
            return await self._behave(request, camera, host, at)
        finally:
            for key in (host, "all"):
                self.open[key] -= 1

    async def _behave(self, request: ProbeRequest, camera: str, host: str, at: Ms) -> ProbeResult:
        manner = self.behaviour.get(camera, "well")

        def ended(rung: Rung, phase: Phase, kind: FailureKind) -> ProbeResult:
            failure = Failure(phase, kind, f"{kind} at {phase}")
            return ProbeResult(at=at, rung=rung, failure=failure, timings=Timings())

        if manner == "emfile":
            return ended(Rung.NONE, Phase.CONNECT, FailureKind.NO_DESCRIPTORS)
        if manner == "no route":
            return ended(Rung.NONE, Phase.CONNECT, FailureKind.NO_ROUTE)
        if manner == "bug":
            raise ZeroDivisionError
        if manner == "dead":
            await asyncio.sleep(request.timeout_s)
            return ended(Rung.NONE, Phase.CONNECT, FailureKind.TIMEOUT)
        if manner == "refuses":
            await asyncio.sleep(0.001)
            return ended(Rung.NONE, Phase.CONNECT, FailureKind.REFUSED)
        if manner.startswith("hangs at "):
            await asyncio.sleep(request.timeout_s)
            phase = Phase(manner.removeprefix("hangs at "))
            return ended(Rung.REACHABLE, phase, FailureKind.TIMEOUT)
        if manner == "never a keyframe":
            await asyncio.sleep(request.longest_s)
            return ended(Rung.MEDIA, Phase.KEYFRAME, FailureKind.NO_KEYFRAME)
        if manner == "never ends":
            await asyncio.Event().wait()
        await asyncio.sleep(self.took_s)
        if host in self.passwords:
            given = None if request.withhold_credentials else request.credentials
            right = given is not None and given.password.reveal() == self.passwords[host]
            if given is not None:
                self.logins[host, right] += 1
            if not right:
                return ended(Rung.RTSP, Phase.DESCRIBE, FailureKind.AUTH_FAILED)
        lost = 20 if manner == "lossy" else 0
        return ProbeResult(
            at=at,
            rung=Rung.KEYFRAME,
            failure=None,
            timings=Timings(total_ms=50.0),
            packets=200,
            lost=lost,
            keyframe=Keyframe(codec="h264", data=self._picture(camera), rtp_time=0),
            transcript=("= played",),
        )

    def _picture(self, camera: str) -> bytes:
        """No two keyframes are alike, unless the camera repeats itself."""
        said = self.pictures.get(camera, "fine")
        return said.encode() if said == "cached" else f"{said} {self.loop.time()}".encode()

    def build(self, hosts: dict[str, int], **fields: Any) -> list[Camera]:
        """So many cameras at each host, in the registry, in turn of the three tiers."""
        built = [
            Camera(
                id=f"{host}-{n}",
                name=f"{host} {n}",
                streams=(Stream(role=StreamRole.MAIN, url=f"rtsp://{host}/{host}-{n}"),),
                **{"tier": TIERS[n % 3], "department": "d", "area": "a", "zone": "z", **fields},
            )
            for host, number in hosts.items()
            for n in range(number)
        ]
        self.cameras |= {camera.id: camera for camera in built}
        self.database.write(lambda connection: enter(connection, built, self.clock()))
        return built

    def target(self, camera: Camera, credentials: Credentials | None = None, **fields: Any) -> Target:
        request = ProbeRequest(url=camera.stream().url, credentials=credentials)
        return Target(camera=camera, request=request, **fields)

    def fleet(
        self, limits: Limits | None = None, every_s: float = 10.0, quality: Quality | None = None
    ) -> tuple[Fleet, Board]:
        """A fleet that has not been started: as after a restart, with everything but the store new."""
        board = Board()
        recorder = Recorder(self.database, clock=self.clock, every_s=every_s)
        fleet = Fleet(
            self.probe, board=board, recorder=recorder, clock=self.clock, limits=limits, quality=quality
        )
        return fleet, board

    # --- what is in the store ------------------------------------------------------------------------

    def history(self, camera: str) -> list[tuple[State, float, float]]:
        """The camera's closed intervals, in seconds of the loop's clock."""
        span = Span(Ms(0), Ms(EPOCH * 2))
        intervals = self.database.read(lambda c: telemetry.intervals(c, camera, span))
        return [(i.state, seconds(i.start), seconds(i.end)) for i in intervals]

    def intervals(self) -> dict[str, list[Interval]]:
        """All intervals of all cameras, the open one last."""
        found: dict[str, list[Interval]] = defaultdict(list)
        t = schema.state_interval.c
        rows = self.database.read(
            lambda c: c.execute(select(schema.state_interval).order_by(t.camera_id, t.started_ms)).all()
        )
        standings = self.database.read(telemetry.load_standings)
        for row in rows:
            found[row.camera_id].append(
                Interval(
                    camera=row.camera_id,
                    state=State(row.state),
                    start=row.started_ms,
                    end=row.ended_ms,
                    cause=row.cause,
                    seen_state=row.seen_state and State(row.seen_state),
                    seen_cause=row.seen_cause,
                )
            )
        for camera, standing in standings.items():
            found[camera].append(
                Interval(
                    camera=camera,
                    state=standing.state,
                    start=standing.since,
                    end=None,
                    cause=standing.cause,
                )
            )
        return found


def enter(connection: Any, cameras: list[Camera], at: Ms) -> None:
    """Rows of the registry for these cameras, members from ``at`` on."""
    for table, ids in (
        (schema.department, {c.department for c in cameras}),
        (schema.area, {c.area for c in cameras}),
        (schema.zone, {c.zone for c in cameras}),
    ):
        known = set(connection.scalars(select(table.c.id)))
        rows = [{"id": key, "name": key} for key in sorted(ids - known)]
        if table is schema.zone:
            rows = [{**row, "network": "7"} for row in rows]
        if rows:
            connection.execute(insert(table), rows)
    connection.execute(
        insert(schema.camera),
        [
            {
                "id": c.id,
                "name": c.name,
                "tier": c.tier,
                "department": c.department,
                "area": c.area,
                "zone": c.zone,
                "origin": c.origin,
                "transport": c.transport,
                "maintenance": c.maintenance,
                "tags": [],
                "created_ms": at,
                "changed_ms": at,
            }
            for c in cameras
        ],
    )
    connection.execute(
        insert(schema.membership),
        [
            {
                "camera_id": c.id,
                "started_ms": at,
                "ended_ms": None,
                "tier": c.tier,
                "department": c.department,
                "area": c.area,
                "zone": c.zone,
            }
            for c in cameras
        ],
    )


def seconds(instant: int | None) -> float:
    assert instant is not None
    return (instant - EPOCH) / 1000


@contextmanager
def city(path: Path) -> Iterator[tuple[City, Callable[[Coroutine[Any, Any, Any]], Any]]]:
    """A city and ``run``, which runs a coroutine in its time."""
    loop = JumpingLoop()
    place = City(path / "city.db", loop)
    try:
        yield place, loop.run_until_complete
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        place.database.close()


def roll_up(connection: Connection, day: Span, now: Ms) -> None:
    """Add a day up and keep it, at once."""
    revision = rollups.open_day(connection, day)
    rollup.put(connection, day, revision, rollup.add_up(connection, day), now)


def rung_intervals(connection: Connection, camera_id: str, span: Span) -> list[RungInterval]:
    """Closed intervals of a camera that touch the span, unclipped, oldest first."""
    i = rung_interval.c
    query = (
        select(rung_interval)
        .where(i.camera_id == camera_id, i.started_ms < span.end, i.ended_ms > span.start)
        .order_by(i.started_ms)
    )
    return [
        RungInterval(
            camera=row.camera_id,
            rung=Rung(row.rung),
            asked=Rung(row.asked),
            start=row.started_ms,
            end=row.ended_ms,
        )
        for row in connection.execute(query)
    ]
