"""What the tests of the gateway share: a camera that streams for ever, a town with rights, a viewer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import uvicorn
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from fastapi import FastAPI, Response
from sqlalchemy import Connection

from rtp_media import Clip, fragment, interleave, rtp
from sharpeyes.access.changes import Changes
from sharpeyes.access.desk import Desk, Form
from sharpeyes.access.people import People
from sharpeyes.access.register.entry import Entry, decode
from sharpeyes.access.register.note import Signer
from sharpeyes.access.register.writer import Register
from sharpeyes.access.sessions import SessionPolicy
from sharpeyes.access.tickets import TicketGate, TicketOffice
from sharpeyes.api import problems
from sharpeyes.api.routes import views
from sharpeyes.domain.access import Action, Grant, Purpose, Role, Selection, Subject
from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.organisation import Area, Department, Tier, Zone
from sharpeyes.domain.time import Ms
from sharpeyes.gateway.doors import ViewDoors
from sharpeyes.gateway.gateway import Gateway
from sharpeyes.gateway.leases import Access
from sharpeyes.gateway.settings import GatewaySettings, IceSettings
from sharpeyes.gateway.source import registered
from sharpeyes.registry.trust import Trust
from sharpeyes.store.cameras import put_cameras
from sharpeyes.store.credentials import put_credential
from sharpeyes.store.database import Database
from sharpeyes.store.organisation import put_areas, put_departments, put_zones
from sharpeyes.store.register import read_entries
from sharpeyes.store.vault import Vault
from sharpeyes.wire.rtsp.message import Headers, MessageReader, Request
from sharpeyes.wire.rtsp.message import Response as RtspResponse

HOME = "192.0.2.1"
PASSWORD = "hunter2-of-the-camera"
SEED = bytes(range(32))
LOOPBACK = GatewaySettings(ice=IceSettings(addresses=("127.0.0.1",)), grace_s=0.2)


class LiveCamera:
    """An RTSP camera that plays a clip in a loop, in real time, from a keyframe on, to each who asks."""

    def __init__(self, clip: Clip, *, packet: int = 1400, sprop: bool = True, refuses: bool = False) -> None:
        """``refuses``: no account is good enough."""
        self.refuses = refuses
        self.clip = clip
        self.packet = packet
        self.sprop = sprop
        self.port = 0
        self.plays = 0
        self.playing = 0
        self.requests: list[Request] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/secret-path/main"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """Power cut: connections end, the port is closed. :meth:`start` brings it back."""
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        player: asyncio.Task[None] | None = None
        messages = MessageReader()
        try:
            while data := await reader.read(65536):
                for message in messages.feed(data):
                    if not isinstance(message, Request):
                        continue
                    self.requests.append(message)
                    writer.write(self._answer(message).encode())
                    if message.method == "PLAY":
                        player = asyncio.create_task(self._play(writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            if player is not None:
                player.cancel()
                await asyncio.gather(player, return_exceptions=True)
            self._tasks.discard(task)
            writer.transport.abort()

    def _answer(self, request: Request) -> RtspResponse:
        items = [("CSeq", request.headers.get("cseq") or "0")]
        body = b""
        if self.refuses:
            items.append(("WWW-Authenticate", 'Digest realm="camera", nonce="1"'))
            return RtspResponse(401, "Unauthorized", Headers(items))
        if request.method == "DESCRIBE":
            items.append(("Content-Type", "application/sdp"))
            body = self.clip.sdp(sprop=self.sprop)
        elif request.method == "SETUP":
            items += [("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1"), ("Session", "1234;timeout=60")]
        return RtspResponse(200, "OK", Headers(items), body)

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        self.plays += 1
        self.playing += 1
        number, base = 1000 * self.plays, 77_000_000 * self.plays
        step = round(90_000 / self.clip.fps)
        began, picture = time.monotonic(), 0
        try:
            while True:
                loop, place = divmod(picture, len(self.clip.pictures))
                units = self.clip.pictures[place]
                at = base + loop * len(self.clip.pictures) * step + self.clip.times[place]
                payloads = [part for unit in units for part in fragment(self.clip.codec, unit, self.packet)]
                packets = [
                    rtp(payload, number + n, at, marker=n == len(payloads) - 1)
                    for n, payload in enumerate(payloads)
                ]
                writer.write(interleave(packets))
                await writer.drain()
                number += len(packets)
                picture += 1
                await asyncio.sleep(max(0.0, began + picture / self.clip.fps - time.monotonic()))
        except OSError:
            pass
        finally:
            self.playing -= 1


class Town:
    """Police own two cameras; Wang of the traffic department asks, Zhao of the police approves."""

    def __init__(self, database: Database, register: Register, vault: Vault) -> None:
        self.database = database
        self.register = register
        self.vault = vault
        self.shift = 0
        self.changes = Changes()
        self.desk = Desk(database, register, self.changes, self.clock, ZoneInfo("Asia/Shanghai"))
        self.people = People(database, register, vault, self.changes, self.clock, SessionPolicy())
        self.office = TicketOffice(SEED)
        self.access = Access(
            database=database,
            desk=self.desk,
            gate=TicketGate(self.office.public, self.clock()),
            register=register,
            changes=self.changes,
        )
        self.who: dict[str, Subject] = {}

    def clock(self) -> Ms:
        return Ms(time.time_ns() // 1_000_000 + self.shift)

    def id(self, name: str) -> str:
        return self.who[name].id

    async def settle(self, urls: dict[str, str]) -> None:
        self.database.write(lambda connection: self._fill(connection, urls))
        for name, department, role in (
            ("wang", "traffic", Role.REQUESTER),
            ("li", "traffic", Role.REQUESTER),
            ("zhao", "police", Role.APPROVER),
            ("zhou", "police", Role.OPERATOR),
            ("feng", "it", Role.ADMIN),
        ):
            self.who[name] = await self.people.add(
                None, username=name, name=name.title(), department=department, roles={role}, password=None
            )

    def _fill(self, connection: Connection, urls: dict[str, str]) -> None:
        now = self.clock()
        put_departments(connection, [Department(id=d, name=d) for d in ("traffic", "police", "it")])
        put_areas(connection, [Area(id="city", name="City")])
        put_zones(connection, [Zone(id="z", name="Z")])
        put_credential(connection, self.vault, "cams", "admin", Secret(PASSWORD), now=now)
        cameras = [
            Camera(
                id=name,
                name=name,
                tier=Tier.COMMUNITY,
                department="police",
                area="city",
                zone="z",
                streams=(Stream(role=StreamRole.MAIN, url=url),),
                credential="cams",
            )
            for name, url in urls.items()
        ]
        put_cameras(connection, cameras, now=now)

    async def grant(
        self, *cameras: str, life_ms: int | None = None, actions: frozenset[Action] = frozenset(Action)
    ) -> Grant:
        form = Form(
            selection=Selection(cameras=frozenset(cameras)),
            users=frozenset({self.id("wang")}),
            actions=actions,
            purpose=Purpose.TRAFFIC,
            purpose_text="Jam at the crossing",
            end=None if life_ms is None else Ms(self.clock() + life_ms),
        )
        request = await self.desk.submit(self.id("wang"), form)
        _, grant = await self.desk.approve(self.id("zhao"), request.id, "police")
        assert grant is not None
        return grant

    def ticket(
        self,
        camera: str,
        grant: str | None,
        *,
        user: str = "wang",
        action: Action = Action.LIVE,
        client: str = HOME,
    ) -> str:
        who = self.who[user]
        _, text = self.office.issue(
            user=who.id,
            department=who.department,
            camera=camera,
            action=action,
            grant=grant,
            client=client,
            now=self.clock(),
        )
        return text.reveal()

    def entries(self, *kinds: str) -> list[Entry]:
        rows = self.database.read(lambda c: [row for batch in read_entries(c) for row in batch])
        found = [decode(row.body) for row in rows]
        return [entry for entry in found if not kinds or entry.kind in kinds]


@contextlib.asynccontextmanager
async def town(folder: Path, urls: dict[str, str]) -> AsyncIterator[Town]:
    database = Database(f"sqlite:///{folder / 'town.db'}")
    database.upgrade()
    try:
        async with Register(database, Signer("town.example/register", SEED), lambda: Ms(0)) as register:
            made = Town(database, register, Vault([bytes(32)]))
            await made.settle(urls)
            yield made
    finally:
        database.close()


def gateway(city: Town, settings: GatewaySettings = LOOPBACK) -> Gateway:
    return Gateway(city.access, registered(city.database, city.vault, Trust()), settings, city.clock)


@contextlib.asynccontextmanager
async def served(running: Gateway, origins: tuple[str, ...] = ()) -> AsyncIterator[str]:
    """The routes of views on a real server; gives its URL."""
    api = FastAPI()
    api.state.views = ViewDoors(gateway=running, origins=origins)
    problems.install(api)
    api.include_router(views.router)

    @api.get("/")
    async def page() -> Response:
        return Response("<!doctype html><title>viewer</title><body></body>", media_type="text/html")

    async with listening(api) as url:
        yield url


@contextlib.asynccontextmanager
async def listening(api: FastAPI) -> AsyncIterator[str]:
    """An application on a real server; gives its URL."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(api, lifespan="off", log_config=None, access_log=False, ws="websockets-sansio")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await serving


def luma(frame: object) -> np.ndarray:
    """Rows and columns of a decoded picture's brightness."""
    return frame.to_ndarray(format="gray")  # type: ignore[attr-defined,no-any-return]


class Viewer:
    """A WebRTC viewer in this process that decodes what it gets."""

    def __init__(self, *, sound: bool = False) -> None:
        self.connection = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        if sound:
            self.connection.addTransceiver("audio", direction="recvonly")
        self.connection.addTransceiver("video", direction="recvonly")
        self.arrived: Counter[tuple[str, int]] = Counter()
        self.frames = 0
        self.sizes: set[tuple[int, int]] = set()
        self.picture: np.ndarray | None = None
        """Luma of the last picture."""
        self.grown = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.connection.on("track", self._on_track)

    async def offer(self) -> str:
        ice = self.connection.getTransceivers()[0].sender.transport.transport._connection
        gather = ice.get_component_candidates

        async def on_loopback(component: int, addresses: list[str]) -> list[object]:
            return await gather(component=component, addresses=["127.0.0.1"])

        ice.get_component_candidates = on_loopback
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    def firewall(self, lets_in: Callable[[tuple[str, int]], bool]) -> None:
        """After :meth:`offer`: what comes from elsewhere is lost. Counts what comes in in ``arrived``."""
        ice = self.connection.getTransceivers()[0].sender.transport.transport._connection
        for protocol in ice._protocols:

            def filtered(
                data: bytes, address: tuple[str, int], take: Any = protocol.datagram_received
            ) -> None:
                if lets_in(address[:2]):
                    self.arrived[address[:2]] += 1
                    take(data, address)

            protocol.datagram_received = filtered

    async def accept(self, answer: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))

    async def see(self, count: int, within_s: float = 60) -> None:
        """Wait until ``count`` more pictures were decoded."""
        wanted = self.frames + count
        async with asyncio.timeout(within_s):
            while self.frames < wanted:
                self.grown.clear()
                await self.grown.wait()

    def received(self) -> int:
        """RTP and RTCP packets that came so far."""
        transport = self.connection.getTransceivers()[0].receiver.transport
        return int(transport._RTCDtlsTransport__rx_packets)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.connection.close()

    def _on_track(self, track: object) -> None:
        if track.kind == "video":  # type: ignore[attr-defined]
            self._task = asyncio.create_task(self._watch(track))

    async def _watch(self, track: object) -> None:
        while True:
            frame = await track.recv()  # type: ignore[attr-defined]
            self.frames += 1
            self.sizes.add((frame.width, frame.height))
            self.picture = luma(frame)
            self.grown.set()
