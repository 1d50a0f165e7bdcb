"""Ways to get RTP packets to one viewer, and the self-test that chooses between them at the start.

The fast way encrypts in place by libsrtp and hands runs of equal packets to the kernel in one call (UDP
segmentation offload). It reaches into aiortc, aioice and pylibsrtp where these offer nothing public; so it
is tried out first, and where anything of it is missing, packets go the plain way through aiortc, one by one.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import pylibsrtp
from aiortc import rtcdtlstransport

log = logging.getLogger(__name__)

UDP_SEGMENT = 103
"""linux/udp.h; Python has no name for it."""
_SOL_UDP = 17
_MOST_SEGMENTS = 64
_MOST_BYTES = 60_000
_ROOM = 65_536
_SEND_BUFFER = 1024 * 1024
_MOST_UNSENT = 256 * 1024
_NO_GSO = frozenset({errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.EOPNOTSUPP})
_SEGMENT = struct.Struct("@H")
_HEADER = struct.Struct(">BBHII")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Packets that leave in one system call: each in its slot, with room for its tag behind it."""

    data: bytes
    segment: int
    """Bytes of each packet but the last when encrypted; 0 if there is just one."""
    slots: tuple[tuple[int, int], ...]
    """Offset and length of each packet before encryption."""


def packets_of(payloads: tuple[bytes, ...], kind: int, number: int, time: int, ssrc: int) -> list[bytes]:
    """RTP packets of one picture (RFC 3550 5.1); the last has the marker. ``number`` of the first."""
    last = len(payloads) - 1
    return [
        _HEADER.pack(0x80, kind | (at == last) << 7, number + at & 0xFFFF, time, ssrc) + payload
        for at, payload in enumerate(payloads)
    ]


def chunks_of(packets: list[bytes], tag: int) -> tuple[Chunk, ...]:
    """Packets laid out for encryption in place: runs of one length, closed by one that is shorter."""
    made = []
    run: list[bytes] = []
    size = total = 0
    for packet in packets:
        length = len(packet) + tag
        if run and (
            len(run) == _MOST_SEGMENTS
            or len(run[-1]) + tag != size
            or length > size
            or total + length > _MOST_BYTES
        ):
            made.append(_chunk(run, tag))
            run, total = [], 0
        if not run:
            size = length
        run.append(packet)
        total += length
    if run:
        made.append(_chunk(run, tag))
    return tuple(made)


def _chunk(run: list[bytes], tag: int) -> Chunk:
    slots, at = [], 0
    for packet in run:
        slots.append((at, len(packet)))
        at += len(packet) + tag
    gap = bytes(tag)
    return Chunk(gap.join(run) + gap, len(run[0]) + tag if len(run) > 1 else 0, tuple(slots))


class CongestedError(Exception):
    """The socket takes no more at present."""


class Sender(Protocol):
    """Takes one viewer's packets. Nothing waits."""

    tag: int
    """Bytes that encryption adds to a packet."""

    def send(self, chunk: Chunk) -> int:
        """Bytes that left. CongestedError; ConnectionError when there is no connection (any more)."""

    def control(self, packet: bytes) -> None:
        """Send an RTCP packet; what cannot be sent is not sent."""

    def close(self) -> None:
        """Give back what is held. Nothing leaves after this."""


class PlainSender:
    """One packet at a time through aiortc's own transport."""

    __slots__ = ("_dtls", "tag")

    def __init__(self, dtls: rtcdtlstransport.RTCDtlsTransport) -> None:
        self._dtls: rtcdtlstransport.RTCDtlsTransport | None = dtls
        self.tag = 0

    def send(self, chunk: Chunk) -> int:
        if self._dtls is not None and _unsent(self._dtls) > _MOST_UNSENT:
            raise CongestedError
        for at, length in chunk.slots:
            self._send(chunk.data[at : at + length])
        return len(chunk.data)

    def control(self, packet: bytes) -> None:
        try:
            self._send(packet)
        except (ConnectionError, CongestedError):
            return

    def close(self) -> None:
        self._dtls = None

    def _send(self, packet: bytes) -> None:
        if self._dtls is None:
            raise ConnectionError("closed")
        sending = self._dtls._send_rtp(packet)
        try:
            sending.send(None)  # it is a coroutine by its signature alone: a datagram socket never waits
        except StopIteration:
            return
        except pylibsrtp.Error as error:
            raise ConnectionError(str(error)) from None
        sending.close()
        raise CongestedError


def _unsent(dtls: Any) -> int:
    """Bytes that the event loop holds for this viewer; it would hold any number."""
    try:
        return int(dtls.transport._connection._nominated[1].protocol.transport.get_write_buffer_size())
    except (AttributeError, KeyError):
        return 0


class GsoSender:
    """Encrypts in place and sends runs of packets in one call. See the module's text."""

    __slots__ = ("_address", "_context", "_dtls", "_session", "_socket", "_whole", "tag")

    def __init__(self, dtls: rtcdtlstransport.RTCDtlsTransport) -> None:
        """Raises ConnectionError, or AttributeError and the like, where there is no plain UDP socket."""
        transport: Any = dtls.transport
        pair = transport._connection._nominated.get(1)
        if pair is None:
            raise ConnectionError("no path is nominated")
        inner = pair.protocol.transport.get_extra_info("socket")
        if inner is None or inner.type != socket.SOCK_DGRAM:
            raise ConnectionError("relayed, not a socket of ours")
        self._session: Any = dtls._tx_srtp  # keeps the context below alive
        self._context = self._session._srtp[0]
        self._address = pair.remote_addr
        profile = dtls._ssl.get_selected_srtp_profile() if dtls._ssl else b""
        self.tag = 16 if b"GCM" in profile else 10
        self._dtls = dtls
        self._whole = True
        # A descriptor of our own: the event loop's socket object has no sendmsg, and may be closed under us.
        self._socket: socket.socket | None = socket.socket(fileno=os.dup(inner.fileno()))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    def send(self, chunk: Chunk) -> int:
        if self._socket is None or self._dtls._state is not rtcdtlstransport.State.CONNECTED:
            raise ConnectionError("closed")
        size = len(chunk.data)
        _VIEW[:size] = chunk.data
        context, length, protect, pointer = self._context, _LENGTH, _protect, _pointer
        for at, plain in chunk.slots:
            length[0] = plain
            if protect(context, pointer(at), length):
                raise ConnectionError("a packet could not be encrypted")
        try:
            if not chunk.segment:
                return self._socket.sendto(_VIEW[:size], self._address)
            if self._whole:
                return self._socket.sendmsg((_VIEW[:size],), _ancillary(chunk.segment), 0, self._address)
        except BlockingIOError:
            raise CongestedError from None
        except OSError as error:
            if error.errno not in _NO_GSO:
                return 0  # also an ICMP error for what was sent before: ICE finds out if the path is gone
            self._whole = False  # the way to this viewer cannot do it: a narrow tunnel, an odd interface
        try:
            return sum(
                self._socket.sendto(_VIEW[at : at + length + self.tag], self._address)
                for at, length in chunk.slots
            )
        except BlockingIOError:
            raise CongestedError from None
        except OSError:
            return 0

    def control(self, packet: bytes) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(self._session.protect_rtcp(packet), self._address)
        except (OSError, pylibsrtp.Error):
            return

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


# One scratch area for all viewers: encryption and sending happen in one go, in the loop's thread.
try:
    from pylibsrtp._binding import ffi as _ffi  # type: ignore[import-not-found]
    from pylibsrtp._binding import lib as _lib

    _SCRATCH = _ffi.new("char[]", _ROOM)
    _VIEW = memoryview(_ffi.buffer(_SCRATCH))
    _LENGTH = _ffi.new("int *")
    _protect = _lib.srtp_protect
    _INSIDE = True
except (ImportError, AttributeError):  # pragma: no cover - another pylibsrtp than the one pinned
    _INSIDE = False


@lru_cache(maxsize=4096)
def _pointer(at: int) -> Any:
    return _SCRATCH + at


@lru_cache(maxsize=2048)
def _ancillary(segment: int) -> tuple[tuple[int, int, bytes]]:
    return ((_SOL_UDP, UDP_SEGMENT, _SEGMENT.pack(segment)),)


@lru_cache(maxsize=1)
def gso_works() -> bool:
    """The self-test: encryption in place gives what the library's own way gives, the kernel cuts a run into
    datagrams, and the private parts of the WebRTC stack are where they are expected. Logs what it found."""
    reason = _missing()
    if reason is None:
        log.info("gateway: packets leave by UDP segmentation offload")
    else:
        log.warning("gateway: packets leave one by one, at twice the CPU: %s", reason)
    return reason is None


def _missing() -> str | None:
    if not _INSIDE:
        return "this pylibsrtp has no libsrtp within reach"
    try:
        if not hasattr(rtcdtlstransport.RTCDtlsTransport, "_send_rtp"):
            return "this aiortc is not the one that was tested"
        key = bytes(range(30))
        policy, other = (
            pylibsrtp.Policy(key=key, ssrc_type=kind)
            for kind in (pylibsrtp.Policy.SSRC_ANY_OUTBOUND, pylibsrtp.Policy.SSRC_ANY_INBOUND)
        )
        ours, theirs = pylibsrtp.Session(policy), pylibsrtp.Session(other)
        packets = packets_of((b"a" * 500, b"b" * 500, b"c" * 99), 96, 7, 1, 2)
        (chunk,) = chunks_of(packets, 10)
        size = len(chunk.data)
        _VIEW[:size] = chunk.data
        for at, plain in chunk.slots:
            _LENGTH[0] = plain
            if _protect(ours._srtp[0], _pointer(at), _LENGTH) or _LENGTH[0] != plain + 10:
                return "encryption in place failed"
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        ):
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(1)
            sender.sendmsg((_VIEW[:size],), _ancillary(chunk.segment), 0, receiver.getsockname())
            arrived = [receiver.recv(2048) for _ in packets]
        if [theirs.unprotect(packet) for packet in arrived] != packets:
            return "what arrived is not what was sent"
    except (OSError, AttributeError, TypeError, ValueError, pylibsrtp.Error) as error:
        return f"{type(error).__name__}: {error}"
    return None


def sender_for(dtls: rtcdtlstransport.RTCDtlsTransport, *, gso: bool) -> GsoSender | PlainSender:
    """The best sender that this viewer's connection allows."""
    if gso and gso_works():
        try:
            return GsoSender(dtls)
        except (ConnectionError, OSError, AttributeError, KeyError, TypeError) as error:
            log.info("gateway: one viewer is served packet by packet: %s", error)
    return PlainSender(dtls)
