"""kill -9 while days are added up: a day is there wholly or not at all, and the next turn makes up for it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from scenario.virtual_city import roll_up
from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.time import Ms
from sharpeyes.rates import rollup
from sharpeyes.rates.rates import rates
from sharpeyes.store import rates_schema, rollups, schema, telemetry
from sharpeyes.store.database import Database
from unit.rates.test_rates_rollup import BERLIN, BY, DAYS, END, HOUR, START, Span
from unit.rates.test_rates_sql import registry

WORKER = """
import asyncio, sys
from zoneinfo import ZoneInfo
from sharpeyes.rates import rollup
from sharpeyes.store import rollups
from sharpeyes.store.database import Database

real, done = rollups.put_day, 0

def put_day(*args, **kwargs):
    global done
    written = real(*args, **kwargs)
    done += 1
    if done == 3:  # two days are committed, the third is written but not committed
        print("writing", flush=True)
        sys.stdin.readline()
    return written

rollups.put_day = put_day
with Database(f"sqlite:///{sys.argv[1]}/r.db") as database:
    asyncio.run(rollup.Roller(database, ZoneInfo("Europe/Berlin"), lambda: int(sys.argv[2])).turn())
"""


def fill(connection: Any) -> None:
    registry(connection)
    place = {"tier": "community", "department": "d0", "area": "north", "zone": "z0"}
    connection.execute(
        insert(schema.membership), [{"camera_id": "c0", "started_ms": START, "ended_ms": None, **place}]
    )
    spells = [
        Interval(
            camera="c0",
            state=[State.ONLINE, State.OFFLINE][n % 2],
            start=Ms(START + n * 5 * HOUR),
            end=Ms(START + (n + 1) * 5 * HOUR),
        )
        for n in range(24)
    ]
    telemetry.write_batch(connection, intervals=spells, beat=Ms(END + HOUR))


def test_killed_while_a_day_is_written(tmp_path: Path) -> None:
    now, whole = Ms(END + HOUR), Span(START, END)
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        database.write(fill)
        before = {by: database.read(lambda c, by=by: rates(c, whole, by, now)) for by in BY}
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path), str(now)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "writing\n"
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        assert database.read(lambda c: rollups.fresh_spans(c, whole)) == [Span(DAYS[3].start, END)]
        count = select(func.count(rates_schema.group_day.c.started_ms.distinct()))
        assert database.read(lambda c: c.scalar(count)) == 2
        for _ in range(2):
            assert {by: database.read(lambda c, by=by: rates(c, whole, by, now)) for by in BY} == before
            for day in database.read(lambda c: rollup.due(c, BERLIN, now)):
                database.write(lambda c, day=day: roll_up(c, day, now))
        assert database.read(lambda c: rollups.fresh_spans(c, whole)) == [whole]
