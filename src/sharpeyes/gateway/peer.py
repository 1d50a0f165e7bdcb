"""One WebRTC connection to one viewer, on aiortc.

aiortc does ICE, DTLS and SDP. What it would do for media (a task a viewer, a packet at a time) is taken out:
its sender is left without its tasks, and once DTLS stands, packets come from the hub.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aioice.ice import StunProtocol
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpCodecCapability,
    RTCSessionDescription,
)
from aiortc.codecs import CODECS
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpCodecParameters
from aiortc.sdp import candidate_from_sdp

from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.gateway.hub import Hub, Viewer
from sharpeyes.gateway.preflight import Offered
from sharpeyes.gateway.sender import sender_for
from sharpeyes.gateway.settings import IceSettings

log = logging.getLogger(__name__)

MAX_OFFER = 64 * 1024
# Kept from aiortc: names that browsers put in place of their addresses (mDNS: each would hold the answer up
# for a second of asking the network for it), and the end of candidates, at which it gives up at once where
# none is of use. The browser's own checks show its address a moment later: RFC 8863 asks to wait for them,
# and how long is the gateway's patience (``connect_s``).
_HIDDEN = re.compile(r"candidate:(\S+ ){4}\S+\.local ", re.IGNORECASE)
_UNUSED = re.compile(rf"^a=(end-of-candidates|{_HIDDEN.pattern}.*)\r?\n", re.MULTILINE | re.IGNORECASE)
_MAX_SECTIONS = 8
_MAX_CANDIDATES = 64
_H265 = {"level-id": "180", "profile-id": "1", "tier-flag": "0", "tx-mode": "SRST"}


@lru_cache(maxsize=1)
def extend_codecs() -> None:
    """Teach aiortc's negotiation the profiles that cameras have; it neither codes nor decodes them here."""
    feedback = [
        RTCRtcpFeedback(type="nack"),
        RTCRtcpFeedback(type="nack", parameter="pli"),
        RTCRtcpFeedback(type="ccm", parameter="fir"),
    ]
    h264 = {"level-asymmetry-allowed": "1", "packetization-mode": "1"}
    wanted: list[tuple[str, dict[str, Any]]] = [
        ("video/H264", {**h264, "profile-level-id": profile}) for profile in ("4d001f", "64001f", "640c1f")
    ]
    wanted.append(("video/H265", dict(_H265)))
    free = max(codec.payloadType or 0 for codec in CODECS["video"]) + 1
    for number, (kind, parameters) in enumerate(wanted):
        CODECS["video"].append(
            RTCRtpCodecParameters(
                mimeType=kind,
                clockRate=90_000,
                payloadType=free + number,
                rtcpFeedback=list(feedback),
                parameters=parameters,
            )
        )


class Peer:
    """A viewer's connection. ``connected`` and ``lost`` are called once each, at most."""

    def __init__(
        self, ice: IceSettings, *, gso: bool, connected: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        extend_codecs()
        self._ice = ice
        self._gso = gso
        self._connected = connected
        self._lost: Callable[[], None] | None = lost
        # One transport for all sections, ours: browsers put a section for sound first, and what it brings
        # along would otherwise take the place of the transport that is prepared below.
        self._connection = RTCPeerConnection(
            RTCConfiguration(iceServers=_servers(ice), bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._connection.on("connectionstatechange", self._changed)
        self._hub: Hub | None = None
        self._dtls: Any = None
        self._candidates = 0
        self._closing: asyncio.Task[None] | None = None
        self.viewer: Viewer | None = None

    async def answer(self, offer: str, offered: Offered, hub: Hub) -> str:
        """The answer to an offer, for the format that was chosen from it. InvalidInputError if the offer is
        not of the right form."""
        if offer.count("m=") > _MAX_SECTIONS or offer.count("a=candidate:") > _MAX_CANDIDATES:
            raise InvalidInputError("offer: more sections or candidates than a browser sends")
        self._hub = hub
        connection = self._connection
        transceiver = connection.addTransceiver("video", direction="sendonly")
        transceiver.setCodecPreferences(_preferences(offered))
        transceiver._bundled = True
        self._dtls = transceiver.sender.transport
        # As the DTLS server we choose the cipher: AES-GCM, at half the CPU of what browsers would choose.
        self._dtls._set_role("server")
        self._take_over(transceiver.sender, hub)
        self._prepare_ice(self._dtls.transport._connection)
        try:
            sdp = _UNUSED.sub("", offer)
            await connection.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
            await connection.setLocalDescription(await connection.createAnswer())
        except Exception as error:  # noqa: BLE001 (aiortc's parser raises whatever it stumbles over)
            raise InvalidInputError(f"offer: it cannot be read ({type(error).__name__})") from None
        return str(connection.localDescription.sdp)

    async def candidate(self, text: str, mid: str | None) -> None:
        """A candidate that came later."""
        self._candidates += 1
        if self._candidates > _MAX_CANDIDATES:
            raise InvalidInputError("candidates: more than a browser sends")
        if _HIDDEN.match(text):
            return
        try:
            candidate = candidate_from_sdp(text.removeprefix("candidate:"))
        except (AssertionError, ValueError, IndexError):
            raise InvalidInputError("candidate: it cannot be read") from None
        candidate.sdpMid = mid or "0"
        candidate.sdpMLineIndex = 0
        try:
            await self._connection.addIceCandidate(candidate)
        except Exception:  # noqa: BLE001 (as above)
            raise InvalidInputError("candidate: it belongs to no section") from None

    def cut(self) -> None:
        """No packet from now on. The connection itself is closed by :meth:`close`."""
        self._lost = None
        self._hub = None
        if self.viewer is not None:
            self.viewer.close()

    async def close(self) -> None:
        """Close the connection and free what it holds."""
        self.cut()
        await self._connection.close()

    # -- inside

    def _changed(self) -> None:
        if self._connection.connectionState in ("failed", "closed", "disconnected"):
            self._gone()

    def _gone(self) -> None:
        lost, self._lost = self._lost, None
        if lost is not None:
            lost()

    def _take_over(self, sender: Any, hub: Hub) -> None:
        """Leave aiortc's sender its place in the SDP, and nothing else."""
        sender._ssrc = hub.ssrc

        async def send(parameters: Any) -> None:
            if self.viewer is None and self._hub is not None:
                self._begin(parameters.codecs[0].payloadType)

        async def stop() -> None:
            return

        sender.send, sender.stop = send, stop

    def _begin(self, payload_type: int) -> None:
        """DTLS stands: the viewer joins the hub."""
        hub = self._hub
        assert hub is not None
        sender = sender_for(self._dtls, gso=self._gso)
        self.viewer = Viewer(hub, sender, payload_type, gone=self._gone)
        self._dtls._handle_rtcp_data = self._feedback
        self._connected()
        hub.add(self.viewer)

    async def _feedback(self, data: bytes) -> None:
        """RTCP from the viewer: all that matters is what it misses (RFC 4585 6.1)."""
        viewer = self.viewer
        if viewer is None:
            return
        at = 0
        while len(data) - at >= 4:
            size = 4 + 4 * (data[at + 2] << 8 | data[at + 3])
            kind, form = data[at + 1], data[at] & 0x1F
            if kind == 205 and form == 1:
                viewer.lost(_missing(data[at + 12 : at + size]))
            elif kind == 206 and form in (1, 4):
                viewer.lost_picture()
            at += size

    def _prepare_ice(self, ice: Any) -> None:
        """Our own host candidates where the site says which addresses and ports to use."""
        settings = self._ice
        ice._use_ipv6 = True
        if not (settings.addresses or settings.announced or settings.ports):
            return
        others = ice.get_component_candidates

        async def gather(component: int, addresses: list[str], timeout: int = 5) -> list[Candidate]:  # noqa: ASYNC109
            local = list(settings.addresses or addresses)
            hosts = [await _bind(ice, component, address, settings) for address in local]
            found = [candidate for candidate in hosts if candidate is not None]
            return found + list(await others(component=component, addresses=[], timeout=timeout))

        ice.get_component_candidates = gather
        if settings.addresses:
            ice._use_ipv4 = ice._use_ipv6 = False  # do not list the interfaces


async def _bind(ice: Any, component: int, address: str, settings: IceSettings) -> Candidate | None:
    loop = asyncio.get_running_loop()
    ports = [0]
    if settings.ports:
        first, last = settings.ports
        start = random.randrange(last - first + 1)
        ports = [first + (start + step) % (last - first + 1) for step in range(last - first + 1)]
    for port in ports:
        try:
            _, protocol = await loop.create_datagram_endpoint(
                lambda: StunProtocol(ice), local_addr=(address, port)
            )
        except OSError:
            continue
        bound = protocol.transport.get_extra_info("sockname")
        protocol.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", bound[0]),
            component=component,
            transport="udp",
            priority=candidate_priority(component, "host"),
            host=settings.announced or bound[0],
            port=bound[1],
            type="host",
        )
        ice._protocols.append(protocol)
        return protocol.local_candidate
    log.warning("gateway: no free UDP port on %s", address)
    return None


def _servers(ice: IceSettings) -> list[RTCIceServer]:
    servers = [RTCIceServer(urls=ice.stun)] if ice.stun else []
    if ice.turn:
        servers.append(
            RTCIceServer(urls=ice.turn.url, username=ice.turn.username, credential=ice.turn.password.reveal())
        )
    return servers


def _preferences(offered: Offered) -> list[RTCRtpCodecCapability]:
    """The negotiable codecs, the one that fits the chosen format first."""
    wanted = "video/h264" if offered.encoding == "H264" else "video/h265"
    profile = offered.parameters.get("profile-level-id", "42e01f").lower()
    found = [codec for codec in CODECS["video"] if codec.mimeType.lower() == wanted]
    found.sort(key=lambda codec: str(codec.parameters.get("profile-level-id", "")) != profile)
    return [
        RTCRtpCodecCapability(
            mimeType=codec.mimeType,
            clockRate=codec.clockRate,
            channels=codec.channels,
            parameters=codec.parameters,
        )
        for codec in found
    ]


def _missing(items: bytes) -> list[int]:
    """Packet numbers of a generic NACK (RFC 4585 6.2.1)."""
    numbers = []
    for first, mask in struct.iter_unpack(">HH", items[: len(items) // 4 * 4]):
        numbers.append(first)
        while mask:
            low = mask & -mask
            numbers.append(first + low.bit_length() & 0xFFFF)
            mask ^= low
    return numbers
