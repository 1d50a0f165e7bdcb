"""WS-Discovery on real interfaces: probes out, answers in, bounded in number, size and time.

Each of the two probe types is sent twice: datagrams get lost, and some devices know one type only. A large
receive buffer matters more than anything else, since a whole street answers within the same half second.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import ipaddress
import random
import socket
import struct
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.wire.ws_discovery import (
    GROUP_V4,
    GROUP_V6,
    PORT,
    DiscoverySyntaxError,
    Match,
    ProbeType,
    parse,
    probe,
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_RECEIVE_BUFFER = 4 << 20
_DATAGRAMS = 65_536
_DATAGRAMS_A_SOURCE = 64
_SIOCGIFADDR = 0x8915


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A device that answered, and what may be believed of its answer."""

    source: str
    """IP address that the datagram came from."""
    xaddrs: tuple[str, ...]
    """Those whose host is the source or lies in the operator's networks."""
    refused: tuple[str, ...]
    """Those that name somebody else: not to be dialled."""
    match: Match


@dataclass(frozen=True, slots=True)
class Interface:
    """Where multicast goes out: by an IPv4 address, or by an index for IPv6."""

    name: str
    address: str | None
    index: int


def interfaces(asked: Sequence[str] = ()) -> list[Interface]:
    """The interfaces asked for, by name or IPv4 address; all but loopback if none is asked for.

    :raises InvalidInputError: no such interface on this machine.
    """
    known = [Interface(name, _ipv4(name), index) for index, name in socket.if_nameindex()]
    if not asked:
        return [i for i in known if i.address is not None and not i.address.startswith("127.")]
    chosen = []
    for text in asked:
        match = next((i for i in known if text in (i.name, i.address)), None)
        if match is None:
            names = ", ".join(f"{i.name} ({i.address})" if i.address else i.name for i in known)
            raise InvalidInputError(f"interface {text!r} is not on this machine", mend=f"There are: {names}")
        chosen.append(match)
    return chosen


def _ipv4(name: str) -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        try:
            answer = fcntl.ioctl(query, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])


async def discover(
    *,
    multicast: Sequence[Interface] = (),
    unicast: Iterable[str] = (),
    believed: Sequence[Network] = (),
    wait_s: float = 3.0,
    port: int = PORT,
    heard: Callable[[Sighting], None] | None = None,
) -> list[Sighting]:
    """Everybody who answers within ``wait_s`` of the last probe, each once.

    :param unicast: addresses that get probes of their own, for networks that multicast does not reach.
    :param believed: networks whose addresses an XAddr may name besides its own source.
    :param heard: called for each new sighting, for progress.
    """
    loop = asyncio.get_running_loop()
    listener = _Listener(believed, heard)
    senders: list[tuple[asyncio.DatagramTransport, tuple[str | int, ...]]] = []
    opened: list[asyncio.DatagramTransport] = []

    async def open_socket(sock: socket.socket) -> asyncio.DatagramTransport:
        transport, _ = await loop.create_datagram_endpoint(lambda: listener, sock=sock)
        opened.append(transport)
        return transport

    try:
        for interface in multicast:
            if interface.address is not None:
                senders.append((await open_socket(_multicast_v4(interface.address)), (GROUP_V4, port)))
            six = _multicast_v6(interface.index)
            if six is not None:
                senders.append((await open_socket(six), (GROUP_V6, port, 0, interface.index)))
        hosts = list(unicast)
        for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
            mine = [host for host in hosts if ipaddress.ip_address(host).version == version]
            if mine:
                transport = await open_socket(_socket(family))
                senders.extend((transport, (host, port)) for host in mine)
        for _ in range(2):
            for kind in ProbeType:
                message = probe(f"urn:uuid:{uuid.uuid4()}", kind)
                for count, (transport, target) in enumerate(senders, 1):
                    transport.sendto(message, target)
                    if count % 64 == 0:
                        await asyncio.sleep(0.01)  # a switch drops what comes in one burst
                await asyncio.sleep(random.uniform(0.05, 0.15))
        if senders:
            await asyncio.sleep(wait_s)
    finally:
        for transport in opened:
            transport.abort()
    return list(listener.sightings.values())


class _Listener(asyncio.DatagramProtocol):
    def __init__(self, believed: Sequence[Network], heard: Callable[[Sighting], None] | None) -> None:
        self._believed = believed
        self._heard = heard
        self._left = _DATAGRAMS
        self._of_source: dict[str, int] = {}
        self.sightings: dict[tuple[object, ...], Sighting] = {}

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        source = str(addr[0])
        seen = self._of_source.get(source, 0)
        if seen >= _DATAGRAMS_A_SOURCE or self._left == 0:
            return
        self._of_source[source] = seen + 1
        self._left -= 1
        try:
            message = parse(data)
        except DiscoverySyntaxError:
            return
        for match in message.matches:
            if not match.xaddrs:
                continue
            fine = tuple(url for url in match.xaddrs if self._is_believed(url, source))
            refused = tuple(url for url in match.xaddrs if url not in fine)
            sighting = Sighting(source=source, xaddrs=fine, refused=refused, match=match)
            first = self.sightings.setdefault((source, match.endpoint, match.xaddrs), sighting) is sighting
            if first and self._heard is not None:
                self._heard(sighting)

    def _is_believed(self, url: str, source: str) -> bool:
        try:
            host = ipaddress.ip_address(urlsplit(url).hostname or "")
        except ValueError:
            return False
        own = ipaddress.ip_address(source.partition("%")[0])
        return host == own or any(host in network for network in self._believed)

    def error_received(self, exc: Exception) -> None:
        """An address that nobody has answers by ICMP; that is no error of the search."""


def _socket(family: socket.AddressFamily) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    # The kernel grants up to net.core.rmem_max, silently.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    return sock


def _multicast_v4(address: str) -> socket.socket:
    sock = _socket(socket.AF_INET)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
    sock.bind((address, 0))
    return sock


def _multicast_v6(index: int) -> socket.socket | None:
    """None where the machine or the interface has no IPv6."""
    try:
        sock = _socket(socket.AF_INET6)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return None
        raise
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
    return sock
