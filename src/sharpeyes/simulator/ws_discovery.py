"""WS-Discovery for all devices of a process through one socket: the kernel says which address was asked.

A multicast probe is answered by every device over half a second, as the specification wants (APP_MAX_DELAY);
a unicast probe by the device that has the address, at once, from that address.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from xml.sax.saxutils import escape

from sharpeyes.simulator.fleet import DevicePlan
from sharpeyes.simulator.onvif_service import scopes
from sharpeyes.wire import xml
from sharpeyes.wire.ws_discovery import GROUP_V4

_LIMITS = xml.XmlLimits(elements=100, depth=16, attributes=24)
_KNOWN_TYPES = frozenset({"Device", "NetworkVideoTransmitter"})
_SPREAD_S = 0.5
_ASKERS = 8
"""Multicast answers under way at a time: one costs thousands of datagrams."""
_LINUX = sys.platform == "linux"
_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8 if _LINUX else 26)
_IP_MULTICAST_ALL = 49
_ANSWER = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
    ' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"'
    ' xmlns:dn="http://www.onvif.org/ver10/network/wsdl" xmlns:tds="http://www.onvif.org/ver10/device/wsdl">'
    "<s:Header><a:MessageID>urn:uuid:{message}</a:MessageID><a:RelatesTo>{relates}</a:RelatesTo>"
    "<a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To>"
    "<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</a:Action></s:Header>"
    "<s:Body><d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>{endpoint}</a:Address>"
    "</a:EndpointReference><d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>"
    "<d:Scopes>{scopes}</d:Scopes>"
    "<d:XAddrs>{xaddr}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches>"
    "</s:Body></s:Envelope>"
)
Reachable = tuple[DevicePlan, str, str]
"""Description, address, XAddr."""


class DiscoveryResponder:
    """Answers Probes for the devices that ``devices()`` gives at the time of asking."""

    def __init__(
        self, devices: Callable[[str | None], Iterable[Reachable]], loop: asyncio.AbstractEventLoop
    ) -> None:
        """``devices(address)``: those at an address, None for all that are to be found."""
        self._devices, self._loop = devices, loop
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.multicast = False
        """Whether multicast probes reach us."""

    def open(self, port: int, interfaces: Sequence[str]) -> None:
        """Listen, and join the group on the interfaces with these addresses. OSError if the port is taken."""
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024 * 1024)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)
            opened.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            if _LINUX:  # else groups that others joined on other interfaces reach us too
                opened.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            opened.bind(("", port))
        except OSError:
            opened.close()
            raise
        for interface in interfaces:
            group = socket.inet_aton(GROUP_V4) + socket.inet_aton(interface)
            with contextlib.suppress(OSError):
                opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
                self.multicast = True
        self._socket, self.port = opened, opened.getsockname()[1]
        self._loop.add_reader(opened.fileno(), self._readable)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        for _ in range(64):
            if self._socket is None:
                return
            try:
                data, ancillary, _, sender = self._socket.recvmsg(8192, 256)
            except OSError:
                return
            asked = next(
                (
                    socket.inet_ntoa(value[8:12])
                    for level, kind, value in ancillary
                    if level == socket.IPPROTO_IP and kind == _IP_PKTINFO and len(value) >= 12
                ),
                None,
            )
            probe = _probe(data)
            if probe is None or asked is None or sender[1] == 0:
                continue
            message, wanted = probe
            if asked != GROUP_V4:
                for device in self._devices(asked):
                    if _fits(device[0], wanted):
                        self._send(message, device, sender)
            elif len(self._tasks) < _ASKERS:
                task = self._loop.create_task(self._answer_all(message, wanted, sender))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _answer_all(self, message: str, wanted: Sequence[str], sender: tuple[str, int]) -> None:
        devices = [device for device in self._devices(None) if _fits(device[0], wanted)]
        random.shuffle(devices)
        steps = max(1, min(50, len(devices)))
        for step in range(steps):
            await asyncio.sleep(_SPREAD_S / steps)
            for device in devices[step::steps]:
                self._send(message, device, sender)

    def _send(self, relates: str, device: Reachable, target: tuple[str, int]) -> None:
        plan, address, xaddr = device
        text = _ANSWER.format(
            message=uuid.uuid4(),
            relates=escape(relates),
            endpoint=plan.endpoint,
            scopes=escape(" ".join(scopes(plan))),
            xaddr=escape(xaddr),
        )
        source = struct.pack("@i4s4s", 0, socket.inet_aton(address), b"\0\0\0\0")
        if self._socket is not None:
            with contextlib.suppress(OSError):  # a full buffer loses an answer, as on any network
                self._socket.sendmsg([text.encode()], [(socket.IPPROTO_IP, _IP_PKTINFO, source)], 0, target)


def _fits(plan: DevicePlan, wanted: Sequence[str]) -> bool:
    """Scope matching by prefix, the default rule (WS-Discovery section 5.1)."""
    return all(any(own.startswith(scope) for own in scopes(plan)) for scope in wanted)


def _probe(data: bytes) -> tuple[str, list[str]] | None:
    """MessageID and scopes of a Probe that asks for devices like ours, None for anything else."""
    try:
        root = xml.parse(xml.decode(data), _LIMITS)
    except xml.XmlSyntaxError:
        return None
    probe = xml.child(root, "Body", "Probe")
    if probe is None:
        return None
    types = xml.text_of(xml.child(probe, "Types"), 512).split()
    if not {name.rpartition(":")[2] for name in types} <= _KNOWN_TYPES:
        return None
    message = xml.text_of(xml.child(root, "Header", "MessageID"), 256)
    return (message, xml.text_of(xml.child(probe, "Scopes"), 1024).split()[:8]) if message else None
