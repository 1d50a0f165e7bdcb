"""A month of rates from the intervals of a city, on SQLite.

Run: python tests/bench/bench_rates.py [cameras] [intervals a camera]     (default: 4000 60)
"""

from __future__ import annotations

import itertools
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import update

from scenario.virtual_city import enter
from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms, Span
from sharpeyes.rates.rates import rates
from sharpeyes.store import schema, telemetry
from sharpeyes.store.database import Database
from sharpeyes.store.telemetry import Dimension

DAY = 86_400_000
START = Ms(1_790_000_000_000)
MONTH = Span(START, Ms(START + 31 * DAY))
HISTORY = Span(Ms(START - 31 * DAY), Ms(START + 62 * DAY))
"""Three months are stored: the one asked for, one before, one after."""


def history(camera: str, number: int) -> Iterator[Interval]:
    moments = sorted(random.sample(range(HISTORY.start + 1, HISTORY.end), number * 3 - 1))
    edges = [HISTORY.start, *moments, HISTORY.end]
    for n, (start, end) in enumerate(itertools.pairwise(edges)):
        state = State.ONLINE if n % 2 == 0 else random.choice([State.OFFLINE, State.UNKNOWN, State.DEGRADED])
        yield Interval(camera=camera, state=state, start=Ms(start), end=Ms(end), cause=None)


def main() -> None:
    number, spells = (int(a) for a in [*sys.argv[1:], *["4000", "60"][len(sys.argv) - 1 :]])
    tiers = list(Tier)
    cameras = [
        Camera(
            id=f"camera-{n:06}",
            name=f"Camera {n}",
            tier=tiers[n % 3],
            department=f"department-{n % 20}",
            area=f"area-{n % 50}",
            zone="zone",
            streams=(Stream(role=StreamRole.SUB, url="rtsp://10.0.0.1/sub"),),
        )
        for n in range(number)
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        Database(f"sqlite:///{Path(folder) / 'bench.db'}") as database,
    ):
        database.upgrade()
        database.write(lambda c: enter(c, cameras, HISTORY.start))
        database.write(lambda c: c.execute(update(schema.membership).values(started_ms=HISTORY.start)))
        rows, cpu = 0, time.process_time()
        for first in range(0, number, 500):
            batch = [i for c in cameras[first : first + 500] for i in history(c.id, spells)]
            rows += len(batch)
            database.write(lambda c, batch=batch: telemetry.write_batch(c, intervals=batch, beat=HISTORY.end))
        print(f"{number} cameras, {spells} intervals a camera and month, {rows} rows in all")
        print(f"  written {rows / (time.process_time() - cpu):.0f} rows a CPU second, their making included")
        dimensions: list[Dimension] = ["tier", "department", "area", "zone", "all", "camera"]
        for by in dimensions:
            best, cpu_best, found = float("inf"), float("inf"), 0
            for _ in range(3):
                wall, cpu = time.perf_counter(), time.process_time()
                found = len(database.read(lambda c, by=by: rates(c, MONTH, by, HISTORY.end)))
                best = min(best, time.perf_counter() - wall)
                cpu_best = min(cpu_best, time.process_time() - cpu)
            print(f"  month by {by:<10} {best * 1e3:8.0f} ms, CPU {cpu_best * 1e3:.0f} ms, {found} rates")


if __name__ == "__main__":
    main()
