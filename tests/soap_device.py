"""A scripted ONVIF device for tests: real HTTP on loopback, every reply a function of the request.

``Device`` answers like a camera; a test changes single answers, or takes over the socket, to make it broken
or hostile. Every request is recorded with the host it was sent to.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tt="http://www.onvif.org/ver10/schema"'
    ' xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl"'
    ' xmlns:tr2="http://www.onvif.org/ver20/media/wsdl" xmlns:ter="http://www.onvif.org/ver10/error">'
    "<s:Body>{}</s:Body></s:Envelope>"
)


@dataclass(frozen=True)
class Request:
    operation: str
    path: str
    headers: dict[str, str]
    body: str

    @property
    def signed(self) -> bool:
        return "UsernameToken" in self.body or "authorization" in self.headers


@dataclass(frozen=True)
class Answer:
    """``body`` without an envelope if ``raw`` is false."""

    body: str | bytes = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bool = False

    def encode(self) -> bytes:
        body = (
            self.body
            if isinstance(self.body, bytes)
            else (self.body if self.raw else ENVELOPE.format(self.body)).encode()
        )
        headers = {"Content-Type": "application/soap+xml; charset=utf-8", "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers | self.headers).items())
        return f"HTTP/1.1 {self.status} Whatever\r\n{lines}\r\n".encode() + body


Reply = Callable[[Request], Answer | str]
Takeover = Callable[[Request, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def fault(code: str, reason: str, status: int = 400) -> Answer:
    return Answer(
        f"<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:{code}</s:Value></s:Subcode>"
        f'</s:Code><s:Reason><s:Text xml:lang="en">{reason}</s:Text></s:Reason></s:Fault>',
        status,
    )


def date_and_time(now: datetime) -> str:
    return (
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>"
        "<tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime>"
        f"<tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute>"
        f"<tt:Second>{now.second}</tt:Second></tt:Time>"
        f"<tt:Date><tt:Year>{now.year}</tt:Year><tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day></tt:Date>"
        "</tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
    )


def profile(token: str, source: str, size: tuple[int, int], fps: object = 25, codec: str = "H264") -> str:
    return (
        f'<trt:Profiles token="{token}" fixed="true"><tt:Name>{token}</tt:Name>'
        f'<tt:VideoSourceConfiguration token="vsc_{source}"><tt:Name>Camera {source}</tt:Name>'
        f"<tt:UseCount>2</tt:UseCount><tt:SourceToken>{source}</tt:SourceToken>"
        f'<tt:Bounds x="0" y="0" width="{size[0]}" height="{size[1]}"/></tt:VideoSourceConfiguration>'
        f'<tt:VideoEncoderConfiguration token="vec_{token}"><tt:Name>{token}</tt:Name>'
        "<tt:UseCount>1</tt:UseCount>"
        f"<tt:Encoding>{codec}</tt:Encoding><tt:Resolution><tt:Width>{size[0]}</tt:Width>"
        f"<tt:Height>{size[1]}</tt:Height></tt:Resolution><tt:Quality>4</tt:Quality>"
        f"<tt:RateControl><tt:FrameRateLimit>{fps}</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval>"
        "<tt:BitrateLimit>4096</tt:BitrateLimit></tt:RateControl></tt:VideoEncoderConfiguration></trt:Profiles>"
    )


@dataclass
class Device:
    host: str = "127.0.0.1"
    named_host: str | None = None
    """What it calls itself in URLs; behind NAT not where it is reached."""
    replies: dict[str, Reply | Answer | str] = field(default_factory=dict)
    gate: Callable[[Request], Answer | None] = lambda request: None
    """Asked before any reply: a login, for example."""
    takeover: Takeover | None = None
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    most_at_once: int = 0
    scheme: str = "http"

    @property
    def xaddr(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/onvif/device_service"

    def url(self, path: str) -> str:
        return f"{self.scheme}://{self.named_host or self.host}:{self.port}{path}"

    def operations(self) -> list[str]:
        return [request.operation for request in self.requests]

    def answer(self, request: Request) -> Answer:
        refused = self.gate(request)
        if refused is not None:
            return refused
        reply = self.replies.get(request.operation)
        if reply is None:
            method = getattr(self, request.operation, None)
            reply = (
                method()
                if method is not None
                else fault("ActionNotSupported", "Optional Action Not Implemented", 500)
            )
        if callable(reply):
            reply = reply(request)
        return reply if isinstance(reply, Answer) else Answer(reply)

    def GetSystemDateAndTime(self) -> str:  # noqa: N802
        return date_and_time(datetime.now(UTC))

    def GetServices(self) -> str:  # noqa: N802
        rows = (("ver10/device", "/onvif/device_service"), ("ver10/media", "/onvif/media_service"))
        return (
            "<tds:GetServicesResponse>"
            + "".join(
                f"<tds:Service><tds:Namespace>http://www.onvif.org/{name}/wsdl</tds:Namespace>"
                f"<tds:XAddr>{self.url(path)}</tds:XAddr>"
                "<tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version></tds:Service>"
                for name, path in rows
            )
            + "</tds:GetServicesResponse>"
        )

    def GetCapabilities(self) -> str:  # noqa: N802
        return (
            "<tds:GetCapabilitiesResponse><tds:Capabilities>"
            f"<tt:Device><tt:XAddr>{self.url('/onvif/device_service')}</tt:XAddr></tt:Device>"
            f"<tt:Media><tt:XAddr>{self.url('/onvif/media_service')}</tt:XAddr></tt:Media>"
            "</tds:Capabilities></tds:GetCapabilitiesResponse>"
        )

    def GetDeviceInformation(self) -> str:  # noqa: N802
        return (
            "<tds:GetDeviceInformationResponse><tds:Manufacturer>Acme</tds:Manufacturer>"
            "<tds:Model>Bullet 4</tds:Model><tds:FirmwareVersion>5.7.1</tds:FirmwareVersion>"
            "<tds:SerialNumber>AC-20231107-0042</tds:SerialNumber>"
            "<tds:HardwareId>88</tds:HardwareId></tds:GetDeviceInformationResponse>"
        )

    def GetNetworkInterfaces(self) -> str:  # noqa: N802
        return (
            '<tds:GetNetworkInterfacesResponse><tds:NetworkInterfaces token="eth0">'
            "<tt:Enabled>true</tt:Enabled>"
            "<tt:Info><tt:Name>eth0</tt:Name><tt:HwAddress>44-19-B6-0A-0B-0C</tt:HwAddress></tt:Info>"
            "<tt:IPv4><tt:Enabled>true</tt:Enabled><tt:Config><tt:Manual><tt:Address>127.0.0.1</tt:Address>"
            "<tt:PrefixLength>24</tt:PrefixLength></tt:Manual><tt:DHCP>false</tt:DHCP></tt:Config></tt:IPv4>"
            "</tds:NetworkInterfaces></tds:GetNetworkInterfacesResponse>"
        )

    def GetScopes(self) -> str:  # noqa: N802
        return (
            "<tds:GetScopesResponse>"
            + "".join(
                f"<tds:Scopes><tt:ScopeDef>Fixed</tt:ScopeDef><tt:ScopeItem>onvif://www.onvif.org/{scope}</tt:ScopeItem></tds:Scopes>"
                for scope in ("name/North%20Gate", "location/city/harbour", "hardware/Bullet4")
            )
            + "</tds:GetScopesResponse>"
        )

    def GetProfiles(self) -> str:  # noqa: N802
        return (
            "<trt:GetProfilesResponse>"
            + profile("sub", "v1", (640, 360), 12)
            + profile("main", "v1", (2560, 1440))
            + "</trt:GetProfilesResponse>"
        )

    def GetStreamUri(self) -> Reply:  # noqa: N802
        return lambda request: (
            "<trt:GetStreamUriResponse><trt:MediaUri>"
            f"<tt:Uri>rtsp://admin:secret@{self.named_host or self.host}:554/{_token(request)}</tt:Uri>"
            "<tt:InvalidAfterConnect>false</tt:InvalidAfterConnect><tt:InvalidAfterReboot>false</tt:InvalidAfterReboot>"
            "<tt:Timeout>PT60S</tt:Timeout></trt:MediaUri></trt:GetStreamUriResponse>"
        )

    def GetSnapshotUri(self) -> str:  # noqa: N802
        return (
            f"<trt:GetSnapshotUriResponse><trt:MediaUri><tt:Uri>{self.url('/snap.jpg')}</tt:Uri>"
            "</trt:MediaUri></trt:GetSnapshotUriResponse>"
        )

    # -- the socket ----------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.most_at_once = max(self.most_at_once, self.connections)
        try:
            while request := await _read(reader):
                self.requests.append(request)
                if self.takeover is not None:
                    await self.takeover(request, reader, writer)
                    return
                writer.write(self.answer(request).encode())
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.connections -= 1
            writer.transport.abort()

    @asynccontextmanager
    async def serving(self, context: ssl.SSLContext | None = None) -> AsyncIterator[Device]:
        self.scheme = "http" if context is None else "https"
        tasks: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            with contextlib.suppress(asyncio.CancelledError):
                await self._serve(reader, writer)
            tasks.discard(task)

        server = await asyncio.start_server(accept, self.host, 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
        if name
    }
    body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
    action = re.search(r'action="[^"]*/(\w+)"', headers.get("content-type", ""))
    operation = action[1] if action else "GetSystemDateAndTime"  # what a knock asks, without an action
    return Request(operation, first.split(" ")[1], headers, body)


def _token(request: Request) -> str:
    return request.body.partition("ProfileToken>")[2].partition("<")[0]
