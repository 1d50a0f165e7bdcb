"""The RTSP side of a virtual camera (RFC 2326): one connection, at most one session, TCP or UDP.

Bounded towards any client: message sizes by the reader's limits, replies and media by the write buffer,
connections a device and silence by the owner.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import secrets
import socket
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

from sharpeyes.domain.camera import StreamRole
from sharpeyes.simulator.fault import Fault, FaultKind, FaultPhase
from sharpeyes.simulator.login import Guard
from sharpeyes.simulator.media import Pacer, Playback, Source
from sharpeyes.wire.rtsp.message import Headers, Limits, MessageReader, Request, Response, RtspSyntaxError

SESSION_TIMEOUT_S = 60
_LIMITS = Limits(head_bytes=8192, body_bytes=8192, junk_bytes=4096)
_CONGESTED = 512 * 1024
"""Unsent bytes at which media waits for the reader: a few main-stream keyframes."""
_FLOODED = 2 * 1024 * 1024
"""Unsent bytes at which a client that asks and does not read is dropped."""
_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
_KNOWN = frozenset(_METHODS.split(", "))
_TRACK = "/trackID=0"
_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    461: "Unsupported Transport",
    501: "Not Implemented",
    551: "Option Not Supported",
}
_PHASES = {
    "OPTIONS": FaultPhase.DESCRIBE,
    "DESCRIBE": FaultPhase.DESCRIBE,
    "SETUP": FaultPhase.SETUP,
    "PLAY": FaultPhase.PLAY,
}


class Channel(Source, Protocol):
    """A camera as its RTSP server knows it."""

    @property
    def id(self) -> str: ...


class Host(Protocol):
    """The device that a connection reached."""

    guard: Guard
    address: str

    @property
    def pacer(self) -> Pacer: ...

    @property
    def live_start(self) -> bool:
        """Whether sessions start between keyframes."""

    def find(self, path: str) -> tuple[Channel, StreamRole] | None:
        """The stream of an RTSP path."""

    @property
    def device_fault(self) -> Fault | None: ...

    def admit(self, connection: RtspConnection) -> bool:
        """A connection came; False: one too many."""

    def dismiss(self, connection: RtspConnection) -> None: ...

    def open_session(self) -> bool:
        """One session more; False at the limit."""

    def close_session(self) -> None: ...

    def udp(self) -> UdpPair:
        """The sockets that RTP and RTCP leave from."""


class UdpPair:
    """An even port and the next (RFC 3550 section 11), shared by the sessions of a device."""

    def __init__(self, address: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.heard: dict[tuple[str, int], Callable[[], None]] = {}
        """Who is to be told of receiver reports, by the client's address and RTCP port."""
        for _ in range(64):
            rtp = _datagram_socket(address, 0)
            port: int = rtp.getsockname()[1]
            try:
                if port % 2 == 0:
                    rtcp = _datagram_socket(address, port + 1)
                    break
            except OSError:
                pass
            rtp.close()
        else:
            raise OSError(f"no pair of free UDP ports on {address}")
        self.rtp, self.rtcp, self.port = rtp, rtcp, port
        loop.add_reader(rtcp.fileno(), self._readable)

    def _readable(self) -> None:
        for _ in range(64):
            try:
                _, sender = self.rtcp.recvfrom(2048)
            except OSError:
                return
            told = self.heard.get(sender)
            if told is not None:
                told()

    def close(self) -> None:
        self._loop.remove_reader(self.rtcp.fileno())
        self.rtp.close()
        self.rtcp.close()


def _datagram_socket(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)
        made.bind((address, port))
    except OSError:
        made.close()
        raise
    return made


class TcpSink:
    """RTP inside the RTSP connection (RFC 2326 section 10.12)."""

    __slots__ = ("_channel", "_transport")

    def __init__(self, transport: asyncio.Transport, channel: int) -> None:
        self._transport, self._channel = transport, channel

    def send(self, frame: bytes, starts: Sequence[int]) -> None:
        del starts
        self._transport.write(frame)

    def control(self, packet: bytes) -> None:
        self._transport.write(b"$%c" % (self._channel + 1) + len(packet).to_bytes(2) + packet)

    def trickle(self, data: bytes, room: int) -> int:
        self._transport.write(data[:room])
        return room

    @property
    def congested(self) -> bool:
        return self._transport.get_write_buffer_size() > _CONGESTED

    def reset(self) -> None:
        peer = self._transport.get_extra_info("socket")
        if peer is not None:  # an RST, not a FIN
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class UdpSink:
    """RTP in datagrams, only ever to the address that the RTSP connection came from."""

    __slots__ = ("_control", "_media", "_pair", "_transport")

    def __init__(
        self, pair: UdpPair, transport: asyncio.Transport, peer: str, ports: tuple[int, int]
    ) -> None:
        self._pair, self._transport = pair, transport
        self._media, self._control = (peer, ports[0]), (peer, ports[1])

    def send(self, frame: bytes, starts: Sequence[int]) -> None:
        view = memoryview(frame)
        send, target = self._pair.rtp.sendto, self._media
        try:
            for start in starts:
                size = frame[start + 2] << 8 | frame[start + 3]
                send(view[start + 4 : start + 4 + size], target)
        except OSError:
            pass  # a full buffer or a closed port loses packets, as on any network

    def control(self, packet: bytes) -> None:
        with contextlib.suppress(OSError):
            self._pair.rtcp.sendto(packet, self._control)

    def trickle(self, data: bytes, room: int) -> int:
        """Whole packets, the last of them beyond ``room``."""
        sent = 0
        while sent < room and sent + 4 <= len(data):
            size = 4 + (data[sent + 2] << 8 | data[sent + 3])
            self.send(data[sent : sent + size], (0,))
            sent += size
        return sent

    @property
    def congested(self) -> bool:
        return False

    def reset(self) -> None:
        TcpSink(self._transport, 0).reset()


class RtspConnection(asyncio.Protocol):
    """One client's connection to one device."""

    __slots__ = (
        "_channel",
        "_client",
        "_host",
        "_loop",
        "_nonce",
        "_pair",
        "_playback",
        "_reader",
        "_ready",
        "_session",
        "_transport",
        "heard",
    )

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self._host, self._loop = host, loop
        self._reader = MessageReader(_LIMITS)
        self._nonce = ""
        self._session = ""
        self._ready: tuple[Channel, StreamRole, TcpSink | UdpSink, int] | None = None
        self._playback: Playback | None = None
        self._pair: UdpPair | None = None
        self._client = ("", 0)
        self.heard = 0.0

    # --- the connection ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.heard = self._loop.time()
        if not self._host.admit(self):
            transport.abort()  # type: ignore[attr-defined]

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._end_session()
        self._host.dismiss(self)

    def data_received(self, data: bytes) -> None:
        self.heard = self._loop.time()
        try:
            for message in self._reader.feed(data):
                if isinstance(message, Request):
                    self._answer(message)
                if self._transport.is_closing():
                    return
        except RtspSyntaxError:
            self._reply(400, "0")
            self._transport.close()

    def expired(self, now: float) -> bool:
        """Whether this connection is to end: silent for longer than its session may be, or not reading."""
        stalled = self._playback.stalled_since if self._playback is not None else None
        return now - self.heard > SESSION_TIMEOUT_S * 1.2 or (stalled is not None and now - stalled > 20)

    def abort(self) -> None:
        self._transport.abort()

    def reset(self) -> None:
        TcpSink(self._transport, 0).reset()

    @property
    def playing(self) -> Playback | None:
        return self._playback

    # --- requests ---

    def _answer(self, request: Request) -> None:
        sequence = request.headers.get("cseq") or ""
        if not sequence or not sequence.strip().isdigit():
            self._reply(400, "0")
            return
        path = _path(request.uri)
        found = self._host.find(path)
        fault = (found[0].current_fault if found else None) or self._host.device_fault
        if fault is not None and self._swallows(fault, request.method):
            return
        if request.method == "OPTIONS":
            self._reply(200, sequence, [("Public", _METHODS)])
            return
        if request.method not in _KNOWN:
            known = request.method in ("ANNOUNCE", "RECORD", "REDIRECT")
            self._reply(405 if known else 501, sequence, [("Allow", _METHODS)])
            return
        if "require" in request.headers:
            self._reply(551, sequence, [("Unsupported", request.headers.get("require") or "")])
            return
        if not self._admitted(request, fault):
            self._nonce = self._nonce or secrets.token_hex(16)
            self._reply(401, sequence, [("WWW-Authenticate", self._host.guard.challenge(self._nonce))])
            return
        session = (request.headers.get("session") or "").partition(";")[0].strip()
        needs = request.method in ("PLAY", "PAUSE", "TEARDOWN")
        if (session and session != self._session) or (needs and self._session and not session):
            self._reply(454, sequence)
            return
        match request.method:
            case "DESCRIBE" | "SETUP":
                if found is None or (fault is not None and fault.kind is FaultKind.NOT_FOUND):
                    self._reply(404, sequence)
                elif request.method == "DESCRIBE":
                    self._describe(request, sequence, *found)
                else:
                    self._set_up(request, sequence, fault, *found)
            case "PLAY":
                self._play(request, sequence)
            case "PAUSE":
                self._pause(sequence)
            case "TEARDOWN":
                status = 200 if self._session else 454
                name = self._session
                self._end_session()
                self._reply(status, sequence, [("Session", name)] if name else ())
            case _:
                self._reply(200, sequence, self._named())

    def _swallows(self, fault: Fault, method: str) -> bool:
        """Whether the fault leaves this request without an answer of ours."""
        if fault.kind is FaultKind.HANG:
            # OPTIONS is answered before a later hang, and not by a camera that hangs at DESCRIBE.
            return _PHASES.get(method) is fault.phase or (
                self._playback is not None and self._playback.silent
            )
        if fault.kind is FaultKind.GARBAGE and fault.phase is FaultPhase.DESCRIBE and method == "DESCRIBE":
            self._transport.write(b"\x15\x03" + random.Random(len(method)).randbytes(510))
            return True
        return False

    def _admitted(self, request: Request, fault: Fault | None) -> bool:
        guard = self._host.guard
        if fault is not None and fault.kind is FaultKind.AUTH:
            return False
        if guard.open:
            return True
        return guard.admits(request.method, self._nonce, request.headers.get("authorization"))

    def _describe(self, request: Request, sequence: str, channel: Channel, role: StreamRole) -> None:
        accept = request.headers.get("accept") or "application/sdp"
        if "application/sdp" not in accept and "*/*" not in accept:
            self._reply(406, sequence)
            return
        body = (
            f"v=0\r\no=- {channel.clip(role).ssrc} 1 IN IP4 {self._host.address}\r\ns={channel.id}\r\n"
            f"c=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\na=range:npt=now-\r\n{channel.clip(role).media}"
            f"a=control:{_TRACK[1:]}\r\n"
        ).encode()
        base = request.uri.rstrip("/") + "/"
        self._reply(200, sequence, [("Content-Base", base), ("Content-Type", "application/sdp")], body)

    def _set_up(
        self, request: Request, sequence: str, fault: Fault | None, channel: Channel, role: StreamRole
    ) -> None:
        if self._playback is not None:
            self._reply(455, sequence)
            return
        chosen = _choose_transport(request.headers.get_all("transport"))
        if chosen is None:
            self._reply(461, sequence)
            return
        if (fault is not None and fault.kind is FaultKind.BUSY) or (
            not self._session and not self._host.open_session()
        ):
            self._reply(453, sequence)
            return
        self._session = self._session or secrets.token_hex(8)
        self._release_udp()
        kind, ports = chosen
        ssrc = f"ssrc={channel.clip(role).ssrc:08X}"
        sink: TcpSink | UdpSink
        if kind == "tcp":
            sink = TcpSink(self._transport, ports[0])
            answer = f"RTP/AVP/TCP;unicast;interleaved={ports[0]}-{ports[0] + 1};{ssrc}"
        else:
            peer = self._transport.get_extra_info("peername")[0]
            try:
                self._pair = self._host.udp()
            except OSError:
                self._end_session()
                self._reply(453, sequence)
                return
            self._client = (peer, ports[1])
            self._pair.heard[self._client] = self._touch
            sink = UdpSink(self._pair, self._transport, peer, ports)
            server = f"{self._pair.port}-{self._pair.port + 1}"
            answer = f"RTP/AVP;unicast;client_port={ports[0]}-{ports[1]};server_port={server};{ssrc}"
        self._ready = (channel, role, sink, ports[0] if kind == "tcp" else 0)
        self._reply(200, sequence, [("Transport", answer), *self._named(timeout=True)])

    def _play(self, request: Request, sequence: str) -> None:
        if self._ready is None:
            self._reply(455, sequence)
            return
        if self._playback is not None:  # a second PLAY changes nothing of a live stream
            self._reply(200, sequence, [*self._named(), ("Range", "npt=now-")])
            return
        channel, role, sink, number = self._ready
        now = self._loop.time()
        playback = Playback(
            channel, role, sink, now, channel=number, live=self._host.live_start, later=self._loop.call_later
        )
        url = request.uri.rstrip("/").removesuffix(_TRACK) + _TRACK
        info = f"url={url};seq={playback.sequence};rtptime={playback.rtp_time}"
        self._reply(200, sequence, [*self._named(), ("Range", "npt=now-"), ("RTP-Info", info)])
        self._playback = playback
        self._host.pacer.add(playback)
        playback.pump(now)

    def _pause(self, sequence: str) -> None:
        if self._playback is None:
            self._reply(455, sequence)
            return
        self._host.pacer.discard(self._playback)
        self._playback = None
        self._reply(200, sequence, self._named())

    # --- the session ---

    def _touch(self) -> None:
        self.heard = self._loop.time()

    def _named(self, *, timeout: bool = False) -> list[tuple[str, str]]:
        if not self._session:
            return []
        return [("Session", f"{self._session};timeout={SESSION_TIMEOUT_S}" if timeout else self._session)]

    def _release_udp(self) -> None:
        if self._pair is not None:
            self._pair.heard.pop(self._client, None)
            self._pair = None

    def _end_session(self) -> None:
        if self._playback is not None:
            self._host.pacer.discard(self._playback)
            self._playback = None
        self._release_udp()
        self._ready = None
        if self._session:
            self._session = ""
            self._host.close_session()

    def _reply(
        self, status: int, sequence: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        named = Headers([("CSeq", sequence.strip()), ("Server", "SharpEyes simulator"), *headers])
        data = Response(status, _REASONS[status], named, body).encode()
        # With UDP the packet that waits is in no one's way.
        if self._pair is None and self._playback is not None and self._playback.after_drip(data):
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _FLOODED:
            self._transport.abort()


@lru_cache(4096)
def _path(uri: str) -> str:
    """Path and query of a request's URI, without the track."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return ""
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return path.rstrip("/").removesuffix(_TRACK).rstrip("/")


def _choose_transport(values: list[str]) -> tuple[str, tuple[int, int]] | None:
    """``("tcp", channels)`` or ``("udp", client ports)``: the first that can be served (RFC 2326 12.39)."""
    for offer in ",".join(values)[:1024].split(","):
        protocol, *parameters = (part.strip() for part in offer.split(";"))
        names = {name.lower(): value for name, _, value in (each.partition("=") for each in parameters)}
        if "multicast" in names or names.get("mode", "play").strip('"').lower() not in ("play", ""):
            continue
        match protocol.upper():
            case "RTP/AVP/TCP":
                pair = _pair(names.get("interleaved", "0-1"), 254)
                if pair is not None:
                    return "tcp", pair
            case "RTP/AVP" | "RTP/AVP/UDP":
                pair = _pair(names.get("client_port", ""), 65534)
                if pair is not None and pair[0] > 0:
                    return "udp", pair
    return None


def _pair(text: str, most: int) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text.strip())
    if found is None or int(found[1]) > most or int(found[2] or 0) > most + 1:
        return None
    return int(found[1]), int(found[2] or int(found[1]) + 1)
