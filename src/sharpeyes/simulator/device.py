"""One running virtual device: its listeners, its channels, and what is wrong with them at present."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import socket
import time
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial

from sharpeyes.domain.camera import StreamRole
from sharpeyes.domain.errors import UnavailableError
from sharpeyes.simulator.clip import Clip, ClipLibrary, ClipSpec
from sharpeyes.simulator.events_service import PullPoints
from sharpeyes.simulator.fault import Fault, FaultKind, FaultPhase, Picture
from sharpeyes.simulator.fleet import ChannelPlan, DevicePlan, Endpoint
from sharpeyes.simulator.http_server import HttpConnection
from sharpeyes.simulator.login import Guard
from sharpeyes.simulator.media import Pacer
from sharpeyes.simulator.onvif_service import DEVICE_PATH, OnvifService, source_token
from sharpeyes.simulator.rtsp_server import RtspConnection, UdpPair

MAX_CONNECTIONS = 64
"""To one device, RTSP and HTTP together; one more is closed at once."""
_BACKLOG = 128


@dataclass(slots=True)
class Stage:
    """What all devices of a simulator share."""

    loop: asyncio.AbstractEventLoop
    library: ClipLibrary
    pacer: Pacer
    live_start: bool = False
    connections: set[RtspConnection | HttpConnection] = field(default_factory=set)
    sessions: int = 0
    """RTSP sessions open now."""


class Channel:
    """A camera while it runs."""

    __slots__ = ("_device", "_phase", "fault", "plan")

    def __init__(self, plan: ChannelPlan, device: Device) -> None:
        self.plan, self._device = plan, device
        self.fault = plan.fault
        self._phase = zlib.crc32(plan.id.encode())

    @property
    def id(self) -> str:
        return self.plan.id

    @property
    def current_fault(self) -> Fault | None:
        return self.fault or self._device.fault

    @property
    def clock_offset_s(self) -> float:
        return self._device.clock_offset_s

    def clip(self, role: StreamRole) -> Clip:
        return self._device.stage.library[shown(self.plan, role, self.current_fault)]

    def position(self, clip: Clip, now: float) -> int:
        """Cameras that share a clip show other moments of it, and their keyframes do not come together."""
        spec = clip.spec
        return int(now * spec.fps) + self._phase % (spec.gops * spec.gop)


def shown(plan: ChannelPlan, role: StreamRole, fault: Fault | None) -> ClipSpec:
    """The clip that a stream shows under a fault."""
    spec = next((spec for each, spec in plan.streams if each is role), plan.streams[0][1])
    picture = fault.picture if fault is not None else Picture.NORMAL
    return spec if picture in (Picture.NORMAL, spec.picture) else _spoiled(spec, picture)


@cache
def _spoiled(spec: ClipSpec, picture: Picture) -> ClipSpec:
    """The same stream with a fault in it."""
    return replace(spec, picture=picture, gops=1 if picture is Picture.FREEZE else spec.gops)


class Device:
    """A camera or a recorder while it runs. ``start`` opens its ports, ``stop`` closes everything."""

    __slots__ = (
        "_blocked",
        "_connections",
        "_onvif",
        "_onvif_server",
        "_paths",
        "_rtsp_server",
        "_sessions",
        "_udp",
        "address",
        "channels",
        "endpoints",
        "fault",
        "guard",
        "onvif_port",
        "plan",
        "rtsp_port",
        "stage",
    )

    def __init__(self, plan: DevicePlan, stage: Stage, address: str, rtsp_port: int, onvif_port: int) -> None:
        self.plan, self.stage, self.address = plan, stage, address
        self.rtsp_port, self.onvif_port = rtsp_port, onvif_port
        self.fault = plan.fault
        self.guard = Guard(
            plan.credentials, plan.scheme, qop=plan.qop, realm=f"{plan.manufacturer} {plan.id}"
        )
        self.channels = {channel.id: Channel(channel, self) for channel in plan.channels}
        self.endpoints: dict[str, Endpoint] = {}
        self._paths = {
            f"/ch{number}/{role}": (channel, role)
            for number, channel in enumerate(self.channels.values(), 1)
            for role, _ in channel.plan.streams
        }
        self._onvif = OnvifService(self)
        self._rtsp_server: asyncio.Server | None = None
        self._onvif_server: asyncio.Server | None = None
        self._blocked: list[socket.socket] = []
        self._connections: set[RtspConnection | HttpConnection] = set()
        self._sessions = 0
        self._udp: UdpPair | None = None

    # --- life ---

    async def start(self) -> None:
        """Open the ports as the fault allows. UnavailableError if one is taken or the address is not ours."""
        free = _free_ports(self.address)
        self.rtsp_port = self.rtsp_port or next(free)
        self.onvif_port = self.onvif_port or next(free)
        free.close()
        self.endpoints = {endpoint.camera: endpoint for endpoint in self._endpoints()}
        await self.apply()

    async def stop(self) -> None:
        self._close_rtsp()
        self._close_onvif()
        for connection in tuple(self._connections):
            connection.abort()
        if self._udp is not None:
            self._udp.close()
            self._udp = None

    async def apply(self) -> None:
        """Open and close ports, drop connections, as the device's fault wants."""
        kind = self.fault.kind if self.fault is not None else None
        full = kind is FaultKind.HANG and self.fault is not None and self.fault.phase is FaultPhase.CONNECT
        closed = kind in (FaultKind.OFF, FaultKind.REFUSE)
        if closed or full or self._blocked:
            self._close_rtsp()
        if kind is FaultKind.OFF:
            self._close_onvif()
        if closed:
            for connection in tuple(self._connections):
                if kind is FaultKind.OFF or isinstance(connection, RtspConnection):
                    connection.abort()
        await asyncio.sleep(0)  # closing ends in the loop's next turn; a port must be free before it is taken
        if full:
            self._blocked = _full_listener(self.address, self.rtsp_port)
        elif not closed and self._rtsp_server is None:
            self._rtsp_server = await self._listen(
                self.rtsp_port, partial(RtspConnection, self, self.stage.loop)
            )
        if kind is not FaultKind.OFF and self._onvif_server is None:
            accept = partial(HttpConnection, self._onvif, self.stage.loop, self.admit, self.dismiss)
            self._onvif_server = await self._listen(self.onvif_port, accept)

    async def _listen(
        self, port: int, accept: partial[RtspConnection] | partial[HttpConnection]
    ) -> asyncio.Server:
        opened = listener(self.address, port, _BACKLOG)
        try:
            return await self.stage.loop.create_server(accept, sock=opened)
        except BaseException:
            opened.close()
            raise

    def _close_rtsp(self) -> None:
        if self._rtsp_server is not None:
            self._rtsp_server.close()
            self._rtsp_server = None
        for each in self._blocked:
            each.close()
        self._blocked = []

    def _close_onvif(self) -> None:
        if self._onvif_server is not None:
            self._onvif_server.close()
            self._onvif_server = None

    def _endpoints(self) -> Iterator[Endpoint]:
        for number, channel in enumerate(self.plan.channels, 1):
            yield Endpoint(
                camera=channel.id,
                device=self.plan.id,
                name=channel.name,
                tier=self.plan.tier,
                address=self.address,
                token=source_token(self.plan, channel),
                xaddr=self.xaddr,
                streams={
                    role: f"rtsp://{self.address}:{self.rtsp_port}/ch{number}/{role}"
                    for role, _ in channel.streams
                },
                snapshot_url=f"http://{self.address}:{self.onvif_port}/snapshot/{number}.jpg",
            )

    # --- what its services ask ---

    @property
    def xaddr(self) -> str:
        return f"http://{self.address}:{self.onvif_port}{DEVICE_PATH}"

    @property
    def pacer(self) -> Pacer:
        return self.stage.pacer

    @property
    def live_start(self) -> bool:
        return self.stage.live_start

    @property
    def device_fault(self) -> Fault | None:
        return self.fault

    @property
    def discoverable(self) -> bool:
        return self.plan.discoverable and (self.fault is None or self.fault.kind is not FaultKind.OFF)

    @property
    def clock_offset_s(self) -> float:
        off = self.fault.seconds if self.fault is not None and self.fault.kind is FaultKind.CLOCK else None
        return self.plan.clock_offset_s if off is None else off

    @property
    def scenes(self) -> dict[str, Channel]:
        """Channels by their video source token."""
        return {source_token(self.plan, each.plan): each for each in self.channels.values()}

    @property
    def pull_points(self) -> PullPoints:
        """Its event subscriptions."""
        return self._onvif.pull_points

    def clock(self) -> float:
        return time.time() + self.clock_offset_s

    def still(self, camera: str) -> bytes:
        channel = self.channels[camera]
        clip = channel.clip(channel.plan.streams[0][0])
        return clip.still(channel.position(clip, self.stage.loop.time()))

    def find(self, path: str) -> tuple[Channel, StreamRole] | None:
        return self._paths.get(path)

    def admit(self, connection: RtspConnection | HttpConnection) -> bool:
        self._connections.add(connection)
        self.stage.connections.add(connection)
        return len(self._connections) <= MAX_CONNECTIONS

    def dismiss(self, connection: RtspConnection | HttpConnection) -> None:
        self._connections.discard(connection)
        self.stage.connections.discard(connection)

    def open_session(self) -> bool:
        if self._sessions >= self.plan.session_limit:
            return False
        self._sessions += 1
        self.stage.sessions += 1
        return True

    def close_session(self) -> None:
        self._sessions -= 1
        self.stage.sessions -= 1

    def udp(self) -> UdpPair:
        if self._udp is None:
            self._udp = UdpPair(self.address, self.stage.loop)
        return self._udp


def listener(address: str, port: int, backlog: int) -> socket.socket:
    """A listening TCP socket. UnavailableError that names address and port, and what to do."""
    # With the protocol named, asyncio knows it for TCP and turns Nagle's delay off on what it accepts.
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address, port))
        opened.listen(backlog)
    except OSError as error:
        opened.close()
        mends = {
            errno.EADDRINUSE: "Choose another port",
            errno.EADDRNOTAVAIL: "Choose an address of this machine, for example in 127.0.0.0/8",
            errno.EMFILE: "Raise the limit of open files (ulimit -n), or play fewer cameras",
            errno.EACCES: "Choose a port above 1023",
        }
        raise UnavailableError(
            f"cannot listen on {address}:{port}: {error.strerror}", mend=mends.get(error.errno or 0, "")
        ) from error
    return opened


def _free_ports(address: str) -> Generator[int]:
    """Ports that nobody listens on, none of them twice.

    A device that was off comes back to its port: so none of those that the system hands to outgoing
    connections (from 32,768 on Linux), one of which may have it by then.
    """
    refusal = UnavailableError(f"no free port on {address}", mend="Stop what listens there")
    for port in random.sample(range(10_000, 32_000), 20):
        try:
            opened = listener(address, port, 1)
        except UnavailableError as error:  # such as that the address is not this machine's
            refusal = error
        else:
            with contextlib.closing(opened):
                yield port
    raise refusal


def _full_listener(address: str, port: int) -> list[socket.socket]:
    """A listener whose queue is full, with what fills it: who connects hears nothing."""
    sockets = [listener(address, port, 0)]
    for _ in range(4):
        filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        filler.setblocking(False)
        filler.connect_ex((address, port))
        sockets.append(filler)
    return sockets
