"""kill -9 at any moment: whatever a write had acknowledged is there afterwards, and nothing by halves."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import pytest

from sharpeyes.store.cameras import get_cameras, memberships
from sharpeyes.store.database import Database

BATCH = 20

WRITER = textwrap.dedent(
    """
    import sys
    from sqlalchemy import insert
    from sharpeyes.domain.camera import Camera, Stream, StreamRole
    from sharpeyes.domain.organisation import Area, Department, Tier, Zone
    from sharpeyes.domain.time import Ms
    from sharpeyes.store import organisation, schema
    from sharpeyes.store.cameras import put_cameras
    from sharpeyes.store.database import Database

    database = Database(f"sqlite:///{sys.argv[1]}")
    database.upgrade()

    def organise(connection):
        organisation.put_zones(connection, [Zone(id="z", name="z")])
        organisation.put_departments(connection, [Department(id="d", name="d")])
        organisation.put_areas(connection, [Area(id="a", name="a")])

    def batch(n):
        cameras = [
            Camera(
                id=f"{n}-{k}", name="c", tier=Tier.COMMUNITY, department="d", area="a", zone="z",
                streams=(Stream(role=StreamRole.MAIN, url="rtsp://h/"),),
            )
            for k in range(%(batch)d)
        ]
        intervals = [
            {"camera_id": c.id, "started_ms": 10 * i, "ended_ms": 10 * i + 10, "state": "online"}
            for c in cameras
            for i in range(10)
        ]

        def write(connection):
            put_cameras(connection, cameras, now=Ms(n + 1))
            connection.execute(insert(schema.state_interval), intervals)

        return write

    database.write(organise)
    first = int(sys.argv[2])
    for n in range(first, first + 1_000_000):
        database.write(batch(n))
        print(n, flush=True)
    """
) % {"batch": BATCH}


@pytest.mark.parametrize("seed", range(4))
def test_every_acknowledged_batch_survives_sigkill(tmp_path: Path, seed: int) -> None:
    file = tmp_path / "a.db"
    rng = random.Random(seed)
    acknowledged: list[int] = []
    for _ in range(2):  # the second start begins with what the first death left
        first = acknowledged[-1] + 2 if acknowledged else 0  # the batch after the last one may be there, too
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file), str(first)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        acknowledged.append(int(writer.stdout.readline()))
        time.sleep(rng.uniform(0, 0.15))
        os.kill(writer.pid, signal.SIGKILL)
        rest, _ = writer.communicate()
        # A line that the kill cut off was not acknowledged.
        acknowledged += [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        assert writer.returncode == -signal.SIGKILL
        check(file, acknowledged)


def check(file: Path, acknowledged: list[int]) -> None:
    with Database(f"sqlite:///{file}") as database:
        database.upgrade()
        assert database.read(lambda c: c.exec_driver_sql("PRAGMA integrity_check").scalar()) == "ok"
        assert database.read(lambda c: c.exec_driver_sql("PRAGMA foreign_key_check").all()) == []
        expected = [f"{n}-{k}" for n in acknowledged for k in range(BATCH)]
        found = database.read(lambda c: get_cameras(c, expected))
        assert sorted(found) == sorted(expected)
        assert all(camera.streams for camera in found.values())
        assert all(len(database.read(lambda c, i=i: memberships(c, i))) == 1 for i in expected[:: BATCH * 5])
    with closing(sqlite3.connect(file)) as plain, plain:
        counts = plain.execute("SELECT count(*) FROM state_interval GROUP BY camera_id").fetchall()
        cameras = plain.execute("SELECT count(*) FROM camera").fetchone()[0]
    plain.close()
    assert set(counts) == {(10,)}, "a batch is there whole or not at all"
    assert cameras == len(counts)
    assert cameras % BATCH == 0
