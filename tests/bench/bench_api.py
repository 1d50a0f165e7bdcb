"""How long the API takes to answer while the fleet is at full cadence, its pictures looked at.

Run: python tests/bench/bench_api.py [--cameras N] [--seconds S] [--settle S] [--held] [--port P]
(default: 4000, 60, 150)

The service, its cameras and this client are three processes, as in life; the cameras are virtual and deliver
640x360 H.264. Requests come one after the other from two connections, with pauses, as from consoles. Printed
are wall times by route, which on two shared cores hold the work of all three processes, and the service's own
CPU and memory. The first route does nothing but answer: its time is the floor. With --held the service's
event loop is watched as well (held.py): for each route what it takes of the loop and of the readers' threads,
how long it waits for these, and the longest time that a step of it, or of anything else, held the loop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench_sweep import simulator

REQUESTS = 40
TICKS = os.sysconf("SC_CLK_TCK")
FLOOR = "/healthz"
ROUTES = (
    FLOOR,
    "/api/v1/cameras?limit=100",
    "/api/v1/cameras?limit=100&state=online&q=camera-00",
    "/api/v1/cameras/table",
    "/api/v1/cameras/{camera}",
    "/api/v1/cameras/{camera}/probes",
    "/api/v1/rates?by=tier",
    "/api/v1/rates?by=department",
    "/api/v1/status",
    "/api/v1/tickets?limit=50",
    "/metrics",
)
HEAD = """\
site: {{name: Bench, timezone: Asia/Shanghai}}
tiers: {{public_security: {t}, departmental: {t}, community: {t}}}
zones: {{police: {{name: Police, network: 1}}}}
departments: {{{departments}}}
areas: {{city: {{name: City, children: {{{areas}}}}}}}
credentials: {{simulated: {{username: admin, password_file: password.txt}}}}
cameras:
"""


def write_city(folder: Path, document: dict[str, Any]) -> Path:
    tiers = ("public_security", "departmental", "community")
    text = HEAD.format(
        t="{liveness_s: 30, quality_s: 300}",
        departments=", ".join(f"d{n}: {{name: Department {n}}}" for n in range(20)),
        areas=", ".join(f"a{n}: {{name: Area {n}}}" for n in range(40)),
    )
    for number, one in enumerate(document["cameras"]):
        text += (
            f"  - {{id: {one['id']}, name: 'Street {number % 97}', tier: {tiers[number % 3]},"
            f" department: d{number % 20}, area: a{number % 40}, zone: police, credential: simulated,"
            f' main: "{one["streams"]["main"]}", sub: "{one["streams"]["sub"]}"}}\n'
        )
    (folder / "password.txt").write_text("simulated", encoding="utf-8")
    (folder / "password.txt").chmod(0o600)
    file = folder / "cameras.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def serve(config: Path, folder: Path, held: Path | None) -> tuple[subprocess.Popen[str], str, str]:
    program = ["-m", "sharpeyes"] if held is None else [str(Path(__file__).with_name("held.py")), str(held)]
    command = [sys.executable, *program, "serve", "--config", str(config), "--port", "0"]
    command += ["--data-dir", str(folder / "data"), "--log-level", "warning"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    token = process.stdout.readline().split()[-1]
    return process, url, token


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_of(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


async def ask(url: str, token: str, cameras: list[str], until: float, took: dict[str, list[float]]) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        while time.monotonic() < until:
            for route in random.sample(ROUTES, len(ROUTES)):
                path = route.format(camera=random.choice(cameras))
                began = time.perf_counter()
                answer = await client.get(path)
                took[route].append((time.perf_counter() - began) * 1000)
                if answer.status_code != 200:
                    raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:200]}")
                await asyncio.sleep(random.uniform(0.02, 0.08))


async def main(arguments: argparse.Namespace) -> None:
    cameras, document = simulator(arguments.cameras, arguments.port)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = write_city(folder, document)
        held = folder / "held.json" if arguments.held else None
        service, url, token = serve(config, folder, held)
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
                while True:  # until all have been met, and some more
                    await asyncio.sleep(2)
                    page = (await client.get("/metrics")).text
                    known = sum(
                        map(float, re.findall(r'sharpeyes_cameras\{[^}]*state="online"[^}]*\} (\S+)', page))
                    )
                    if known >= 0.99 * arguments.cameras:
                        break
            print(f"{arguments.cameras} cameras, all met; at full cadence", flush=True)
            await asyncio.sleep(arguments.settle)  # the first looks at pictures come in 100 s
            took: dict[str, list[float]] = defaultdict(list)
            ids = [one["id"] for one in document["cameras"]]
            if held is not None:
                service.send_signal(signal.SIGUSR1)
            cpu, began = cpu_of(service.pid), time.monotonic()
            until = began + arguments.seconds
            await asyncio.gather(*(ask(url, token, ids, until, took) for _ in range(2)))
            share = (cpu_of(service.pid) - cpu) / (time.monotonic() - began)
            if held is not None:
                await show_held(service, held)
            show(took, await cpu_of_routes(service.pid, url, token, ids))
            print(
                f"  service: {100 * share:.0f} % of a core, {memory_of(service.pid):.0f} MB at most;"
                f" load of the machine {os.getloadavg()[0]:.1f}"
            )
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
                page = (await client.get("/metrics")).text
            for line in page.splitlines():
                if re.match(
                    r"sharpeyes_(probe_lateness|quality_waited|prober_stalls|quality_deferred|probes_total)",
                    line,
                ):
                    print(f"  {line}")
        finally:
            for process in (service, cameras):
                process.terminate()
                process.wait(30)


async def cpu_of_routes(pid: int, url: str, token: str, cameras: list[str]) -> dict[str, tuple[float, float]]:
    """By route, CPU of the service in ms a request, what it does meanwhile for its cameras taken off, and the
    size of the answer in kB."""
    await asyncio.sleep(1)
    cpu, began = cpu_of(pid), time.monotonic()
    await asyncio.sleep(8)
    idle = (cpu_of(pid) - cpu) / (time.monotonic() - began)
    print(f"  without requests: {100 * idle:.0f} % of a core")
    headers = {"Authorization": f"Bearer {token}"}
    found = {}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        for route in ROUTES:
            cpu, began = cpu_of(pid), time.monotonic()
            for _ in range(REQUESTS):
                await client.get(route.format(camera=random.choice(cameras)))
            used = cpu_of(pid) - cpu - idle * (time.monotonic() - began)
            size = 0
            async with client.stream("GET", route.format(camera=cameras[0])) as answer:
                async for piece in answer.aiter_raw():
                    size += len(piece)
            found[route] = 1000 * used / REQUESTS, size / 1000
    return found


def show(took: dict[str, list[float]], cpu: dict[str, tuple[float, float]]) -> None:
    every = sorted(each for times in took.values() for each in times)
    print(f"  {'':<52}{'n':>6}{'p50':>9}{'p95':>9}{'p99':>9}{'most':>9} ms{'CPU':>8} ms{'sent':>8} kB")
    for name, times in [*sorted(took.items()), ("all", every)]:
        found = sorted(times)
        shares = [found[min(int(share * len(found)), len(found) - 1)] for share in (0.5, 0.95, 0.99, 1.0)]
        used, size = cpu.get(name, (0.0, 0.0))
        line = f"  {name:<52}{len(found):6}" + "".join(f"{each:9.1f}" for each in shares)
        print(line + (f"{used:11.1f}{size:11.1f}" if name in cpu else ""), flush=True)


async def show_held(service: subprocess.Popen[str], report: Path) -> None:
    service.send_signal(signal.SIGUSR2)
    while not report.exists():
        await asyncio.sleep(0.2)
    await asyncio.sleep(1)
    document = json.loads(report.read_text("utf-8"))
    names = ("loop_cpu_ms", "loop_wait_ms", "longest_ms", "thread_cpu_ms", "thread_wait_ms", "thread_wall_ms")
    print(f"  {'a request':<52}{'steps':>6}" + "".join(f"{name.removesuffix('_ms'):>13}" for name in names))
    for route, seen in sorted(document["routes"].items()):
        if not (number := seen.get("requests")):
            continue
        values = [seen.get(name, 0) / (1 if name == "longest_ms" else number) for name in names]
        print(
            f"  {route:<52}{seen.get('steps', 0) / number:6.1f}" + "".join(f"{one:13.2f}" for one in values)
        )
    print("  what holds the loop longest, ms of CPU:")
    for one in document["longest"][:15]:
        print(f"    {one['cpu_ms']:7.1f} ({one['wall_ms']:7.1f} wall)  {one['route']} {one['work']}")
    for generation, (number, cpu, most) in enumerate(document["collected"]):
        print(f"  collections of generation {generation}: {number}, {cpu:.0f} ms, longest {most:.1f} ms")
    print("  what takes most of the loop:")
    for name, one in list(document["work"].items())[:15]:
        share = one["cpu_ms"] / document["seconds"] / 10
        print(f"    {share:5.1f} %  {one['steps']:7} steps, longest {one['longest_ms']:6.1f} ms  {name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--settle", type=float, default=150)
    parser.add_argument("--held", action="store_true")
    parser.add_argument("--port", type=int, default=8674, help="of the cameras; the two above are taken too")
    asyncio.run(main(parser.parse_args()))
