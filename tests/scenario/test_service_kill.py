"""``kill -9`` of the running service at any time: what was stored is there, and nothing is invented."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sqlite3
import sys
import textwrap
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

CITY = """
    tiers: {community: {target: 0.95, liveness_s: 1}}
    zones: {net: {name: Net}}
    departments: {street: {name: Street office, industry: "01"}}
    areas: {east: {name: East, code: "33010801"}}
    cameras:
"""
CAMERA = """
      - {{id: cam-{n}, name: Camera {n}, tier: community, department: street, area: east, zone: net,
         main: "rtsp://127.0.0.1:1/{n}"}}
"""


class Service:
    """A real ``sharpeyes serve`` in its own process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = ""
        self.url = ""

    async def start(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SHARPEYES_")}
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sharpeyes", "serve", "--port", "0"),
            *("--config", str(self.folder / "cameras.yaml"), "--data-dir", str(self.folder / "data")),
            stdout=asyncio.subprocess.PIPE,
            env={**environment, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            line = (await self.process.stdout.readline()).decode()
            self.url = line.split()[-1]
            if not self.token:
                line = (await self.process.stdout.readline()).decode()
                found = re.search(r"se_\w+_\S+", line)
                assert found, line
                self.token = found[0]

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            return await self.process.wait()

    async def get(self, path: str) -> dict[str, object]:
        async with httpx.AsyncClient(base_url=self.url) as client:
            answer = await client.get(path, headers={"Authorization": f"Bearer {self.token}"})
            assert answer.status_code == 200, answer.text
            return dict(answer.json())


def stored(folder: Path, query: str) -> set[tuple[object, ...]]:
    with (
        closing(sqlite3.connect(f"file:{folder / 'data' / 'sharpeyes.db'}?mode=ro", uri=True)) as connection,
        connection,
    ):
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return set(connection.execute(query))


INTERVALS = "SELECT camera_id, started_ms, ended_ms, state FROM state_interval"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = textwrap.dedent(CITY) + "".join(textwrap.dedent(CAMERA.format(n=n)) for n in range(20))
    (tmp_path / "cameras.yaml").write_text(text.replace("\n- {", "\n  - {"), encoding="utf-8")
    return tmp_path


async def test_registry_and_intervals_survive_kills(folder: Path) -> None:
    service = Service(folder)
    kept: set[tuple[object, ...]] = set()
    codes: object = None
    for life in range(3):
        await service.start()
        page = await service.get("/api/v1/cameras?limit=100")
        items = page["items"]
        assert isinstance(items, list)
        assert len(items) == 20
        if codes is None:
            codes = [c["code"] for c in items]
        assert [c["code"] for c in items] == codes
        # Long enough for the cameras to be found offline and for that to be stored.
        async with asyncio.timeout(30):
            while len(stored(folder, INTERVALS)) < 20 * (2 * life + 1):
                await asyncio.sleep(0.1)
        await service.kill()
        now = stored(folder, INTERVALS)
        assert kept <= now, "an interval that was stored is gone"
        kept = now
    await service.start()
    assert await service.stop() == 0
    kept |= stored(folder, INTERVALS)
    by_camera: dict[object, list[tuple[int, int]]] = {}
    for camera, started, ended, _ in kept:
        assert isinstance(started, int)
        assert isinstance(ended, int)
        by_camera.setdefault(camera, []).append((started, ended))
    for spells in by_camera.values():
        spells.sort()
        for (_, end), (start, _) in pairwise(spells):
            assert end == start, "a gap or an overlap in the record"
    causes = stored(folder, "SELECT DISTINCT state, cause FROM state_interval")
    assert ("unknown", "restart") in causes


@pytest.mark.parametrize(
    ("data", "own_port", "mend"), [("other", False, "--port"), ("data", True, "--data-dir")]
)
async def test_a_second_service_in_the_way_of_the_first_says_so(
    folder: Path, data: str, own_port: bool, mend: str
) -> None:
    service = Service(folder)
    await service.start()
    try:
        port = "0" if own_port else service.url.rsplit(":", 1)[1]
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sharpeyes", "serve", "--port", port),
            *("--config", str(folder / "cameras.yaml"), "--data-dir", str(folder / data)),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(second.communicate(), 60)
        assert second.returncode == 2
        assert mend in said.decode()
    finally:
        assert await service.stop() == 0


FIRST = """
import asyncio, sys
from sharpeyes import app

app.Service = lambda *_: sys.exit("onvif.client" not in sys.modules)
asyncio.run(app.run(None, None, stop=None, started=None))
"""


async def test_what_silences_its_warnings_is_imported_while_nothing_else_runs() -> None:
    """Else some starts print one of SOCKS: whoever makes routes in another thread unsilences it."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", FIRST)
    assert await asyncio.wait_for(process.wait(), 60) == 0
