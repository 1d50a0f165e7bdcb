"""CPU a viewer: the gateway with its fast and its plain sender, and aiortc as it comes, on the same stream.

    python tests/bench/bench_gateway.py [--viewers 40 100] [--kinds gso plain aiortc] [--seconds 10] [--json]
    python tests/bench/bench_gateway.py --revocations 100

Three processes on loopback: a camera (1080p25, about 2 Mbit/s, RTP over RTSP), the server under test, the
viewers. CPU is user + system time of the server alone, in percent of one core, the pull and the watch over
rights included, divided by the viewers. One viewer decodes; the others count what they get and throw it
away. Figures depend on the machine and on what else runs on it; the ratios in one run do so less.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

KINDS = ("gso", "plain", "aiortc")
Answer = Callable[[str], Awaitable[str]]


# --- the camera ---------------------------------------------------------------------------------------


def camera(pipe: Connection) -> None:
    from gateway_town import LiveCamera
    from rtp_media import encode

    rate = {"b": "2000000", "maxrate": "2000000", "bufsize": "2000000"}
    clip = encode("h264", width=1920, height=1080, frames=100, gop=50, options=rate)

    async def serve() -> None:
        live = LiveCamera(clip)
        await live.start()
        size = sum(len(unit) for picture in clip.pictures for unit in picture)
        pipe.send((live.url, size * 8 * clip.fps / len(clip.pictures)))
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)

    uvloop.run(serve())


# --- servers ------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def ours(url: str, *, gso: bool) -> AsyncIterator[Answer]:
    from gateway_town import HOME, LOOPBACK, gateway, town
    from sharpeyes.gateway.settings import Limits

    most = Limits(user=5000, department=5000, camera=5000, gateway=5000)
    settings = replace(LOOPBACK, limits=most, gso=gso)
    with tempfile.TemporaryDirectory() as folder:
        async with town(Path(folder), {"park": url}) as city, gateway(city, settings) as running:
            grant = await city.grant("park")

            async def answer(offer: str) -> str:
                opened = await running.whep("park", city.ticket("park", grant.id), offer, client=HOME)
                return opened.answer

            yield answer


@contextlib.asynccontextmanager
async def stock(url: str) -> AsyncIterator[Answer]:
    """aiortc by its own documentation: a player that does not decode, a relay, a connection a viewer."""
    from aioice import ice
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
    from aiortc.contrib.media import MediaPlayer, MediaRelay

    ice.get_host_addresses = lambda **_: ["127.0.0.1"]  # aioice leaves loopback out
    player = MediaPlayer(url, format="rtsp", options={"rtsp_transport": "tcp"}, decode=False)
    relay = MediaRelay()
    h264 = [codec for codec in RTCRtpSender.getCapabilities("video").codecs if codec.mimeType == "video/H264"]
    connections = []

    async def answer(offer: str) -> str:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connections.append(connection)
        transceiver = connection.addTransceiver(relay.subscribe(player.video), direction="sendonly")
        transceiver.setCodecPreferences(h264)
        await connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        return str(connection.localDescription.sdp)

    yield answer
    for connection in connections:
        await connection.close()


def server(pipe: Connection, kind: str, url: str) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        async with stock(url) if kind == "aiortc" else ours(url, gso=kind == "gso") as answer:
            pipe.send("ready")
            while (word := await loop.run_in_executor(None, pipe.recv)) is not None:
                pipe.send(_cpu_s() if word == "cpu" else await answer(word))
            os._exit(0)  # nothing below is measured

    uvloop.run(serve())


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# --- viewers ------------------------------------------------------------------------------------------


def viewers(pipe: Connection, count: int, seconds: float) -> None:
    from aioice.ice import StunProtocol

    from gateway_town import Viewer

    received: dict[int, list[int]] = {}
    take = StunProtocol.datagram_received
    decoding: set[int] = set()

    def cheap(self: Any, data: bytes, address: Any) -> None:
        if 127 < data[0] < 192 and not 191 < data[1] < 209:
            received.setdefault(id(self), []).append(data[2] << 8 | data[3])
            if id(self.receiver) not in decoding:
                return
        take(self, data, address)

    StunProtocol.datagram_received = cheap

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        everybody = [Viewer() for _ in range(count)]
        first = everybody[0].connection.getTransceivers()[0].sender.transport.transport._connection
        decoding.add(id(first))
        for viewer in everybody:
            pipe.send(await viewer.offer())
            await viewer.accept(await loop.run_in_executor(None, pipe.recv))
        async with asyncio.timeout(60):
            while len(received) < count:
                await asyncio.sleep(0.1)
        await everybody[0].see(10, within_s=30)
        await asyncio.sleep(2)
        for numbers in received.values():
            numbers.clear()
        frames = everybody[0].frames
        pipe.send(None)
        await asyncio.sleep(seconds)
        packets = sum(map(len, received.values()))
        gaps = sum(
            sum((b - a) & 0xFFFF != 1 for a, b in pairwise(numbers))
            for numbers in received.values()
        )
        pipe.send({"packets": packets, "gaps": gaps, "decoded": everybody[0].frames - frames})
        os._exit(0)

    uvloop.run(watch())


# --- revocation ---------------------------------------------------------------------------------------


async def revocations(url: str, rounds: int) -> dict[str, float]:
    """Milliseconds from the call that revokes a grant to the last packet that its viewer got, and from the
    offer to the first packet of a camera that is pulled already."""
    from aioice.ice import StunProtocol

    from gateway_town import HOME, LOOPBACK, Viewer, gateway, town

    last: dict[int, float] = {}
    first: dict[int, float] = {}
    take = StunProtocol.datagram_received

    def noted(self: Any, data: bytes, address: Any) -> None:
        if 127 < data[0] < 192 and not 191 < data[1] < 209:
            last[id(self.receiver)] = time.perf_counter()
            first.setdefault(id(self.receiver), time.perf_counter())
        take(self, data, address)

    StunProtocol.datagram_received = noted
    to_last, to_first = [], []
    with tempfile.TemporaryDirectory() as folder:
        async with town(Path(folder), {"park": url}) as city, gateway(city, LOOPBACK) as running:
            kept = await running.feed("park", city.ticket("park", (await city.grant("park")).id), client=HOME)
            for _ in range(rounds):
                grant = await city.grant("park")
                viewer = Viewer()
                me = id(viewer.connection.getTransceivers()[0].sender.transport.transport._connection)
                offer = await viewer.offer()
                first.pop(me, None)
                began = time.perf_counter()
                opened = await running.whep("park", city.ticket("park", grant.id), offer, client=HOME)
                await viewer.accept(opened.answer)
                while me not in first:
                    await asyncio.sleep(0.002)
                to_first.append(1000 * (first[me] - began))
                await asyncio.sleep(0.3)
                began = time.perf_counter()
                await city.desk.revoke(city.id("zhao"), grant.id, "bench")
                await asyncio.sleep(0.3)
                to_last.append(1000 * max(0.0, last[me] - began))
                await viewer.close()
            kept.close()
    to_last.sort()
    to_first.sort()
    return {
        "rounds": rounds,
        "last_packet_ms_p50": to_last[rounds // 2],
        "last_packet_ms_p99": to_last[min(rounds - 1, rounds * 99 // 100)],
        "last_packet_ms_max": to_last[-1],
        "first_packet_ms_p50": to_first[rounds // 2],
        "first_packet_ms_p99": to_first[min(rounds - 1, rounds * 99 // 100)],
    }


# --- the run ------------------------------------------------------------------------------------------


def measure(kind: str, count: int, url: str, seconds: float) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    (to_server, at_server), (to_viewers, at_viewers) = context.Pipe(), context.Pipe()
    serving = context.Process(target=server, args=(at_server, kind, url), daemon=True)
    watching = context.Process(target=viewers, args=(at_viewers, count, seconds), daemon=True)
    serving.start()
    watching.start()
    to_server.recv()
    while (offer := to_viewers.recv()) is not None:
        to_server.send(offer)
        to_viewers.send(to_server.recv())
    to_server.send("cpu")
    before, began = to_server.recv(), time.monotonic()
    time.sleep(seconds - 0.5)
    to_server.send("cpu")
    cpu_s, elapsed_s = to_server.recv() - before, time.monotonic() - began
    figures = to_viewers.recv()
    to_server.send(None)
    for process in (serving, watching):
        process.join(5)
        process.kill()
    return {
        "kind": kind,
        "viewers": count,
        "cpu_percent": 100 * cpu_s / elapsed_s,
        "percent_a_viewer": 100 * cpu_s / elapsed_s / count,
        "packets_a_viewer_s": figures["packets"] / count / seconds,
        "gaps": figures["gaps"],
        "decoded_fps": figures["decoded"] / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--viewers", type=int, nargs="+", default=[40, 100])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--revocations", type=int, default=0, help="Rounds; measures nothing else.")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    filming = context.Process(target=camera, args=(there,), daemon=True)
    filming.start()
    url, bits = here.recv()
    if arguments.revocations:
        figures = uvloop.run(revocations(url, arguments.revocations))
        print(json.dumps(figures, indent=2) if arguments.json else figures)
        filming.kill()
        return
    rows = []
    if not arguments.json:
        print(f"camera: {bits / 1e6:.2f} Mbit/s")
        print(
            f"{'server':8}{'viewers':>8}{'% core':>9}{'% a viewer':>12}{'packets/s':>11}{'gaps':>6}{'fps':>6}"
        )
    for count in arguments.viewers:
        for kind in arguments.kinds:
            row = measure(kind, count, url, arguments.seconds)
            rows.append(row)
            if not arguments.json:
                print(
                    f"{kind:8}{count:8}{row['cpu_percent']:9.2f}{row['percent_a_viewer']:12.3f}"
                    f"{row['packets_a_viewer_s']:11.0f}{row['gaps']:6}{row['decoded_fps']:6.1f}",
                    flush=True,
                )
    filming.kill()
    best = {row["viewers"]: row["percent_a_viewer"] for row in rows if row["kind"] == "gso"}
    ratios = {
        f"{row['kind']} / gso at {row['viewers']}": row["percent_a_viewer"] / best[row["viewers"]]
        for row in rows
        if row["kind"] != "gso" and row["viewers"] in best
    }
    if arguments.json:
        print(json.dumps({"mbit_s": bits / 1e6, "rows": rows, "ratios": ratios}, indent=2))
    else:
        for name, ratio in ratios.items():
            print(f"{name}: {ratio:.1f}x")


if __name__ == "__main__":
    main()
