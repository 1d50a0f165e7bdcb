"""Sockets for RTSP: they carry what a :class:`Dialogue` says, and name in domain words what broke them.

Works on uvloop and on asyncio's own loop. Nothing here decides anything: who calls gets events and bytes.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from sharpeyes.domain.health import FailureKind
from sharpeyes.net.tls import CertificateRefusedError, TlsPolicy, context_of, fingerprint_of
from sharpeyes.wire.rtsp.dialogue import Dialogue, Event

_MAX_ADDRESSES = 4
_UDP_BUFFER = 1024 * 1024
_UDP_BATCH = 64
_MAX_DATAGRAM = 65536

_KINDS = {
    errno.EMFILE: FailureKind.NO_DESCRIPTORS,
    errno.ENFILE: FailureKind.NO_DESCRIPTORS,
    errno.ENOBUFS: FailureKind.NO_RESOURCES,
    errno.ENOMEM: FailureKind.NO_RESOURCES,
    errno.ENETUNREACH: FailureKind.NO_ROUTE,
    errno.ENETDOWN: FailureKind.NO_ROUTE,
    errno.EADDRNOTAVAIL: FailureKind.NO_ROUTE,
    errno.EAFNOSUPPORT: FailureKind.NO_ROUTE,
    errno.EACCES: FailureKind.NO_ROUTE,  # a packet filter of this machine
    errno.EPERM: FailureKind.NO_ROUTE,
    errno.EHOSTUNREACH: FailureKind.UNREACHABLE,
    errno.EHOSTDOWN: FailureKind.UNREACHABLE,
    errno.ECONNREFUSED: FailureKind.REFUSED,
    errno.ECONNRESET: FailureKind.CLOSED,
    errno.ECONNABORTED: FailureKind.CLOSED,
    errno.EPIPE: FailureKind.CLOSED,
    errno.ENOTCONN: FailureKind.CLOSED,
    errno.ETIMEDOUT: FailureKind.TIMEOUT,
}
_NAME_KINDS = {socket.EAI_NONAME: FailureKind.NAME_UNKNOWN, socket.EAI_NODATA: FailureKind.NAME_UNKNOWN}


class NetworkError(Exception):
    """A connection could not be made, and why."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def kind_of(error: BaseException | None) -> FailureKind:
    """What an error of a socket means; None, the end of the stream, is :attr:`FailureKind.CLOSED`."""
    if error is None:
        return FailureKind.CLOSED
    if isinstance(error, socket.gaierror):
        return _NAME_KINDS.get(error.errno or 0, FailureKind.NO_RESOLVER)
    if isinstance(error, CertificateRefusedError):
        return FailureKind.CERTIFICATE
    if isinstance(error, ssl.SSLError):
        return FailureKind.TLS
    if isinstance(error, OSError):
        return _KINDS.get(error.errno or 0, FailureKind.INTERNAL)
    return FailureKind.INTERNAL


async def resolve(host: str) -> list[str]:
    """Addresses of a name, at most four; a literal address is itself. NetworkError."""
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except OSError:
        pass
    else:
        return [host]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        kind = kind_of(error) if isinstance(error, OSError) else FailureKind.NAME_UNKNOWN
        raise NetworkError(kind, f"the name {host} cannot be resolved: {_reason(error)}") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))[:_MAX_ADDRESSES]


class RtspConnection(asyncio.Protocol):
    """One RTSP connection, driven by callbacks.

    ``on_event`` gets what the dialogue makes of the bytes, one event a call. ``on_data`` is called after
    each piece of them, when media may have gone to the dialogue's sink. ``on_closed`` comes once, with the
    error if there was one, unless :meth:`close` was called before.
    """

    __slots__ = ("_closing", "_dialogue", "_on_closed", "_on_data", "_on_event", "_secured", "_transport")

    def __init__(
        self,
        dialogue: Dialogue,
        *,
        on_event: Callable[[Event], None],
        on_data: Callable[[], None],
        on_closed: Callable[[BaseException | None], None],
    ) -> None:
        self._dialogue = dialogue
        self._on_event = on_event
        self._on_data = on_data
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._closing = self._secured = False

    async def connect(self, address: str, port: int) -> None:
        """Connect to a literal address. NetworkError."""
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self, address, port)
        except OSError as error:
            raise NetworkError(
                kind_of(error), f"no connection to {address} port {port}: {_reason(error)}"
            ) from error

    async def secure(self, host: str, policy: TlsPolicy) -> str:
        """TLS over the connection that stands; gives the certificate's SHA-256. NetworkError."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._closing = True  # the error tells more than the loss of the connection behind it
        try:
            transport = await loop.start_tls(self._transport, self, context_of(policy), server_hostname=host)
        except CertificateRefusedError as error:
            raise NetworkError(FailureKind.CERTIFICATE, error.message) from error
        except (OSError, ValueError) as error:
            kind = kind_of(error)
            raise NetworkError(
                FailureKind.TLS if kind is FailureKind.INTERNAL else kind, f"no TLS: {_reason(error)}"
            ) from error
        if transport is None:
            raise NetworkError(FailureKind.CLOSED, "no TLS: the camera closed the connection")
        self._closing, self._secured = False, True
        self._transport = transport
        return fingerprint_of(transport.get_extra_info("ssl_object"))

    def flush(self) -> None:
        """Send what the dialogue has to say."""
        out = self._dialogue.outgoing()
        if out and self._transport is not None and not self._closing:
            self._transport.write(out)

    @property
    def addresses(self) -> tuple[str, str]:
        """Ours and the other side's; empty where the connection is gone already."""
        if self._transport is None:
            return "", ""
        names = (self._transport.get_extra_info(name) for name in ("sockname", "peername"))
        local, peer = (name[0] if name else "" for name in names)
        return local, peer

    def pause(self) -> None:
        """Let what comes wait in the socket, until :meth:`resume`."""
        if self._transport is not None and not self._closing:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._closing:
            self._transport.resume_reading()

    def close(self) -> None:
        """Say what is left to be said, and close. No callback comes after this."""
        self.flush()
        self._closing = True
        if self._transport is None:
            return
        if self._secured:  # TLS would wait for the other side's farewell, for half a minute
            self._transport.abort()
        else:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        if self._closing:
            transport.close()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        dialogue = self._dialogue
        for event in dialogue.feed(data):
            self._on_event(event)
            if self._closing:
                return
        if dialogue.has_outgoing:
            self.flush()
        self._on_data()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closing:
            self._closing = True
            self._on_closed(exc)


class UdpPair:
    """Two neighbouring UDP ports, for RTP and RTCP (RFC 3550 11). Datagrams from other hosts are dropped."""

    def __init__(
        self, local: str, peer: str, *, on_rtp: Callable[[bytes], None], on_rtcp: Callable[[bytes], None]
    ) -> None:
        """Bind to the ``local`` address. NetworkError if there are no two ports."""
        self._loop = asyncio.get_running_loop()
        self._peer = peer
        try:
            self._sockets = _bind_pair(local)
        except OSError as error:
            raise NetworkError(kind_of(error), f"no UDP ports: {_reason(error)}") from error
        for sock, callback in zip(self._sockets, (on_rtp, on_rtcp), strict=True):
            self._loop.add_reader(sock, self._readable, sock, callback)

    @property
    def ports(self) -> tuple[int, int]:
        first, second = (sock.getsockname()[1] for sock in self._sockets)
        return first, second

    def send(self, server_ports: tuple[int, int], rtp: bytes, rtcp: bytes) -> None:
        """Towards the server: opens the way back through a NAT. What cannot be sent is not sent."""
        for sock, port, data in zip(self._sockets, server_ports, (rtp, rtcp), strict=True):
            with suppress(OSError, OverflowError):
                sock.sendto(data, (self._peer, port))

    def close(self) -> None:
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            sock.close()

    def _readable(self, sock: socket.socket, callback: Callable[[bytes], None]) -> None:
        for _ in range(_UDP_BATCH):
            if sock.fileno() < 0:  # closed by a callback
                return
            try:
                data, address = sock.recvfrom(_MAX_DATAGRAM)
            except OSError:  # nothing left, or an ICMP error for what was sent
                return
            if address[0] == self._peer:
                callback(data)


def _bind_pair(local: str) -> tuple[socket.socket, socket.socket]:
    for _ in range(16):
        first = _bind(local, 0)
        port = first.getsockname()[1]
        neighbour = port ^ 1  # RTP has the even port of the two
        try:
            second = _bind(local, neighbour)
        except OSError as error:
            first.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        return (second, first) if port % 2 else (first, second)
    raise OSError(errno.EADDRINUSE, "no two neighbouring ports are free")


def _bind(local: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in local else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UDP_BUFFER)
        sock.bind((local, port))
    except OSError:
        sock.close()
        raise
    return sock


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno in _KINDS and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)  # asyncio puts the address into its text a second time
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
