"""What the console costs a browser at 4,000 cameras: bytes of a load, time until it is of use, scrolling.

Needs Chromium and the built console. Wall time on a shared machine is noisy: three rounds are shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from browser_costs import Received, frames, heap

from console_browser import CHROMIUM, Tab, browser
from sharpeyes.api.console import ASSETS

CAMERAS = 4000
ROUNDS = 3
HEAD = """\
site: {name: Bench, timezone: Asia/Shanghai}
tiers: {public_security: {liveness_s: 60}, departmental: {liveness_s: 60}, community: {liveness_s: 60}}
zones: {police: {name: Police, network: 1}}
departments: {%s}
areas: {city: {name: City, children: {%s}}}
cameras:
"""
SCROLL = """async () => {
  const box = document.querySelector('.rows');
  for (let n = 0; n < 120; n++) {
    box.scrollTop += 800;
    await new Promise(requestAnimationFrame);
  }
}"""


PAN = """async () => {
  const box = document.querySelector('.leaflet-container');
  const {left, top, width, height} = box.getBoundingClientRect();
  let x = left + width / 2;
  const y = top + height / 2;
  const mouse = (to, type) => to.dispatchEvent(new MouseEvent(type, {
    bubbles: true, cancelable: true, clientX: x, clientY: y, button: 0, buttons: 1}));
  mouse(document.querySelector('.leaflet-map-pane'), 'mousedown');
  for (let n = 0; n < 120; n++) {
    x += n % 60 < 30 ? 6 : -6;
    mouse(document, 'mousemove');
    await new Promise(requestAnimationFrame);
  }
  mouse(document, 'mouseup');
}"""
PLACES = "insert into dossier (camera_id, longitude, latitude, changed_ms) values (?, ?, ?, 0)"


def place(database: Path) -> None:
    """Put the cameras on a grid, as an import of dossiers would."""
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        ids = [row[0] for row in connection.execute("select id from camera order by id")]
        at = [(120 + n % 64 / 300 + n / 1e5, 30 + n // 64 / 300) for n in range(len(ids))]
        connection.executemany(PLACES, [(key, *here) for key, here in zip(ids, at, strict=True)])


def spread(frames: list[float]) -> str:
    """Median, 95th percentile and worst of frames, in ms."""
    costs = sorted(frames)
    return (
        f"median {costs[len(costs) // 2]:.1f} p95 {costs[len(costs) * 95 // 100]:.1f}"
        f" worst {costs[-1]:.1f} ms ({len(costs)} frames)"
    )


def city() -> str:
    tiers = ("public_security", "departmental", "community")
    text = HEAD % (
        ", ".join(f"d{n}: {{name: Department {n}}}" for n in range(20)),
        ", ".join(f"a{n}: {{name: Area {n}}}" for n in range(40)),
    )
    return text + "".join(
        f"  - {{id: cam-{n:04}, name: 'Street {n % 97}, crossing {n}', tier: {tiers[n % 3]},"
        f" department: d{n % 20}, area: a{n % 40}, zone: police,"
        f' main: "rtsp://127.0.{n // 250 + 1}.{n % 250 + 1}:1/a"}}\n'
        for n in range(CAMERAS)
    )


async def measure(url: str, token: str) -> None:
    for _ in range(ROUNDS):
        async with browser() as tab:
            await tab.size(1920, 1080)
            await tab.open(url + "/sign-in")
            await tab.devtools.send("Network.enable")
            await tab.devtools.send("Network.clearBrowserCache")
            received = Received(tab)
            await tab.call("token => sessionStorage.setItem('sharpeyes.token', token)", token)
            first = await timed(
                tab, url + "/", "() => document.querySelectorAll('.tier strong').length === 3"
            )
            drawn = (
                "() => document.querySelectorAll('canvas').length > 1 && !document.querySelector('.skeleton')"
            )
            began = time.perf_counter()
            await tab.until(drawn)
            charts = first + (time.perf_counter() - began) * 1000
            await asyncio.sleep(1)
            fresh = received.bytes
            again = await timed(
                tab, url + "/", "() => document.querySelectorAll('.tier strong').length === 3"
            )
            table = await timed(tab, url + "/cameras", "() => !!document.querySelector('[data-row]')")
            await tab.until("() => !document.querySelector('.skeleton')")
            scroll = await frames(tab, SCROLL)
            rows = await tab.call("() => document.querySelectorAll('[data-row]').length")
            began = time.perf_counter()
            await tab.type(".search input", "crossing 3999")
            await tab.sees("1 of 4,000")
            found = (time.perf_counter() - began) * 1000
            map_shown = await timed(tab, url + "/map", "() => !!document.querySelector('.fleet-layer')")
            await tab.until("() => !document.querySelector('.skeleton')")
            await asyncio.sleep(1)
            pan = await frames(tab, PAN)
            held = await heap(tab)
        print(
            f"overview: {first:.0f} ms to the rates, {charts:.0f} ms to all charts,"
            f" {fresh / 1e3:.0f} kB fresh; again {again:.0f} ms."
            f" cameras: table {table:.0f} ms, search {found:.0f} ms; CPU a frame of scrolling 800 px"
            f" {spread(scroll)}, {rows} rows in the page. map: {map_shown:.0f} ms, CPU a frame of panning"
            f" {spread(pan)}. heap {held['bytes'] / 1e6:.1f} MB"
        )


async def timed(tab: Tab, url: str, condition: str) -> float:
    began = time.perf_counter()
    await tab.page.goto(url, wait_until="commit")
    await tab.until(condition)
    return (time.perf_counter() - began) * 1000


async def main() -> None:
    if CHROMIUM is None or not (ASSETS / "index.html").exists():
        print("bench_console: needs Chromium and the built console; left out")
        return
    packed = sum(file.stat().st_size for file in (ASSETS / "assets").glob("*.gz"))
    whole = sum(file.stat().st_size for file in (ASSETS / "assets").iterdir() if file.suffix != ".gz")
    print(f"assets: {whole / 1e3:.0f} kB, of which packed {packed / 1e3:.0f} kB")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        async with serving(Path(name)) as (url, token):
            await asyncio.sleep(10)  # the first looks at them are under way
            await asyncio.to_thread(place, Path(name) / "data" / "sharpeyes.db")
            await measure(url, token)


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """The service on :func:`city`, as a process of its own; its URL and an administrator's token."""
    (folder / "cameras.yaml").write_text(city())
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sharpeyes", "serve", "--config", str(folder / "cameras.yaml")),
        *("--data-dir", str(folder / "data"), "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said = ""
        assert service.stdout is not None
        async with asyncio.timeout(120):
            while not (re.search(r"http://\S+", said) and re.search(r"se_\w+_\S+", said)):
                said += (await service.stdout.readline()).decode()
        draining = asyncio.create_task(_drain(service.stdout))
        url, token = re.search(r"http://[\d.]+:\d+", said), re.search(r"se_\S+", said)
        assert url is not None
        assert token is not None
        yield url[0], token[0]
        draining.cancel()
    finally:
        service.terminate()
        await service.wait()


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.readline():
        pass


if __name__ == "__main__":
    asyncio.run(main())
