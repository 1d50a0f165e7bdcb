"""What discovery found, as frozen values: no password, no clock, nothing undecided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sharpeyes.domain.camera import Identity
from sharpeyes.domain.discovery import How

MAX_TOLD = 128 << 10
"""Characters of tokens, names and URLs that are kept of one device; 128 channels have a third of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundProfile:
    """One encoded stream of a channel."""

    token: str
    codec: str | None = None
    """Value of :class:`sharpeyes.domain.camera.Codec`, or the device's own word in lower case."""
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    """Limit set in the encoder; what arrives may be less."""
    stream_uri: str | None = None
    """RTSP(S) URL on the dialled host, without credentials."""

    @property
    def pixels(self) -> int:
        return (self.width or 0) * (self.height or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundChannel:
    """One video source: the whole of a camera, or one channel of a recorder."""

    token: str
    name: str
    profiles: tuple[FoundProfile, ...]
    """Largest picture first: main, then sub."""
    snapshot_uri: str | None = None


@dataclass(frozen=True, slots=True)
class FoundError:
    """Why a device is not, or not wholly, enrolled: a stable word, and a sentence for a person."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDevice:
    """One device. With an ``error``, everything that was learned before it."""

    address: str
    """``host:port`` that was dialled."""
    xaddr: str
    identity: Identity
    firmware: str | None = None
    name: str | None = None
    """From its scopes."""
    location: str | None = None
    clock_offset_seconds: float | None = None
    """Its clock minus ours; None if it told no time."""
    channels: tuple[FoundChannel, ...] = field(default=())
    fingerprint: str | None = None
    """SHA-256 of its TLS certificate (hex), where it was pinned on first use."""
    error: FoundError | None = None
    how: How = How.NAMED
    """How it came to be found."""

    @property
    def streams(self) -> int:
        """How many of its profiles can be looked at."""
        return sum(p.stream_uri is not None for channel in self.channels for p in channel.profiles)


def trimmed(device: FoundDevice) -> FoundDevice:
    """The device with as many of its channels as are kept of one: what it says costs memory of ours."""
    kept: list[FoundChannel] = []
    size = 0
    for channel in device.channels:
        uris = (profile.stream_uri for profile in channel.profiles)
        texts = (
            channel.token,
            channel.name,
            channel.snapshot_uri,
            *uris,
            *(p.token for p in channel.profiles),
        )
        size += sum(len(text or "") for text in texts)
        if size > MAX_TOLD:
            why = FoundError(
                "too_large", f"{len(device.channels)} channels: those after the {len(kept)}th are left out"
            )
            return replace(device, channels=tuple(kept), error=device.error or why)
        kept.append(channel)
    return device


def channels_of(told: Mapping[str, Any]) -> tuple[FoundChannel, ...]:
    """The channels of a :func:`document`."""
    return tuple(
        FoundChannel(
            token=channel["token"],
            name=channel["name"],
            profiles=tuple(FoundProfile(**profile) for profile in channel["profiles"]),
            snapshot_uri=channel["snapshot_uri"],
        )
        for channel in told["channels"]
    )


def document(device: FoundDevice) -> dict[str, object]:
    """The shape that ``sharpeyes discover --json`` prints."""
    identity = device.identity
    return {
        "address": device.address,
        "xaddr": device.xaddr,
        "mac": identity.mac,
        "manufacturer": identity.manufacturer,
        "model": identity.model,
        "firmware": device.firmware,
        "serial": identity.serial,
        "name": device.name,
        "location": device.location,
        "clock_offset_seconds": device.clock_offset_seconds,
        "tls_fingerprint": device.fingerprint,
        "channels": [
            {
                "token": channel.token,
                "name": channel.name,
                "profiles": [
                    {
                        "token": profile.token,
                        "codec": profile.codec,
                        "width": profile.width,
                        "height": profile.height,
                        "fps": profile.fps,
                        "stream_uri": profile.stream_uri,
                    }
                    for profile in channel.profiles
                ],
                "snapshot_uri": channel.snapshot_uri,
            }
            for channel in device.channels
        ],
        "error": None
        if device.error is None
        else {"kind": device.error.kind, "message": device.error.message},
    }
