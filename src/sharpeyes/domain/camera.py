"""A camera and the device it sits in, as the registry knows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms

SESSIONS = 2
"""RTSP sessions that the prober holds open on a device at a time unless told otherwise."""


class Codec(StrEnum):
    """Video codecs whose keyframes are understood."""

    H264 = "h264"
    H265 = "h265"
    JPEG = "jpeg"


class StreamRole(StrEnum):
    """Main stream: full size, for viewing. Sub-stream: small, for checks and thumbnails."""

    MAIN = "main"
    SUB = "sub"


class Transport(StrEnum):
    """How RTP travels: interleaved in the RTSP connection, or in UDP datagrams of its own."""

    TCP = "tcp"
    UDP = "udp"


class Origin(StrEnum):
    """How a camera came into the registry."""

    CONFIG = "config"
    DISCOVERED = "discovered"
    IMPORTED = "imported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream of a camera. The URL never holds credentials."""

    role: StreamRole
    url: str
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    profile: str | None = None
    """ONVIF media profile token, when the stream was enrolled over ONVIF."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What may tell one device from another, strongest first. Any of them can be missing or junk."""

    mac: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    endpoint: str | None = None
    """WS-Discovery endpoint reference; not stable over a rebuild."""
    address: str | None = None
    """``host:port`` of the device service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A box with an address: a camera, or a recorder with many channels."""

    id: str
    identity: Identity
    xaddr: str | None = None
    """URL of the ONVIF device service."""
    firmware: str | None = None
    session_limit: int = SESSIONS
    """RTSP sessions that the prober may hold open on this device at a time."""
    credential: str | None = None
    """Name of the credential for its ONVIF services, None if it asks for none."""
    fingerprint: str | None = None
    """SHA-256 of its TLS certificate (hex), pinned on first use; None without TLS."""
    retired_ms: Ms | None = None
    """Since when it is no longer part of the city, None while it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """One channel that is obliged to deliver a picture: the unit that rates count."""

    id: str
    name: str
    tier: Tier
    department: str
    area: str
    zone: str
    streams: tuple[Stream, ...]
    origin: Origin = Origin.CONFIG
    code: str | None = None
    """Unified 20-digit number (GB/T 28181), None until numbered."""
    device: str | None = None
    channel: str | None = None
    """ONVIF video source token on its device."""
    snapshot_url: str | None = None
    credential: str | None = None
    """Name of the credential to use, None for open streams."""
    transport: Transport = Transport.TCP
    liveness_s: float | None = None
    """Own cadence in seconds, None for the tier's."""
    quality_s: float | None = None
    """Own cadence of looks at the picture in seconds, None for the tier's."""
    maintenance: bool = False
    """Declared out of service by its owner: not obliged to deliver, kept apart from the rates."""
    tags: tuple[str, ...] = field(default=())
    retired_ms: Ms | None = None
    """Since when it is no longer part of the city, None while it is. Its history stays."""

    @property
    def watched(self) -> bool:
        """Whether it can be looked at. One that is registered without a stream is obliged, but unknown."""
        return bool(self.streams)

    def stream(self, preferred: StreamRole = StreamRole.SUB) -> Stream:
        """The preferred stream, else the first there is; only of a camera that has one (:attr:`watched`)."""
        for stream in self.streams:
            if stream.role is preferred:
                return stream
        return self.streams[0]
