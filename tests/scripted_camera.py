"""An RTSP server for tests that says exactly what a test wants said, on a real loopback socket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType

from rtp_media import interleave
from sharpeyes.wire.rtsp.message import Headers, Interleaved, MessageReader, Request, Response

SAY_NOTHING = b""
CLOSE = None

Reply = Response | bytes | None
Script = Callable[["ScriptedCamera", Request], Reply | Awaitable[Reply]]


class ScriptedCamera:
    """A camera with one stream. ``script`` replaces its answer to a method; it may be a coroutine function.

    ``challenges`` are the values of ``WWW-Authenticate``; a digest answer is checked against ``password``.
    """

    def __init__(
        self,
        sdp: bytes,
        packets: list[bytes],
        *,
        script: dict[str, Script | Reply] | None = None,
        challenges: list[str] | None = None,
        username: str = "admin",
        password: str = "s3cret",
        channels: tuple[int, int] | None = None,
        interval_s: float = 0.0,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.sdp = sdp
        self.packets = packets
        self.script = script or {}
        self.challenges = challenges or []
        self.username, self.password = username, password
        self.channels = channels
        self.interval_s = interval_s
        self.host = host
        self.tls = tls
        self.requests: list[Request] = []
        self.responses: list[Response] = []
        self.connections = 0
        self.port = 0
        self.peer_ports: tuple[int, int] | None = None
        self.writer: asyncio.StreamWriter | None = None
        """Of the latest connection, for scripts that say more than one answer."""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._udp: list[socket.socket] = []

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rtsps' if self.tls else 'rtsp'}://{host}:{self.port}/live/main"

    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    async def __aenter__(self) -> ScriptedCamera:
        self._server = await asyncio.start_server(self._serve, self.host, 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sock in self._udp:
            sock.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            with suppress(OSError, ssl.SSLError):
                await self._talk(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        messages = MessageReader()
        self.writer = writer
        while data := await reader.read(65536):
            for message in messages.feed(data):
                if isinstance(message, Interleaved):
                    continue
                if isinstance(message, Response):
                    self.responses.append(message)
                    continue
                self.requests.append(message)
                scripted = self.script.get(message.method, self._default)
                reply = scripted(self, message) if callable(scripted) else scripted
                if isinstance(reply, Awaitable):
                    reply = await reply
                if reply is None:
                    return
                if isinstance(reply, Response):
                    if "cseq" not in reply.headers:
                        items = [("CSeq", message.headers.get("cseq") or "0"), *reply.headers]
                        reply = Response(reply.status, reply.reason, Headers(items), reply.body)
                    status, reply = reply.status, reply.encode()
                else:
                    status = 200
                writer.write(reply)
                if message.method == "PLAY" and status == 200 and reply:
                    await self._play(writer)

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        if self.peer_ports is not None:
            for packet in self.packets:
                self._udp[0].sendto(packet, (self.host, self.peer_ports[0]))
                await asyncio.sleep(self.interval_s)
            return
        channel = self.channels[0] if self.channels else 0
        if not self.interval_s:
            writer.write(interleave(self.packets, channel))
            return
        for packet in self.packets:
            writer.write(interleave([packet], channel))
            await asyncio.sleep(self.interval_s)

    # what a well-behaved camera says; scripts call these too

    def _default(self, _: ScriptedCamera, request: Request) -> Reply:
        if self.challenges and not self.authorized(request):
            return self.unauthorized()
        answer = {
            "DESCRIBE": self.describe,
            "SETUP": self.setup,
            "PLAY": self.play,
        }.get(request.method)
        return answer(request) if answer else Response(200, "OK")

    def unauthorized(self) -> Response:
        return Response(401, "Unauthorized", Headers([("WWW-Authenticate", c) for c in self.challenges]))

    def describe(self, request: Request) -> Response:
        return Response(200, "OK", Headers([("Content-Type", "application/sdp")]), self.sdp)

    def setup(self, request: Request) -> Response:
        wanted = request.headers.get("transport") or ""
        if match := re.search(r"client_port=(\d+)-(\d+)", wanted):
            self.peer_ports = int(match[1]), int(match[2])
            for _ in range(2):
                sock = socket.socket(
                    socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_DGRAM
                )
                sock.bind((self.host, 0))
                sock.setblocking(False)
                self._udp.append(sock)
            ports = "-".join(str(sock.getsockname()[1]) for sock in self._udp[:2])
            value = f"RTP/AVP;unicast;client_port={match[1]}-{match[2]};server_port={ports}"
        else:
            first, second = self.channels or (0, 1)
            value = f"RTP/AVP/TCP;unicast;interleaved={first}-{second}"
        return Response(200, "OK", Headers([("Transport", value), ("Session", "12345678;timeout=60")]))

    def play(self, request: Request) -> Response:
        return Response(200, "OK", Headers([("Session", "12345678")]))

    def udp_received(self) -> list[bytes]:
        """What the client sent to our RTP port: its NAT punch."""
        found = []
        with suppress(OSError):
            while True:
                found.append(self._udp[0].recv(2048))
        return found

    def authorized(self, request: Request) -> bool:
        value = request.headers.get("authorization")
        if value is None:
            return False
        if value.startswith("Basic "):
            return base64.b64decode(value[6:]).decode() == f"{self.username}:{self.password}"
        given = {k.lower(): v.strip('"') for k, v in re.findall(r'(\w+)=("[^"]*"|[^,\s]+)', value)}
        hashed = {"MD5": "md5", "SHA-256": "sha256"}[
            given.get("algorithm", "MD5").upper().removesuffix("-SESS")
        ]

        def digest(text: str) -> str:
            return hashlib.new(hashed, text.encode()).hexdigest()

        ha1 = digest(f"{self.username}:{given['realm']}:{self.password}")
        if given.get("algorithm", "").upper().endswith("-SESS"):
            ha1 = digest(f"{ha1}:{given['nonce']}:{given['cnonce']}")
        ha2 = digest(f"{request.method}:{given['uri']}")
        if "qop" in given:
            expected = digest(f"{ha1}:{given['nonce']}:{given['nc']}:{given['cnonce']}:{given['qop']}:{ha2}")
        else:
            expected = digest(f"{ha1}:{given['nonce']}:{ha2}")
        return given["response"] == expected and given["uri"] == request.uri


async def challenged_and_closed(cam: ScriptedCamera, request: Request) -> Reply:
    """Says its 401 and hangs up, as servers do that keep no connection without a login."""
    if cam.authorized(request):
        return cam.describe(request)
    assert cam.writer is not None
    said = cam.unauthorized()
    numbered = Headers([("CSeq", request.headers.get("cseq") or ""), *said.headers])
    cam.writer.write(Response(401, "Unauthorized", numbered).encode())
    await cam.writer.drain()
    return CLOSE
