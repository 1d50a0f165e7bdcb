"""Old intervals go to files: nothing is lost, nothing is twice, and the figures of their days stay."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select

from scenario.virtual_city import roll_up
from sharpeyes.domain.errors import InvalidInputError, UnavailableError
from sharpeyes.domain.health import Interval, Rung, RungInterval, State
from sharpeyes.domain.time import DAY_MS, Ms, Span
from sharpeyes.rates import retention, rollup, timeline
from sharpeyes.rates.rates import rates
from sharpeyes.store import exclusions, pictures, quality_schema, schema, telemetry
from sharpeyes.store.database import Database
from sharpeyes.store.rollups import Kind
from unit.rates.test_rates_rollup import excluding
from unit.rates.test_rates_sql import registry

parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: the archive is not tested here")

ZONE = ZoneInfo("Asia/Shanghai")
HOUR = 3_600_000
DAYS = list(
    timeline.days(
        Span(timeline.day(date(2025, 9, 1), ZONE).start, timeline.day(date(2025, 9, 10), ZONE).end), ZONE
    )
)
NOW = Ms(DAYS[5].end + 400 * DAY_MS + HOUR)
"""The first six of the ten days are old enough."""


def fill(connection: Any, *, roll: bool = True) -> None:
    """Two cameras, each seven hours on and five off; some intervals lie over midnight."""
    registry(connection)
    place = {"tier": "community", "department": "d0", "area": "north", "zone": "z0"}
    for number, camera in enumerate(("c0", "c1")):
        connection.execute(
            insert(schema.membership),
            [{"camera_id": camera, "started_ms": DAYS[0].start, "ended_ms": None, **place}],
        )
        at, spells = Ms(DAYS[0].start + number * HOUR), []
        while at < DAYS[-1].end:
            for state, hours in ((State.ONLINE, 7), (State.OFFLINE, 5)):
                spells.append(
                    Interval(camera=camera, state=state, start=at, end=Ms(at + hours * HOUR), cause="timeout")
                )
                at = Ms(at + hours * HOUR)
        telemetry.write_batch(connection, intervals=spells, beat=NOW)
        climbed = [
            RungInterval(
                camera=camera,
                rung=Rung.USABLE if i.state is State.ONLINE else Rung.RTSP,
                asked=Rung.USABLE,
                start=i.start,
                end=i.end,
            )
            for i in spells
        ]
        pictures.write_rungs(connection, climbed, (), ())
    if roll:
        for day in rollup.due(connection, ZONE, Ms(DAYS[-1].end + HOUR)):
            roll_up(connection, day, NOW)


def stored(connection: Any) -> set[tuple[Any, ...]]:
    return {
        tuple(row)
        for table in (schema.state_interval, quality_schema.rung_interval)
        for row in connection.execute(select(table))
    }


def filed(folder: Path) -> list[tuple[Any, ...]]:
    return [
        tuple(row.values())
        for file in sorted(folder.glob("*.parquet"))
        for row in parquet.read_table(file).to_pylist()
    ]


def test_old_intervals_go_and_their_figures_stay(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        database.write(fill)
        before = database.read(stored)
        whole = Span(DAYS[0].start, DAYS[-1].end)
        expected = {by: database.read(lambda c, by=by: rates(c, whole, by, NOW)) for by in ("all", "camera")}
        said = database.read(lambda c: retention.due(c, ZONE, NOW))
        moved = retention.retain(database, tmp_path / "archive", ZONE, NOW)
        assert moved == said
        assert [item.file for item in moved] == [
            f"{kind}-2025-09-0{n}.parquet" for n in range(1, 7) for kind in ("intervals", "rungs")
        ]
        files, left = filed(tmp_path / "archive"), database.read(stored)
        assert len(files) == len(set(files)) == sum(item.rows for item in moved)
        assert set(files) | left == before
        assert not set(files) & left
        assert all(row[2] <= DAYS[5].end for row in files)
        assert retention.retain(database, tmp_path / "archive", ZONE, NOW) == []
        for by, rate in expected.items():
            assert database.read(lambda c, by=by: rates(c, whole, by, NOW)) == rate
        # within an archived day nothing is known any more, and that is said
        half = Span(Ms(DAYS[2].start + HOUR), DAYS[4].end)
        with pytest.raises(InvalidInputError, match="only whole days"):
            database.read(lambda c: rates(c, half, "all", NOW))
        with pytest.raises(InvalidInputError, match="archive"):
            database.write(lambda c: exclusions.apply(c, excluding("area", "north", half)))
        # what comes very late marks no day that cannot be added up again, and gets a file of its own
        late = Interval(
            camera="c0", state=State.OFFLINE, start=Ms(DAYS[0].start + 1), end=Ms(DAYS[0].start + 2)
        )
        database.write(lambda c: telemetry.write_batch(c, intervals=[late]))
        assert database.read(lambda c: rates(c, DAYS[0], "all", NOW))
        assert not any(day.start < DAYS[6].start for day in database.read(lambda c: rollup.due(c, ZONE, NOW)))
        (again,) = retention.retain(database, tmp_path / "archive", ZONE, NOW)
        assert again.file == "intervals-2025-09-01.2.parquet"
        assert len(filed(tmp_path / "archive")) == len(files) + 1


def test_a_day_that_is_not_added_up_keeps_its_intervals(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        database.write(lambda c: fill(c, roll=False))
        assert database.read(lambda c: retention.due(c, ZONE, NOW)) == []
        database.write(lambda c: roll_up(c, DAYS[0], NOW))
        due = database.read(lambda c: retention.due(c, ZONE, NOW))
        assert [(item.kind, item.until) for item in due] == [(kind, DAYS[0].end) for kind in Kind]


def test_two_at_once_are_one(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        database.write(fill)
        with (
            retention._alone(tmp_path / "archive"),
            pytest.raises(UnavailableError, match="another process"),
        ):
            retention.retain(database, tmp_path / "archive", ZONE, NOW)


WORKER = """
import sys
from pathlib import Path
from zoneinfo import ZoneInfo
from sharpeyes.rates import retention
from sharpeyes.store import rollups
from sharpeyes.store.database import Database

def said(step):
    def run(*args, **kwargs):
        print(step, flush=True)
        sys.stdin.readline()
        return real(*args, **kwargs)
    real = getattr(rollups, step)
    return run

rollups.put_archived = said("put_archived")
rollups.ended = said("ended")
with Database(f"sqlite:///{sys.argv[1]}/r.db") as database:
    retention.retain(database, Path(sys.argv[1]) / "archive", ZoneInfo("Asia/Shanghai"), int(sys.argv[2]))
"""


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 9])
def test_killed_at_any_step_it_loses_nothing(tmp_path: Path, steps: int) -> None:
    """Before a file is written, between the two of a day, before their entry, and days later."""
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        database.write(fill)
        before = database.read(stored)
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path), str(NOW)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        for step in range(steps):
            if step:
                worker.stdin.write("\n")
                worker.stdin.flush()
            assert worker.stdout.readline()
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        assert database.read(stored) | set(filed(tmp_path / "archive")) == before
        retention.retain(database, tmp_path / "archive", ZONE, NOW)
        files, left = filed(tmp_path / "archive"), database.read(stored)
        assert len(files) == len(set(files))
        assert set(files) | left == before
        assert not set(files) & left
