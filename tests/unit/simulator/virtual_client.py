"""A plain RTSP client for tests of the virtual cameras: its own digests, no retries, sees every byte."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import av

from sharpeyes.domain.camera import Codec, StreamRole
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.simulator.clip import ClipSpec
from sharpeyes.simulator.fleet import Addressing, ChannelPlan, DevicePlan, Fleet
from sharpeyes.simulator.simulator import Simulator
from sharpeyes.wire.rtsp.message import Headers, Interleaved, MessageReader, Request, Response

ACCOUNT = Credentials("admin", Secret('p"w\\1'))
SMALL = ClipSpec(width=320, height=180, gop=10, gops=2, kbps=300)
LOOPBACK = Addressing(network="127.9.1.1", rtsp_port=0, onvif_port=0, discovery_port=None)


def device(name: str = "cam", channels: int = 1, codec: Codec = Codec.H264, **given: object) -> DevicePlan:
    """A device with small clips; several channels make it a recorder."""
    spec = (
        SMALL
        if codec is Codec.H264
        else ClipSpec(codec=codec, width=320, height=180, gop=10, gops=2, kbps=300)
    )
    plans = tuple(
        ChannelPlan(id=name if channels == 1 else f"{name}-{index}", streams=((StreamRole.MAIN, spec),))
        for index in range(1, channels + 1)
    )
    return DevicePlan(**{"id": name, "channels": plans, "credentials": ACCOUNT, **given})  # type: ignore[arg-type]


@asynccontextmanager
async def playing(cache: Path, *plans: DevicePlan, **given: object) -> AsyncIterator[Simulator]:
    options = {"addressing": LOOPBACK, "cache": cache, **given}
    async with Simulator(Fleet(devices=plans or (device(),)), **options) as simulator:  # type: ignore[arg-type]
        yield simulator


class Viewer:
    """One connection."""

    def __init__(self, url: str, account: Credentials | None = ACCOUNT) -> None:
        self.url, self.account = url, account
        self.packets: list[Interleaved] = []
        self.challenge = ""
        self.session = ""
        self._sequence = 0
        self._responses: asyncio.Queue[Response] = asyncio.Queue()
        self.raw = bytearray()
        self.closed = asyncio.Event()
        self.reset = False

    async def __aenter__(self) -> Viewer:
        parts = urlsplit(self.url)
        self.reader, self.writer = await asyncio.open_connection(parts.hostname, parts.port)
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        self.writer.transport.abort()
        await asyncio.sleep(0)

    async def _read(self) -> None:
        messages = MessageReader()
        try:
            while data := await self.reader.read(65536):
                self.raw += data
                for message in messages.feed(data):
                    if isinstance(message, Response):
                        self._responses.put_nowait(message)
                    elif isinstance(message, Interleaved):
                        self.packets.append(message)
        except ConnectionError:
            self.reset = True
        finally:
            self.closed.set()

    def send(self, method: str, url: str | None = None, **headers: str) -> None:
        self._sequence += 1
        url = url or self.url
        items = [("CSeq", str(self._sequence)), *((k.replace("_", "-"), v) for k, v in headers.items())]
        if self.session and "Session" not in headers:
            items.append(("Session", self.session))
        if self.challenge and self.account:
            items.append(("Authorization", answer(self.challenge, self.account, method, url)))
        self.writer.write(Request(method, url, Headers(items)).encode())

    async def response(self, seconds: float = 5) -> Response:
        return await asyncio.wait_for(self._responses.get(), seconds)

    async def ask(self, method: str, url: str | None = None, **headers: str) -> Response:
        """Sends again with a login if asked for one."""
        self.send(method, url, **headers)
        response = await self.response()
        if response.status == 401 and not self.challenge and self.account:
            self.challenge = response.headers.get("www-authenticate") or ""
            self.send(method, url, **headers)
            response = await self.response()
        if self.session == "" and "session" in response.headers:
            self.session = (response.headers.get("session") or "").partition(";")[0]
        return response

    async def set_up(self, transport: str = "RTP/AVP/TCP;unicast;interleaved=0-1") -> Response:
        assert (await self.ask("DESCRIBE", Accept="application/sdp")).status == 200
        return await self.ask("SETUP", f"{self.url}/trackID=0", Transport=transport)

    async def play(self) -> Response:
        assert (await self.set_up()).status == 200
        return await self.ask("PLAY")

    async def media(self, count: int, seconds: float = 5) -> list[Interleaved]:
        """At least so many RTP packets, from the first on."""
        async with asyncio.timeout(seconds):
            while len(found := self.rtp) < count:
                await asyncio.sleep(0.01)
        return found

    async def frames(self, count: int, seconds: float = 5) -> list[Interleaved]:
        """The RTP packets of so many frames at 25 a second, left-out ones counted."""
        async with asyncio.timeout(seconds):
            while (
                not (found := self.rtp) or (rtp_time(found[-1]) - rtp_time(found[0])) % 2**32 < 3600 * count
            ):
                await asyncio.sleep(0.01)
        return found

    @property
    def rtp(self) -> list[Interleaved]:
        return [each for each in self.packets if each.channel % 2 == 0]


def answer(challenge: str, account: Credentials, method: str, url: str) -> str:
    """RFC 7616, RFC 2617, RFC 2069 and RFC 7617, straight from their text."""
    password = account.password.reveal()
    if challenge.startswith("Basic"):
        return "Basic " + base64.b64encode(f"{account.username}:{password}".encode()).decode()
    given = dict(re.findall(r'(\w+)="?([^",]*)"?', challenge))
    algorithm = hashlib.sha256 if given.get("algorithm") == "SHA-256" else hashlib.md5

    def digest(text: str) -> str:
        return algorithm(text.encode()).hexdigest()

    nonce = given["nonce"]
    ha1, ha2 = digest(f"{account.username}:{given['realm']}:{password}"), digest(f"{method}:{url}")
    head = f'Digest username="{account.username}", realm="{given["realm"]}", nonce="{nonce}", uri="{url}"'
    if "algorithm" in given:
        head += f", algorithm={given['algorithm']}"
    if "qop" in given:
        proof = digest(f"{ha1}:{nonce}:00000001:abc:auth:{ha2}")
        return f'{head}, qop=auth, nc=00000001, cnonce="abc", response="{proof}"'
    proof = digest(f"{ha1}:{nonce}:{ha2}")
    return f'{head}, response="{proof}"'


def sequence(packet: Interleaved) -> int:
    return int.from_bytes(packet.payload[2:4])


def rtp_time(packet: Interleaved) -> int:
    return int.from_bytes(packet.payload[4:8])


def lost(packets: list[Interleaved]) -> int:
    """Gaps in the sequence numbers."""
    numbers = [sequence(each) for each in packets]
    return sum((b - a - 1) & 0xFFFF for a, b in pairwise(numbers))


def is_keyframe_packet(packet: Interleaved) -> bool:
    """H.264: part of an IDR picture."""
    first = packet.payload[12] & 31
    return first == 5 or (first == 28 and packet.payload[13] & 31 == 5)


def units(payloads: list[bytes], codec: Codec) -> bytes:
    """Annex B from RTP payloads: the test's own depacketiser (RFC 6184, RFC 7798)."""
    out = bytearray()
    for each in payloads:
        if codec is Codec.H264 and each[0] & 31 == 28:
            if each[1] & 0x80:
                out += b"\0\0\0\1" + bytes([each[0] & 0xE0 | each[1] & 31])
            out += each[2:]
        elif codec is Codec.H265 and each[0] >> 1 & 63 == 49:
            if each[2] & 0x80:
                out += b"\0\0\0\1" + bytes([each[0] & 0x81 | (each[2] & 63) << 1, each[1]])
            out += each[3:]
        else:
            out += b"\0\0\0\1" + each
    return bytes(out)


def last_picture(packets: list[Interleaved]) -> av.VideoFrame:
    """H.264: the last picture that decodes."""
    decoder = av.CodecContext.create("h264", "r")
    start = next(index for index, each in enumerate(packets) if each.payload[12] & 31 == 7)
    data = units([each.payload[12:] for each in packets[start:]], Codec.H264)
    frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    return frames[-1]
