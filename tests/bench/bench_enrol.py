"""What it costs to enrol 200 cameras: CPU a camera, memory, wall time; and to sweep 510 addresses.

    python tests/bench/bench_enrol.py [cameras]

The cameras are canned answers in a process of their own, so that only the client's CPU is counted. Goals: at
most 15 ms of CPU a camera; 510 addresses and 6 ports swept within 10 s.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from ipaddress import ip_network
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from sharpeyes.discovery.discover import Search, discover
from sharpeyes.discovery.sweep import hosts, sweep
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.net.onvif_library import codecs
from soap_device import Device

NETWORK = ip_network("127.0.64.0/23")


async def serve(count: int) -> None:
    """Cameras at the first addresses of the network, until standard input closes."""
    async with AsyncExitStack() as stack:
        for address, _ in zip(hosts([NETWORK]), range(count), strict=False):
            device = await stack.enter_async_context(Device(host=address).serving())
            print(device.xaddr, flush=True)
        print(flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def enrol(xaddrs: list[str]) -> None:
    account = Credentials("admin", Secret("secret"))
    for in_flight in (64, 64, 1):
        before, cpu, wall = megabytes(), time.process_time(), time.perf_counter()
        found = await discover(Search(xaddrs=xaddrs, credentials=account, in_flight=in_flight))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        whole = sum(device.error is None for device in found)
        print(
            f"{len(found)} cameras, {whole} enrolled, {in_flight:3} in flight: "
            f"{cpu / len(found) * 1e3:5.1f} ms CPU a camera, {len(found) / wall:5.0f} a second, "
            f"peak {megabytes():.0f} MB (+{megabytes() - before:.0f})"
        )


async def look(xaddrs: list[str]) -> None:
    ports = sorted({int(xaddr.split(":")[2].split("/")[0]) for xaddr in xaddrs})[:6]
    here = sum(any(f":{port}/" in xaddr for port in ports) for xaddr in xaddrs)
    cpu, wall = time.process_time(), time.perf_counter()
    urls = await sweep([NETWORK], ports)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"sweep of 510 addresses x 6 ports: {len(urls)} of {here} found in {wall:.1f} s, {cpu:.1f} s CPU")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        xaddrs = list(iter(lambda: server.stdout.readline().strip(), ""))  # type: ignore[union-attr]
        cpu, wall = time.process_time(), time.perf_counter()
        codecs()
        print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
        print(
            f"documents read once: {(time.process_time() - cpu) * 1e3:.0f} ms CPU, "
            f"{(time.perf_counter() - wall) * 1e3:.0f} ms; process then {megabytes():.0f} MB"
        )
        asyncio.run(enrol(xaddrs))
        asyncio.run(look(xaddrs))
    finally:
        server.communicate("")


if __name__ == "__main__":
    if "--serve" in sys.argv:
        asyncio.run(serve(int(sys.argv[-1])))
    else:
        main()
