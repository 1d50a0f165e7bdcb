"""What virtual cameras cost: memory and CPU of thousands that idle, of sessions that start and that play.

    python tests/bench/bench_simulator.py [--cameras 4000] [--playing 200] [--json]

The simulator runs in a child process; its CPU and memory are read from /proc, so this bench is for Linux. The
client is a plain epoll loop, and its cost is not counted. Figures depend on the machine and its neighbours.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import os
import re
import selectors
import socket
import time
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from sharpeyes.domain.camera import StreamRole
from sharpeyes.net.process import raise_file_limit
from sharpeyes.simulator.fleet import SIMULATED, Addressing, uniform
from sharpeyes.simulator.simulator import Simulator

TICKS = os.sysconf("SC_CLK_TCK")
ADDRESSING = Addressing(network="127.20.0.1", rtsp_port=28554, onvif_port=28899, discovery_port=None)


def serve(cameras: int, pipe: Connection) -> None:
    async def run() -> None:
        begun, cpu = time.perf_counter(), time.process_time()
        async with Simulator(uniform(cameras), addressing=ADDRESSING) as simulator:
            first = simulator.endpoints["camera-0001"].streams
            urls = {role: [each.streams[role] for each in simulator.endpoints.values()] for role in first}
            pipe.send((urls, time.perf_counter() - begun, time.process_time() - cpu))
            done = asyncio.Event()
            asyncio.get_running_loop().add_reader(pipe.fileno(), done.set)
            await done.wait()

    uvloop.run(run())


def cpu_of(pid: int) -> tuple[float, float]:
    """User and system seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def memory_of(pid: int) -> float:
    """MB resident."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024  # type: ignore[index]


class Session:
    """One dialogue up to the end of the first picture, byte by byte as little work as can be."""

    STEPS = ("DESCRIBE", "DESCRIBE", "SETUP", "PLAY")

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.step = 0
        self.data = bytearray()
        self.nonce = self.session = self.realm = ""
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex((parts.hostname, parts.port))
        self.at = 0

    def request(self) -> bytes:
        method = self.STEPS[self.step]
        url = f"{self.url}/trackID=0" if method == "SETUP" else self.url
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self.step + 1}"]
        if self.step:
            user, password = SIMULATED.username, SIMULATED.password.reveal()
            ha1 = hashlib.md5(f"{user}:{self.realm}:{password}".encode()).hexdigest()
            ha2 = hashlib.md5(f"{method}:{url}".encode()).hexdigest()
            proof = hashlib.md5(f"{ha1}:{self.nonce}:00000001:0a:auth:{ha2}".encode()).hexdigest()
            lines.append(
                f'Authorization: Digest username="{user}", realm="{self.realm}", nonce="{self.nonce}", '
                f'uri="{url}", qop=auth, nc=00000001, cnonce="0a", response="{proof}"'
            )
        if method == "SETUP":
            lines.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        if method == "PLAY":
            lines.append(f"Session: {self.session}")
        return "\r\n".join([*lines, "", ""]).encode()

    def readable(self) -> bool:
        """Whether the picture is whole."""
        received = self.socket.recv(262_144)
        if not received:
            raise ConnectionError(f"{self.url} closed at {self.STEPS[self.step]}")
        self.data += received
        if self.step < 3 or not self.at:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = self.data[:end].decode()
            body = int((re.search(r"Content-Length: (\d+)", head) or [0, 0])[1])
            if len(self.data) < end + 4 + body:
                return False
            if self.step == 0:
                self.nonce = re.search(r'nonce="(\w+)"', head)[1]  # type: ignore[index]
                self.realm = re.search(r'realm="([^"]+)"', head)[1]  # type: ignore[index]
            elif not head.startswith("RTSP/1.0 200"):
                raise ConnectionError(f"{self.url}: {head.splitlines()[0]}")
            if self.step == 2:
                self.session = re.search(r"Session: (\w+)", head)[1]  # type: ignore[index]
            if self.step < 3:
                self.step += 1
                del self.data[: end + 4 + body]
                self.socket.send(self.request())
                return False
            self.at = end + 4
        while self.at + 6 <= len(self.data):
            size = int.from_bytes(self.data[self.at + 2 : self.at + 4])
            if self.at + 4 + size > len(self.data):
                return False
            if self.data[self.at + 1] == 0 and self.data[self.at + 5] & 0x80:
                return True
            self.at += 4 + size
        return False


def sessions(urls: list[str], at_once: int, *, keep: bool = False) -> list[Session]:
    """Each URL once up to the first picture. ``keep``: leave them playing."""
    selector = selectors.DefaultSelector()
    waiting, kept = iter(urls), []
    active = 0

    def begin() -> int:
        url = next(waiting, None)
        if url is None:
            return 0
        session = Session(url)
        selector.register(session.socket, selectors.EVENT_WRITE, session)
        return 1

    for _ in range(at_once):
        active += begin()
    while active:
        for key, events in selector.select(10):
            session = key.data
            if events & selectors.EVENT_WRITE:
                session.socket.send(session.request())
                selector.modify(session.socket, selectors.EVENT_READ, session)
            elif session.readable():
                selector.unregister(session.socket)
                if keep:
                    kept.append(session)
                else:
                    session.socket.close()
                active += begin() - 1
    return kept


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", type=int, default=4000)
    parser.add_argument("--playing", type=int, default=200)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    raise_file_limit()
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(options.cameras, theirs))
    child.start()
    theirs.close()  # so that its end is noticed
    pid = child.pid or 0
    urls, wall, cpu = ours.recv()
    found: dict[str, float] = {"cameras": options.cameras, "start_wall_s": wall, "start_cpu_s": cpu}
    time.sleep(1)
    before = sum(cpu_of(pid))
    time.sleep(5)
    found["idle_cpu_percent"] = (sum(cpu_of(pid)) - before) / 5 * 100
    found["idle_rss_mb"] = memory_of(pid)
    for role in (StreamRole.SUB, StreamRole.MAIN):
        sessions(urls[role][:200], 50)  # clips and caches warm
        user, system = cpu_of(pid)
        begun = time.perf_counter()
        sessions(urls[role], options.in_flight)
        count = len(urls[role])
        found[f"{role}_wall_s"] = time.perf_counter() - begun
        user, system = (after - earlier for after, earlier in zip(cpu_of(pid), (user, system), strict=True))
        found[f"{role}_user_ms_a_session"], found[f"{role}_system_ms_a_session"] = (
            user / count * 1000,
            system / count * 1000,
        )
    found["rss_mb_after_sessions"] = memory_of(pid)
    playing = sessions(urls[StreamRole.SUB][: options.playing], 50, keep=True)
    selector = selectors.DefaultSelector()
    for session in playing:
        selector.register(session.socket, selectors.EVENT_READ)
    before, begun, received = sum(cpu_of(pid)), time.perf_counter(), 0
    while (passed := time.perf_counter() - begun) < 5:
        for key, _ in selector.select(0.1):
            received += len(key.fileobj.recv(262_144))  # type: ignore[union-attr]
    found["playing"] = len(playing)
    found["playing_cpu_ms_a_session_second"] = (sum(cpu_of(pid)) - before) / passed / len(playing) * 1000
    found["playing_kbps"] = received * 8 / passed / len(playing) / 1000
    for session in playing:
        session.socket.close()
    ours.send(None)
    child.join(10)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:36} {value:10.3f}")


if __name__ == "__main__":
    main()
