"""A month of rates, from the intervals of a city and from its days added up, on SQLite; courses by hour and
day; pages of cameras, worst first. All with rungs and intact cameras.

Run: PYTHONPATH=tests python tests/bench/bench_rates.py [cameras] [intervals a camera] [--days-only]
(default: 4000 60)
"""

from __future__ import annotations

import itertools
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path

from sqlalchemy import Connection, update

from scenario.virtual_city import enter
from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.health import Interval, Rung, RungInterval, State
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms, Span
from sharpeyes.rates import rollup, timeline
from sharpeyes.rates.rate import Rate
from sharpeyes.rates.rates import rates, trend, worst_cameras
from sharpeyes.rates.timeline import Every
from sharpeyes.store import pictures, ranking, rollups, schema, telemetry
from sharpeyes.store.database import Database
from sharpeyes.store.state_time import Dimension

DAY = 86_400_000
START = Ms(1_789_948_800_000)  # 2026-09-21T00:00:00Z
MONTH = Span(START, Ms(START + 31 * DAY))
HISTORY = Span(Ms(START - 31 * DAY), Ms(START + 62 * DAY))
"""Three months are stored: the one asked for, one before, one after."""


def history(camera: str, number: int) -> Iterator[Interval]:
    moments = sorted(random.sample(range(HISTORY.start + 1, HISTORY.end), number * 3 - 1))
    edges = [HISTORY.start, *moments, HISTORY.end]
    for n, (start, end) in enumerate(itertools.pairwise(edges)):
        state = State.ONLINE if n % 2 == 0 else random.choice([State.OFFLINE, State.UNKNOWN, State.DEGRADED])
        yield Interval(camera=camera, state=state, start=Ms(start), end=Ms(end), cause=None)


def climb(interval: Interval) -> RungInterval:
    rung = {State.ONLINE: Rung.USABLE, State.DEGRADED: Rung.CHANGING}.get(interval.state, Rung.REACHABLE)
    return RungInterval(
        camera=interval.camera, rung=rung, asked=Rung.USABLE, start=interval.start, end=interval.end
    )


def main() -> None:
    given = [a for a in sys.argv[1:] if a.isdigit()]
    number, spells = (int(a) for a in [*given, *["4000", "60"][len(given) :]])
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
            climbs = [climb(i) for i in batch if i.state is not State.UNKNOWN]
            database.write(lambda c, batch=batch: telemetry.write_batch(c, intervals=batch, beat=HISTORY.end))
            database.write(lambda c, climbs=climbs: pictures.write_rungs(c, climbs, (), ()) and None)
        print(f"{number} cameras, {spells} intervals a camera and month, {rows} rows in all")
        print(f"  written {rows / (time.process_time() - cpu):.0f} rows a CPU second, their making included")
        if "--days-only" not in sys.argv:
            before = ask(database, "from intervals")
        days = list(timeline.days(MONTH, UTC))
        days = [day for day in days if day.start >= MONTH.start and day.end <= MONTH.end]
        cpu, wall = time.process_time(), time.perf_counter()
        for day in days:
            revision = database.write(lambda c, day=day: rollups.open_day(c, day))
            found = database.read(lambda c, day=day: rollup.add_up(c, day))
            database.write(lambda c, day=day, r=revision, f=found: rollup.put(c, day, r, f, HISTORY.end))
        each = (time.process_time() - cpu) / len(days) * 1e3
        print(f"  a day added up {each:8.0f} ms CPU, {(time.perf_counter() - wall) / len(days) * 1e3:.0f} ms")
        after = ask(database, "from days")
        for within, month in database.read(lambda c: rollup.months_due(c, UTC)):
            cpu = time.process_time()
            rows = database.read(lambda c, span=month.span: ranking.add_up_month(c, span))
            database.write(lambda c, w=within, m=month, r=rows: ranking.put_month(c, w, m, r))
            print(f"  a month's cameras added up {(time.process_time() - cpu) * 1e3:.0f} ms CPU")
        pages(database)
        courses(database)
        if "--days-only" not in sys.argv:
            assert before == after, "days and intervals differ"


def timed(what: str, ask: Callable[[Connection], list[Rate]], database: Database) -> list[Rate]:
    best, cpu_best, found = float("inf"), float("inf"), []
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        found = database.read(ask)
        best = min(best, time.perf_counter() - wall)
        cpu_best = min(cpu_best, time.process_time() - cpu)
    print(f"  {what}: {best * 1e3:8.0f} ms, CPU {cpu_best * 1e3:.0f} ms, {len(found)} rates")
    return found


def pages(database: Database) -> None:
    """A hundred cameras, worst first: of a month that is kept, of a week, of a month and a bit of a day."""
    now = HISTORY.end
    week = Span(MONTH.start, Ms(MONTH.start + 7 * DAY))
    ragged = Span(MONTH.start, Ms(MONTH.end + DAY // 2))
    for name, span in (("month", MONTH), ("week", week), ("month and half a day", ragged)):
        timed(f"worst cameras of a {name}", lambda c, s=span: worst_cameras(c, s, now, limit=100), database)


def courses(database: Database) -> None:
    """What a chart shows, in one answer: a day that is not over by the hour, and a month by the day."""
    now = HISTORY.end
    day = Span(MONTH.end, Ms(MONTH.end + DAY))
    for name, span, every in (
        ("a day by the hour", day, Every.HOUR),
        ("a month by the day", MONTH, Every.DAY),
    ):
        for by in ("tier", "department", "all"):
            timed(
                f"{name}, by {by:<10}",
                lambda c, s=span, b=by, e=every: trend(c, s, b, e, UTC, now),
                database,
            )


def ask(database: Database, how: str) -> dict[Dimension, list[Rate]]:
    dimensions: list[Dimension] = ["tier", "department", "area", "zone", "all"]
    if "--days-only" not in sys.argv:  # a city of them comes by pages
        dimensions.append("camera")
    answers = {}
    for by in dimensions:
        answers[by] = timed(
            f"month by {by:<10} {how}", lambda c, by=by: rates(c, MONTH, by, HISTORY.end), database
        )
    return answers


if __name__ == "__main__":
    main()
