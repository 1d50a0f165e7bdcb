"""A small town for scenarios of faults: a real database, states set by hand, and a clock that obeys."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sharpeyes.domain.camera import Camera, Device, Identity, Stream, StreamRole
from sharpeyes.domain.faults import Entry, Ticket
from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.organisation import Area, Department, Tier, Zone
from sharpeyes.domain.time import Ms
from sharpeyes.faults.loop import Loop
from sharpeyes.faults.round import Outcome
from sharpeyes.store import faults as store
from sharpeyes.store import outbox
from sharpeyes.store.cameras import put_cameras
from sharpeyes.store.database import Database
from sharpeyes.store.devices import put_devices
from sharpeyes.store.faults import EVERY_TICKET, TicketFilter
from sharpeyes.store.organisation import put_areas, put_departments, put_zones
from sharpeyes.store.telemetry import StoredStanding, write_batch

START = Ms(1_790_000_000_000)
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000


class Town:
    """Cameras ``nvr-1.0 ...`` on a recorder and ``cam-0 ...`` on their own, all online at the start."""

    def __init__(
        self, path: Path, *, channels: int = 0, recorders: int = 1, singles: int = 0, **options: Any
    ) -> None:
        self.path = path
        self.options = options
        self.now = START
        self.database = Database(f"sqlite:///{path}/town.db")
        self.database.upgrade()
        self.standing: dict[str, tuple[State, Ms, str | None]] = {}
        self._stored: dict[str, tuple[State, Ms, str | None]] = {}
        devices = [
            Device(id=f"nvr-{r}", identity=Identity(model=f"NVR {r}", address=f"10.0.0.{r}:80"))
            for r in range(1, recorders + 1)
        ]
        cameras = [
            self._camera(f"{device.id}.{c}", Tier.PUBLIC_SECURITY, device.id)
            for device in devices
            for c in range(channels)
        ] + [self._camera(f"cam-{s}", Tier.PUBLIC_SECURITY, None) for s in range(singles)]

        def fill(connection: Any) -> None:
            put_zones(connection, [Zone(id="west", name="West"), Zone(id="east", name="East")])
            put_departments(connection, [Department(id="police", name="Police")])
            put_areas(
                connection,
                [Area(id="city", name="City"), Area(id="old-town", name="Old Town", parent="city")],
            )
            put_devices(connection, devices, now=START)
            put_cameras(connection, cameras, now=START)

        self.database.write(fill)
        self.cameras = [camera.id for camera in cameras]
        for camera in self.cameras:
            self.standing[camera] = (State.ONLINE, START, None)
        self.loop = self.start()

    def _camera(self, name: str, tier: Tier, device: str | None) -> Camera:
        return Camera(
            id=name,
            name=f"Camera {name}",
            tier=tier,
            department="police",
            area="old-town",
            zone="west",
            streams=(Stream(role=StreamRole.MAIN, url=f"rtsp://10.0.0.1/{name}"),),
            device=device,
        )

    def start(self) -> Loop:
        """A new loop on the same database: what a restart is."""
        self.loop = Loop(self.database, fallback_unit="operations", **self.options)
        return self.loop

    def set(
        self, cameras: Iterable[str], state: State, cause: str | None = None, *, late_ms: int = 0
    ) -> None:
        """From now on (or ``late_ms`` after now, one by one) these are in this state; offline for want of an
        answer, unless another cause is given."""
        if state is State.OFFLINE and cause is None:
            cause = "timeout"
        for number, camera in enumerate(cameras):
            if self.standing[camera][0] is not state:
                self.standing[camera] = (state, Ms(self.now + number * late_ms), cause)

    def probe(self) -> None:
        """Every camera is looked at: the standings go to the store as the recorder writes them."""
        standings = [
            StoredStanding(
                camera=camera,
                state=state,
                since=since,
                cause=cause,
                observed=None if state is State.UNKNOWN else max(self.now, since),
                fails=0,
                passes=0,
                streak=None,
                last_probe=None,
            )
            for camera, (state, since, cause) in self.standing.items()
        ]
        ended = [
            Interval(camera=camera, state=state, start=start, end=self.standing[camera][1], cause=cause)
            for camera, (state, start, cause) in self._stored.items()
            if self.standing[camera][1] > start
        ]
        self._stored = dict(self.standing)
        self.database.write(lambda connection: write_batch(connection, intervals=ended, standings=standings))

    async def tick(self, **canaries: Ms) -> Outcome:
        self.probe()
        return await self.loop.tick(self.now, canaries)

    async def run(self, length_ms: int, *, step_ms: int = 30 * SECOND) -> list[Outcome]:
        """Let time pass, with a probe and a tick at every step."""
        outcomes = []
        for _ in range(length_ms // step_ms):
            self.now = Ms(self.now + step_ms)
            outcomes.append(await self.tick())
        return outcomes

    def tickets(self, where: TicketFilter = EVERY_TICKET) -> list[Ticket]:
        """Oldest first."""
        return self.database.read(lambda connection: store.list_tickets(connection, where))[::-1]

    def history(self, ticket: Ticket) -> list[Entry]:
        return self.database.read(lambda connection: store.list_entries(connection, ticket.id))

    def messages(self, recipient: str | None = None) -> list[outbox.Delivery]:
        """All in the outbox, oldest first."""
        found = self.database.read(lambda connection: outbox.list_deliveries(connection, limit=10_000))
        return [d for d in reversed(found) if recipient in (None, d.recipient)]

    def close(self) -> None:
        self.database.close()
