"""WS-Discovery of virtual devices: each answers from its own address, odd scopes included."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest
from virtual_client import device, playing

from sharpeyes.simulator.fault import Fault, FaultKind
from sharpeyes.simulator.fleet import Addressing
from sharpeyes.wire.ws_discovery import Message, ProbeType, parse, probe

PLACE = Addressing(network="127.9.2.1", rtsp_port=0, onvif_port=0, discovery_port=0)


def ask(target: tuple[str, int], data: bytes, seconds: float) -> list[tuple[str, Message]]:
    """Answers and the addresses that they came from."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        asker.bind(("127.0.0.1", 0))
        asker.sendto(data, target)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            asker.settimeout(left)
            try:
                answer, sender = asker.recvfrom(65536)
            except TimeoutError:
                break
            found.append((sender[0], parse(answer)))
    return found


@pytest.mark.parametrize("kind", list(ProbeType))
async def test_a_unicast_probe_is_answered_by_who_lives_there(cache: Path, kind: ProbeType) -> None:
    plans = [device(f"cam{n}", scopes=("onvif://www.onvif.org/location/New Town",)) for n in (1, 2, 3)]
    async with playing(cache, *plans, addressing=PLACE) as simulator:
        endpoint = simulator.endpoints["cam2"]
        port = simulator.discovery_port
        assert port
        found = await asyncio.to_thread(ask, (endpoint.address, port), probe("urn:uuid:7", kind), 0.3)
        ((sender, message),) = found
        assert sender == endpoint.address
        assert message.relates_to == "urn:uuid:7"
        (match,) = message.matches
        assert match.xaddrs == (endpoint.xaddr,)
        assert "onvif://www.onvif.org/location/New Town" in match.scopes
        assert match.endpoint == plans[1].endpoint


async def test_a_multicast_probe_is_answered_by_all_that_can_be_found(cache: Path) -> None:
    plans = [
        device("a"),
        device("b", fault=Fault(kind=FaultKind.OFF)),
        device("c", discoverable=False),
        device("d"),
    ]
    async with playing(cache, *plans, addressing=PLACE) as simulator:
        if not simulator.multicast:
            pytest.skip("this machine lets nobody join a multicast group on loopback")
        target = ("239.255.255.250", simulator.discovery_port or 0)
        found = await asyncio.to_thread(ask, target, probe("urn:uuid:8", ProbeType.DEVICE), 1.2)
        if not found:
            pytest.skip("this machine does not route multicast over loopback")
        assert sorted(sender for sender, _ in found) == sorted(
            simulator.endpoints[each].address for each in ("a", "d")
        )


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:-5],
        lambda data: data.replace(b"tds:Device", b"tds:Printer"),
        lambda data: data.replace(b"d:Probe>", b"d:Bye>"),
        lambda data: b"<!DOCTYPE a>" + data.split(b"?>", 1)[1],
        lambda data: data.replace(b"</d:Types>", b"</d:Types><d:Scopes>onvif://elsewhere/</d:Scopes>"),
        lambda data: data.replace(b"urn:uuid:9", b""),
    ],
)
async def test_what_is_no_probe_for_us_hears_nothing(cache: Path, change: object) -> None:
    async with playing(cache, addressing=PLACE) as simulator:
        data = change(probe("urn:uuid:9", ProbeType.DEVICE))  # type: ignore[operator]
        target = (simulator.endpoints["cam"].address, simulator.discovery_port or 0)
        assert await asyncio.to_thread(ask, target, data, 0.15) == []


async def test_scopes_select_by_prefix(cache: Path) -> None:
    async with playing(cache, addressing=PLACE) as simulator:
        data = probe("urn:uuid:9", ProbeType.DEVICE).replace(
            b"</d:Types>",
            b"</d:Types><d:Scopes>onvif://www.onvif.org/type onvif://www.onvif.org/MAC</d:Scopes>",
        )
        target = (simulator.endpoints["cam"].address, simulator.discovery_port or 0)
        assert len(await asyncio.to_thread(ask, target, data, 0.3)) == 1
