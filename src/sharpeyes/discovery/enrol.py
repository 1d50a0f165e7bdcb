"""Ask one device what it is: identity, clock, channels, profiles, stream and snapshot URIs.

Never raises for what a device does: an enrolment ends in a :class:`FoundDevice`, with what was learned before
the error, and the error naming the call. Only what the operator can mend is an error of the whole device;
a missing snapshot or MAC is not.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sharpeyes.discovery.found import FoundChannel, FoundDevice, FoundError, FoundProfile
from sharpeyes.domain.camera import Identity
from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.discovery import How
from sharpeyes.net.onvif import FATAL, OnvifClient, OnvifDevice, OnvifError, dig
from sharpeyes.net.onvif_library import Service
from sharpeyes.net.tls import TlsPolicy
from sharpeyes.wire.service_url import HTTP, RTSP
from sharpeyes.wire.soap import printable
from sharpeyes.wire.ws_discovery import scope_values

MAX_PROFILES = 1_024
"""Profiles of one device that are looked at."""
_PROFILES_A_CHANNEL = 8
_TEXT = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A device to enrol: where it is, and what its announcement said."""

    xaddr: str
    endpoint: str | None = None
    scopes: tuple[str, ...] = ()
    fingerprint: str | None = None
    """SHA-256 of the TLS certificate that was pinned on first use."""
    how: How = How.NAMED
    """How it came to be known."""


async def enrol(
    client: OnvifClient, target: Target, credentials: Credentials | None, tls: TlsPolicy | None = None
) -> FoundDevice:
    """One device within the client's limits: about eight calls for a camera of two profiles.

    :param tls: what is asked of its certificate; None: it is pinned on first use.

    :raises InvalidInputError: ``target.xaddr`` is no HTTP(S) URL.
    """
    device = client.dial(target.xaddr, credentials, tls=tls, fingerprint=target.fingerprint)
    found = FoundDevice(
        address=device.address,
        xaddr=device.xaddr,
        identity=Identity(endpoint=_text(target.endpoint, 512), address=device.address),
        how=target.how,
    )
    story = _Enrolment(device, found, target.scopes)
    try:
        await story.run()
    except OnvifError as error:
        story.note(error)
    return replace(
        story.found,
        clock_offset_seconds=device.clock_offset_s,
        fingerprint=device.fingerprint,
        error=story.error,
    )


class _Enrolment:
    """The steps; ``found`` grows with each of them."""

    def __init__(self, device: OnvifDevice, found: FoundDevice, scopes: tuple[str, ...]) -> None:
        self.device = device
        self.found = found
        self.scopes = scopes
        self.error: FoundError | None = None
        self.services: dict[str, str] = {}

    def note(self, error: OnvifError) -> None:
        """The first error is the one to show: later ones often follow from it."""
        if self.error is None:
            self.error = FoundError(str(error.kind), str(error))

    async def run(self) -> None:
        await self.device.read_clock()
        await self._find_services()
        await self._identify()
        await self._find_channels()

    async def _optional(self, call: Awaitable[Any], *, telling: bool = False) -> Any:
        """The result, or None; an error that the next call would meet too ends the enrolment."""
        try:
            return await call
        except OnvifError as error:
            if error.kind in FATAL:
                raise
            if telling:
                self.note(error)
            return None

    # -- which services ------------------------------------------------------------------------------------

    async def _find_services(self) -> None:
        listed = await self._optional(
            self.device.call(Service.DEVICE, "GetServices", IncludeCapability=False)
        )
        for entry in _items(listed):
            self._add_service(_text(dig(entry, "Namespace"), 200), dig(entry, "XAddr"))
        if Service.MEDIA.namespace in self.services or Service.MEDIA2.namespace in self.services:
            return
        capabilities = await self._optional(
            self.device.call(Service.DEVICE, "GetCapabilities", Category=["All"]), telling=True
        )
        self._add_service(Service.MEDIA.namespace, dig(capabilities, "Media", "XAddr"))

    def _add_service(self, namespace: str | None, xaddr: Any) -> None:
        url = self.device.service_url(_text(xaddr, 2_000))
        if namespace and url:
            self.services.setdefault(namespace.rstrip("/"), url)

    # -- what it is ----------------------------------------------------------------------------------------

    async def _identify(self) -> None:
        information = await self._optional(
            self.device.call(Service.DEVICE, "GetDeviceInformation"), telling=True
        )
        interfaces = await self._optional(self.device.call(Service.DEVICE, "GetNetworkInterfaces"))
        mac = _mac_of(_items(interfaces), self.device.host)
        scopes = self.scopes
        if not scopes or (mac is None and not scope_values(scopes, "MAC")):
            listed = await self._optional(self.device.call(Service.DEVICE, "GetScopes"))
            told = (_text(dig(scope, "ScopeItem"), 1_024) for scope in _items(listed)[:128])
            scopes += tuple(scope for scope in told if scope)
        identity = replace(
            self.found.identity,
            mac=mac or next(filter(None, map(normalised_mac, scope_values(scopes, "MAC"))), None),
            manufacturer=_text(dig(information, "Manufacturer")),
            model=_text(dig(information, "Model")) or next(iter(scope_values(scopes, "hardware")), None),
            serial=_text(dig(information, "SerialNumber")),
        )
        self.found = replace(
            self.found,
            identity=identity,
            firmware=_text(dig(information, "FirmwareVersion")),
            name=_text(next(iter(scope_values(scopes, "name")), None)),
            location=_text(" / ".join(scope_values(scopes, "location"))),
        )

    # -- what it shows -------------------------------------------------------------------------------------

    async def _find_channels(self) -> None:
        service, rows = await self._profiles()
        channels: dict[str, list[_Row]] = {}
        for row in rows:
            profiles = channels.setdefault(row.source, [])
            if len(profiles) < _PROFILES_A_CHANNEL:
                profiles.append(row)
        # Two connections a host at most, so two channels at a time; what is done stays if time runs out.
        gate = asyncio.Semaphore(2)
        done: dict[str, FoundChannel] = {
            source: _channel(source, rows, {}, None) for source, rows in channels.items()
        }

        async def fill(source: str) -> None:
            async with gate:
                uris: dict[str, str] = {}
                snapshot = None
                try:
                    for row in channels[source]:
                        uri = await self._stream_uri(service, row.token)
                        if uri is not None:
                            uris[row.token] = uri
                            done[source] = _channel(source, channels[source], uris, None)
                    snapshot = await self._snapshot_uri(service, channels[source])
                finally:
                    done[source] = _channel(source, channels[source], uris, snapshot)

        try:
            async with asyncio.TaskGroup() as group:
                for source in channels:
                    group.create_task(fill(source))
        except* OnvifError as errors:
            self.note(next(iter(_leaves(errors))))
        self.found = replace(self.found, channels=tuple(done.values()))

    async def _profiles(self) -> tuple[Service, list[_Row]]:
        """Media2 if it brings H.265, which Media1 cannot name; Media1 otherwise; Media2 if that is all."""
        rows: list[_Row] = []
        modern = self.services.get(Service.MEDIA2.namespace)
        classic = self.services.get(Service.MEDIA.namespace)
        if modern is not None:
            answer = await self._optional(
                self.device.call(
                    Service.MEDIA2, "GetProfiles", url=modern, Type=["VideoSource", "VideoEncoder"]
                ),
                telling=classic is None,
            )
            rows = list(filter(None, map(_media2_row, _items(answer)[:MAX_PROFILES])))
            if any(row.codec == "h265" for row in rows):
                return Service.MEDIA2, rows
        if classic is None and modern is None:
            # Neither told: the place where most devices have it.
            classic = self.device.service_url("/onvif/media_service")
            self.services[Service.MEDIA.namespace] = classic or self.device.xaddr
        if classic is not None:
            answer = await self._optional(
                self.device.call(Service.MEDIA, "GetProfiles", url=classic), telling=not rows
            )
            older = list(filter(None, map(_media1_row, _items(answer)[:MAX_PROFILES])))
            if older or not rows:
                return Service.MEDIA, older
        return Service.MEDIA2, rows

    async def _stream_uri(self, service: Service, token: str) -> str | None:
        url = self.services[service.namespace]
        if service is Service.MEDIA2:
            call = self.device.call(service, "GetStreamUri", url=url, Protocol="RTSP", ProfileToken=token)
        else:
            setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
            call = self.device.call(service, "GetStreamUri", url=url, StreamSetup=setup, ProfileToken=token)
        return self.device.pinned(_uri(await self._optional(call, telling=True)), RTSP)

    async def _snapshot_uri(self, service: Service, rows: Sequence[_Row]) -> str | None:
        url = self.services[service.namespace]
        call = self.device.call(service, "GetSnapshotUri", url=url, ProfileToken=rows[0].token)
        return self.device.pinned(_uri(await self._optional(call)), HTTP)


@dataclass(frozen=True, slots=True)
class _Row:
    """A profile with a video source and an encoder, before its URI is known."""

    token: str
    source: str
    source_name: str | None
    codec: str | None
    width: int | None
    height: int | None
    fps: float | None


def _media1_row(profile: Any) -> _Row | None:
    return _row(profile, dig(profile, "VideoSourceConfiguration"), dig(profile, "VideoEncoderConfiguration"))


def _media2_row(profile: Any) -> _Row | None:
    return _row(
        profile,
        dig(profile, "Configurations", "VideoSource"),
        dig(profile, "Configurations", "VideoEncoder"),
    )


def _row(profile: Any, source: Any, encoder: Any) -> _Row | None:
    token = dig(profile, "token")
    if not isinstance(token, str) or not 0 < len(token) <= _TEXT or encoder is None:
        return None
    return _Row(
        token,
        # A profile without a source token is a channel of its own rather than part of another one.
        _text(dig(source, "SourceToken")) or token,
        _text(dig(source, "Name")),
        _codec(dig(encoder, "Encoding")),
        _whole(dig(encoder, "Resolution", "Width")),
        _whole(dig(encoder, "Resolution", "Height")),
        _rate(dig(encoder, "RateControl", "FrameRateLimit")),
    )


def _channel(source: str, rows: Iterable[_Row], uris: dict[str, str], snapshot: str | None) -> FoundChannel:
    rows = list(rows)
    profiles = [
        FoundProfile(
            token=row.token,
            codec=row.codec,
            width=row.width,
            height=row.height,
            fps=row.fps,
            stream_uri=uris.get(row.token),
        )
        for row in rows
    ]
    return FoundChannel(
        token=source,
        name=next((row.source_name for row in rows if row.source_name), source),
        # Largest first; a device's own order decides between equals.
        profiles=tuple(sorted(profiles, key=lambda profile: -profile.pixels)),
        snapshot_uri=snapshot,
    )


def _mac_of(interfaces: Sequence[Any], host: str) -> str | None:
    """The MAC of the interface that has the dialled address, else of the first that is on, else of any."""
    usable = []
    for interface in interfaces[:32]:
        mac = normalised_mac(dig(interface, "Info", "HwAddress"))
        if mac is None:
            continue
        config = dig(interface, "IPv4", "Config")
        addresses = [dig(entry, "Address") for entry in _items(dig(config, "Manual"))[:16]]
        addresses.append(dig(config, "FromDHCP", "Address"))
        addresses.append(dig(config, "LinkLocal", "Address"))
        usable.append((host not in addresses, dig(interface, "Enabled") is False, mac))
    return min(usable, key=lambda rank: rank[:2])[2] if usable else None


_HEX = re.compile(r"[0-9a-f]{12}")


def normalised_mac(text: Any) -> str | None:
    """``aa:bb:cc:dd:ee:ff`` from any of the ways to write it; None if it names no single interface."""
    if not isinstance(text, str) or len(text) > 40:
        return None
    digits = re.sub(r"[\s:.\-]", "", text.strip().lower())
    if not _HEX.fullmatch(digits) or digits == "0" * 12 or int(digits[:2], 16) & 1:
        return None
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def _items(answer: Any) -> list[Any]:
    """The library gives a list where the document says many, and one object or None where a device errs."""
    if answer is None:
        return []
    return answer if isinstance(answer, list) else [answer]


def _text(value: Any, limit: int = _TEXT) -> str | None:
    return (printable(value[: 2 * limit])[:limit] or None) if isinstance(value, str) else None


def _uri(answer: Any) -> str | None:
    """Media1 wraps the URI in an object, Media2 does not."""
    return answer if isinstance(answer, str) else _text(dig(answer, "Uri"), 2_000)


def _codec(value: Any) -> str | None:
    word = (_text(value, 32) or "").lower().replace(".", "").replace("-", "")
    # RTP names of Media2, the enumeration of Media1, and what makers write.
    return {"avc": "h264", "hevc": "h265", "mjpeg": "jpeg", "mpeg4": "mpeg4", "mp4ves": "mpeg4"}.get(
        word, word or None
    )


def _whole(value: Any) -> int | None:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number <= 32_768 else None


def _rate(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return round(number, 3) if 0 < number <= 1_000 else None


def _leaves(group: BaseExceptionGroup[OnvifError]) -> Iterable[OnvifError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
