"""CPU a viewer on the same stream: the gateway by its fast and its plain sender, aiortc as it comes, Janus.

    python tests/bench/bench_gateway.py [--viewers 40 100] [--kinds gso plain aiortc janus] [--json]
    python tests/bench/bench_gateway.py --kinds gso --viewers 24 --cameras 24
    python tests/bench/bench_gateway.py --revocations 100
    python tests/bench/bench_gateway.py --expiries 100
    python tests/bench/bench_gateway.py --first-pictures 20
    python tests/bench/bench_gateway.py --crowd 1000

Three processes on loopback: a camera (1080p25, about 2 Mbit/s, RTP over RTSP), the server under test, the
viewers. CPU is user + system time of the server alone, in percent of one core, the pull and the watch over
rights included, divided by the viewers. One viewer decodes; the others count what they get and throw it
away. Figures depend on the machine and on what else runs on it; the ratios in one run do so less.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import json
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from itertools import count, cycle, pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ports import free_port
from rtp_media import Clip, encode

KINDS = ("gso", "plain", "aiortc", "janus")
Answer = Callable[[str], Awaitable[str]]
PACKET = 1200
"""Bytes of an RTP packet for Janus, which passes on what it gets as it is."""


# --- the camera ---------------------------------------------------------------------------------------


def stream(*, small: bool = False) -> Clip:
    """``small``: for what is not about throughput."""
    if small:
        return encode("h264", width=320, height=180, fps=5, frames=50, gop=10, options={"b": "60000"})
    rate = {"b": "2000000", "maxrate": "2000000", "bufsize": "2000000"}
    return encode("h264", width=1920, height=1080, frames=100, gop=50, options=rate)


def camera(pipe: Connection, small: bool) -> None:
    from gateway_town import LiveCamera

    clip = stream(small=small)

    async def serve() -> None:
        live = LiveCamera(clip)
        await live.start()
        size = sum(len(unit) for picture in clip.pictures for unit in picture)
        pipe.send((live.url, size * 8 * clip.fps / len(clip.pictures)))
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)

    uvloop.run(serve())


def push(port: int) -> None:
    """The same pictures as plain RTP to a UDP port, for Janus."""
    from rtp_media import fragment, rtp

    clip = stream()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        number, began = 0, time.monotonic()
        for picture in count():
            units = clip.pictures[picture % len(clip.pictures)]
            payloads = [part for unit in units for part in fragment("h264", unit, PACKET - 14)]
            for at, payload in enumerate(payloads):
                marker = at == len(payloads) - 1
                with contextlib.suppress(ConnectionError):
                    out.sendto(rtp(payload, number, picture * 3600, marker=marker), ("127.0.0.1", port))
                number += 1
            time.sleep(max(0.0, began + (picture + 1) / 25 - time.monotonic()))


# --- servers ------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def ours(url: str, *, gso: bool, cameras: int = 1) -> AsyncIterator[Answer]:
    """``cameras``: each viewer gets the next of so many, all pulled from one and the same."""
    from gateway_town import HOME, LOOPBACK, gateway, town
    from sharpeyes.gateway.settings import Limits

    most = Limits(user=5000, department=5000, camera=5000, gateway=5000)
    settings = replace(LOOPBACK, limits=most, gso=gso)
    with tempfile.TemporaryDirectory() as folder:
        names = [f"park-{number}" for number in range(cameras)]
        urls = dict.fromkeys(names, url)
        async with town(Path(folder), urls) as city, gateway(city, settings) as running:
            grant = await city.grant(*names)
            turn = cycle(names)

            async def answer(offer: str) -> str:
                name = next(turn)
                opened = await running.whep(name, city.ticket(name, grant.id), offer, client=HOME)
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


JANUS = """
general: {{ configs_folder = "{folder}", plugins_folder = "{libraries}/plugins", session_timeout = 0,
  transports_folder = "{libraries}/transports", debug_level = 2, event_loops = 1 }}
certificates: {{ cert_pem = "{folder}/cert.pem", cert_key = "{folder}/key.pem" }}
media: {{ }}
nat: {{ nice_debug = false, ignore_mdns = true }}
plugins: {{ disable = "{plugins}" }}
transports: {{ disable = "{transports}" }}
"""
JANUS_HTTP = (
    'general: {{ base_path = "/janus", http = true, port = {port}, interface = "lo", https = false }}'
)
JANUS_STREAM = """
park: {{ type = "rtp", id = 1, audio = false, video = true, videoport = {port}, videopt = 96,
  videocodec = "h264", videofmtp = "profile-level-id=42e01f;packetization-mode=1", secret = "x" }}
"""


@contextlib.asynccontextmanager
async def janus(media: int) -> AsyncIterator[tuple[Answer, int]]:
    """Debian's Janus, tuned to one event loop; it offers, its viewers answer. Gives its process id, too."""
    import httpx

    program = shutil.which("janus")
    assert program is not None, "janus is not installed (Debian: apt install janus)"
    libraries = next(Path("/usr/lib").glob("*/janus"))
    http = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        others = {
            kind: ",".join(
                file.name
                for file in (libraries / kind).glob("*.so")
                if not file.stem.endswith(("streaming", "http"))
            )
            for kind in ("plugins", "transports")
        }
        (folder / "janus.jcfg").write_text(JANUS.format(folder=folder, libraries=libraries, **others))
        (folder / "janus.transport.http.jcfg").write_text(JANUS_HTTP.format(port=http))
        (folder / "janus.plugin.streaming.jcfg").write_text(JANUS_STREAM.format(port=media))
        make_certificate(folder)
        running = await asyncio.create_subprocess_exec(
            program, "-F", str(folder), "-C", str(folder / "janus.jcfg"), stdout=asyncio.subprocess.DEVNULL
        )
        waiting: list[str] = []
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{http}", timeout=40) as client:

            async def ask(path: str, **body: Any) -> Any:
                got = await client.post(path, json={"transaction": "t", **body})
                return got.json()

            async def answer(word: str) -> str:
                if word:  # a viewer's answer to the offer that it was given last
                    start = {"janus": "message", "body": {"request": "start"}}
                    await ask(waiting.pop(), **start, jsep={"type": "answer", "sdp": word})
                    return ""
                session = (await ask("/janus", janus="create"))["data"]["id"]
                attach = {"janus": "attach", "plugin": "janus.plugin.streaming"}
                handle = (await ask(f"/janus/{session}", **attach))["data"]["id"]
                waiting.append(f"/janus/{session}/{handle}")
                await ask(waiting[-1], janus="message", body={"request": "watch", "id": 1})
                while True:
                    event = (await client.get(f"/janus/{session}", params={"maxev": 1})).json()
                    if "jsep" in event:
                        return str(event["jsep"]["sdp"])

            for _ in range(100):
                with contextlib.suppress(httpx.HTTPError):
                    await client.get("/janus/info")
                    break
                await asyncio.sleep(0.1)
            yield answer, running.pid


def make_certificate(folder: Path) -> None:
    """An ECDSA one, which aiortc's viewers ask for."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command = ["openssl", "req", "-x509", *key, *files, "-subj", "/CN=bench"]
    subprocess.run(command, check=True, capture_output=True)


def server(pipe: Connection, kind: str, url: str, cameras: int = 1) -> None:
    async def serve() -> None:
        if kind == "janus":
            media = free_port()
            multiprocessing.get_context("spawn").Process(target=push, args=(media,), daemon=True).start()
            async with janus(media) as (answer, process):
                await talk(answer, lambda: _cpu_of(process))
                os.kill(process, signal.SIGKILL)
                for child in multiprocessing.active_children():
                    child.kill()
                os._exit(0)
        async with (
            stock(url) if kind == "aiortc" else ours(url, gso=kind == "gso", cameras=cameras) as answer
        ):
            await talk(answer, _cpu_s)
            os._exit(0)  # nothing below is measured

    async def talk(answer: Answer, cpu_s: Callable[[], float]) -> None:
        loop = asyncio.get_running_loop()
        pipe.send("ready")
        while (word := await loop.run_in_executor(None, pipe.recv)) is not None:
            pipe.send(cpu_s() if word == "cpu" else await answer(word))

    uvloop.run(serve())


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _cpu_of(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- viewers ------------------------------------------------------------------------------------------


def viewers(pipe: Connection, kind: str, number: int, seconds: float) -> None:
    from aioice.ice import StunProtocol
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

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
        everybody = [Viewer() for _ in range(number)]
        if kind == "janus":  # it makes the offer: connections begin empty
            for viewer in everybody:
                await viewer.connection.close()
                viewer.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
                viewer.connection.on("track", viewer._on_track)
        for viewer in everybody:
            pipe.send("" if kind == "janus" else await viewer.offer())
            sdp = await loop.run_in_executor(None, pipe.recv)
            if kind == "janus":
                connection = viewer.connection
                await connection.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
                await connection.setLocalDescription(await connection.createAnswer())
                pipe.send(connection.localDescription.sdp)
                await loop.run_in_executor(None, pipe.recv)
            else:
                await viewer.accept(sdp)
            if not decoding:
                ice = viewer.connection.getTransceivers()[0].receiver.transport.transport._connection
                decoding.add(id(ice))
        async with asyncio.timeout(60):
            while len(received) < number:
                await asyncio.sleep(0.1)
        await everybody[0].see(10, within_s=30)
        await asyncio.sleep(2)
        for numbers in received.values():
            numbers.clear()
        frames = everybody[0].frames
        pipe.send(None)
        await asyncio.sleep(seconds)
        packets = sum(map(len, received.values()))
        gaps = sum(sum((b - a) & 0xFFFF != 1 for a, b in pairwise(numbers)) for numbers in received.values())
        pipe.send({"packets": packets, "gaps": gaps, "decoded": everybody[0].frames - frames})
        os._exit(0)

    uvloop.run(watch())


# --- the end of a right -------------------------------------------------------------------------------


async def endings(url: str, rounds: int, how: str) -> dict[str, float]:
    """Milliseconds from the end of a grant (the call that revokes it, or the instant at which it expires) to
    the last packet that its viewer got, and from the offer to the first packet of a camera that is pulled
    already."""
    from aioice.ice import StunProtocol

    from gateway_town import HOME, LOOPBACK, Viewer, gateway, town

    last: dict[int, float] = {}
    first: dict[int, float] = {}
    take = StunProtocol.datagram_received

    def noted(self: Any, data: bytes, address: Any) -> None:
        if 127 < data[0] < 192 and not 191 < data[1] < 209:
            last[id(self.receiver)] = time.time()
            first.setdefault(id(self.receiver), time.time())
        take(self, data, address)

    StunProtocol.datagram_received = noted
    to_last, to_first = [], []
    with tempfile.TemporaryDirectory() as folder:
        async with town(Path(folder), {"park": url}) as city, gateway(city, LOOPBACK) as running:
            kept = await running.feed("park", city.ticket("park", (await city.grant("park")).id), client=HOME)
            for _ in range(rounds):
                grant = await city.grant("park", life_ms=None if how == "revoked" else 3000)
                viewer = Viewer()
                me = id(viewer.connection.getTransceivers()[0].sender.transport.transport._connection)
                offer = await viewer.offer()
                first.pop(me, None)
                began = time.time()
                opened = await running.whep("park", city.ticket("park", grant.id), offer, client=HOME)
                await viewer.accept(opened.answer)
                while me not in first:
                    await asyncio.sleep(0.002)
                to_first.append(1000 * (first[me] - began))
                if how == "revoked":
                    await asyncio.sleep(0.3)
                    over = time.time()
                    await city.desk.revoke(city.id("zhao"), grant.id, "bench")
                else:
                    over = grant.terms.period.end / 1000
                    await asyncio.sleep(over - time.time())
                await asyncio.sleep(0.3)
                to_last.append(1000 * max(0.0, last[me] - over))
                await viewer.close()
            kept.close()
            ended = [entry.details["why"] for entry in city.entries("view_ended")]
            assert ended.count(how) == rounds, f"not all views ended as they should: {ended}"
    to_last.sort()
    to_first.sort()
    return {
        "rounds": rounds,
        "last_packet_ms_p50": to_last[rounds // 2],
        "last_packet_ms_p99": to_last[-(-rounds * 99 // 100) - 1],
        "last_packet_ms_max": to_last[-1],
        "first_packet_ms_p50": to_first[rounds // 2],
        "first_packet_ms_p99": to_first[-(-rounds * 99 // 100) - 1],
    }


# --- the first picture --------------------------------------------------------------------------------

FIRST = """async (ticket) => {
  const began = performance.now();
  const pc = new RTCPeerConnection();
  const video = Object.assign(document.createElement('video'), {muted: true, autoplay: true});
  document.body.append(video);
  pc.ontrack = event => {
    event.receiver.jitterBufferTarget = 0;
    video.srcObject = new MediaStream([event.track]);
  };
  pc.addTransceiver('video', {direction: 'recvonly'});
  await pc.setLocalDescription(await pc.createOffer());
  const answer = await fetch('/api/v1/views/park/whep', {
    method: 'POST', body: pc.localDescription.sdp,
    headers: {'Content-Type': 'application/sdp', Authorization: 'Bearer ' + ticket},
  });
  const where = answer.headers.get('Location');
  const seen = new Promise(done => video.requestVideoFrameCallback(done));
  await pc.setRemoteDescription({type: 'answer', sdp: await answer.text()});
  pc.onicecandidate = event => event.candidate && fetch(where, {
    method: 'PATCH', headers: {'Content-Type': 'application/trickle-ice-sdpfrag'},
    body: `a=mid:${event.candidate.sdpMid}\\r\\na=${event.candidate.candidate}\\r\\n`,
  });
  await seen;
  const took = performance.now() - began;
  await fetch(where, {method: 'DELETE'});
  pc.close();
  video.remove();
  return took;
}"""


async def first_pictures(url: str, rounds: int) -> dict[str, float]:
    """Milliseconds in Chromium from the click to the first picture shown: of a camera that is pulled already
    (in the middle of its group of pictures), of one that is not (it begins with a key picture), and of one
    with a mask, which a process codes anew, running already and not."""
    from console_browser import browser
    from gateway_town import LOOPBACK, gateway, served, town
    from sharpeyes.domain.masks import Mask

    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with (
            town(Path(folder), {"park": url}) as city,
            gateway(city, replace(LOOPBACK, grace_s=0.2)) as running,
            served(running) as site,
            browser() as tab,
        ):
            await tab.page.goto(site)
            grant = await city.grant("park")

            def ticket() -> str:
                return city.ticket("park", grant.id, client="127.0.0.1")

            await tab.call(FIRST, ticket())  # the browser's own first time
            for masked in (False, True):
                if masked:
                    mask = Mask(points=((0, 0), (3000, 0), (0, 3000)))
                    await city.desk.set_masks(city.id("feng"), "park", [mask])
                for warm in (True, False):
                    kept = await running.feed("park", ticket(), client="127.0.0.1") if warm else None
                    took = []
                    for turn in range(rounds):
                        while not warm and (running.pulls or (masked and not running._places.spare)):
                            await asyncio.sleep(0.05)
                        await asyncio.sleep(0.3 + 0.13 * (turn % 10))
                        took.append(await tab.call(FIRST, ticket()))
                    if kept is not None:
                        kept.close()
                    took.sort()
                    label = f"{'warm' if warm else 'cold'}{'_coded_anew' if masked else ''}"
                    figures |= {f"{label}_ms_p50": took[rounds // 2], f"{label}_ms_max": took[-1]}
    return figures


# --- a crowd that leaves ------------------------------------------------------------------------------


def crowd_server(pipe: Connection, url: str) -> None:
    """Serves a crowd; says what it holds: descriptors of sockets, tasks, resident memory."""
    import gc

    from gateway_town import HOME, LOOPBACK, gateway, town
    from sharpeyes.gateway.settings import Limits

    def held() -> dict[str, float]:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what the allocator keeps for later is not held by anybody
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return {
            "descriptors": len(list(Path("/proc/self/fd").iterdir())),
            "tasks": len(asyncio.all_tasks()),
            "objects": len(gc.get_objects()),
            "memory_mb": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        }

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        most = Limits(user=5000, department=5000, camera=5000, gateway=5000)
        with tempfile.TemporaryDirectory() as folder:
            async with (
                town(Path(folder), {"park": url}) as city,
                gateway(city, replace(LOOPBACK, limits=most)) as running,
            ):
                grant = await city.grant("park")
                sessions: list[str] = []
                pipe.send("ready")
                while (word := await loop.run_in_executor(None, pipe.recv)) is not None:
                    if word == "held":
                        pipe.send(held() | {"views": running.views, "pulls": running.pulls})
                    elif word == "leave":
                        for session in sessions:
                            running.leave(session, client=HOME)
                        sessions.clear()
                        pipe.send("left")
                    else:
                        ticket = city.ticket("park", grant.id)
                        opened = await running.whep("park", ticket, word, client=HOME)
                        sessions.append(opened.session)
                        pipe.send(opened.answer)
        os._exit(0)

    uvloop.run(serve())


def crowd_viewers(pipe: Connection, number: int) -> None:
    """Connect, all at a time, until each has got a packet; then stay until told to go."""
    from aioice.ice import StunProtocol

    from gateway_town import Viewer

    received: set[int] = set()
    take = StunProtocol.datagram_received

    def cheap(self: Any, data: bytes, address: Any) -> None:
        if 127 < data[0] < 192 and not 191 < data[1] < 209:
            received.add(id(self))
            return
        take(self, data, address)

    StunProtocol.datagram_received = cheap

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        everybody = []
        for _ in range(number):
            viewer = Viewer()
            everybody.append(viewer)
            pipe.send(await viewer.offer())
            await viewer.accept(await loop.run_in_executor(None, pipe.recv))
        async with asyncio.timeout(120):
            while len(received) < number:
                await asyncio.sleep(0.1)
        pipe.send(None)
        await loop.run_in_executor(None, pipe.recv)
        os._exit(0)

    uvloop.run(watch())


def crowd(url: str, number: int, rounds: int) -> list[dict[str, Any]]:
    """What the gateway holds before a crowd, with it, and after it has left, all at once. The base to come
    back to is that after the first crowd: code and pools that are made once are made then."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    context = multiprocessing.get_context("spawn")
    to_server, at_server = context.Pipe()
    serving = context.Process(target=crowd_server, args=(at_server, url), daemon=True)
    serving.start()
    to_server.recv()
    rows = []

    def ask(word: str) -> Any:
        to_server.send(word)
        return to_server.recv()

    def note(when: str) -> None:
        rows.append({"when": when, **ask("held")})

    note("before")
    for turn in range(1, rounds + 1):
        to_viewers, at_viewers = context.Pipe()
        watching = context.Process(target=crowd_viewers, args=(at_viewers, number), daemon=True)
        watching.start()
        while (offer := to_viewers.recv()) is not None:
            to_viewers.send(ask(offer))
        note(f"crowd {turn} watches")
        ask("leave")
        time.sleep(3)
        note(f"crowd {turn} has left")
        to_viewers.send("go")
        watching.join(5)
        watching.kill()
    serving.kill()
    return rows


# --- the run ------------------------------------------------------------------------------------------


def measure(kind: str, number: int, url: str, seconds: float, cameras: int = 1) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    (to_server, at_server), (to_viewers, at_viewers) = context.Pipe(), context.Pipe()
    serving = context.Process(target=server, args=(at_server, kind, url, cameras), daemon=kind != "janus")
    watching = context.Process(target=viewers, args=(at_viewers, kind, number, seconds), daemon=True)
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
        "viewers": number,
        "cpu_percent": 100 * cpu_s / elapsed_s,
        "percent_a_viewer": 100 * cpu_s / elapsed_s / number,
        "packets_a_viewer_s": figures["packets"] / number / seconds,
        "gaps": figures["gaps"],
        "decoded_fps": figures["decoded"] / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--viewers", type=int, nargs="+", default=[40, 100])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS[:3]))
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--cameras", type=int, default=1, help="Viewers are spread over so many cameras.")
    parser.add_argument("--revocations", type=int, default=0, help="Rounds; measures nothing else.")
    parser.add_argument("--expiries", type=int, default=0, help="Rounds; measures nothing else.")
    parser.add_argument("--first-pictures", type=int, default=0, help="Rounds in Chromium; nothing else.")
    parser.add_argument("--crowd", type=int, default=0, help="Viewers who leave at once; nothing else.")
    parser.add_argument("--rounds", type=int, default=2, help="Crowds, one after the other.")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    filming = context.Process(target=camera, args=(there, bool(arguments.crowd)), daemon=True)
    filming.start()
    url, bits = here.recv()
    if arguments.crowd:
        for row in crowd(url, arguments.crowd, arguments.rounds):
            print(json.dumps(row), flush=True)
        filming.kill()
        return
    if arguments.first_pictures:
        print(json.dumps(uvloop.run(first_pictures(url, arguments.first_pictures)), indent=2))
        filming.kill()
        return
    if rounds := arguments.revocations or arguments.expiries:
        figures = uvloop.run(endings(url, rounds, "revoked" if arguments.revocations else "expired"))
        print(json.dumps(figures, indent=2) if arguments.json else figures)
        filming.kill()
        return
    rows = []
    if not arguments.json:
        print(f"camera: {bits / 1e6:.2f} Mbit/s")
        print(
            f"{'server':8}{'viewers':>8}{'% core':>9}{'% a viewer':>12}{'packets/s':>11}{'gaps':>6}{'fps':>6}"
        )
    for number in arguments.viewers:
        for kind in arguments.kinds:
            row = measure(kind, number, url, arguments.seconds, arguments.cameras)
            rows.append(row)
            if not arguments.json:
                print(
                    f"{kind:8}{number:8}{row['cpu_percent']:9.2f}{row['percent_a_viewer']:12.3f}"
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
