"""Find and enrol, on loopback: the sweep, whom to believe, what the command answers."""

from __future__ import annotations

import asyncio
import errno
import json
from contextlib import AsyncExitStack
from ipaddress import ip_network

import pytest
from typer.testing import CliRunner

from ports import free_port
from sharpeyes.cli import app
from sharpeyes.discovery.discover import Search, Step, discover
from sharpeyes.discovery.sweep import Pace, hosts, networks, sweep
from sharpeyes.domain.errors import InvalidInputError, UnavailableError
from sharpeyes.net.knock import Knock, knock
from sharpeyes.net.onvif import OnvifLimits
from sharpeyes.net.ws_discovery import discover as ask_around
from sharpeyes.net.ws_discovery import interfaces
from soap_device import Answer, Device, fault

PACE = Pace(per_second=5_000)


@pytest.mark.parametrize(
    ("reply", "who"),
    [
        (None, Knock.DEVICE),
        (fault("NotAuthorized", "no", 400), Knock.DEVICE),
        (fault("NotAuthorized", "no", 200), Knock.DEVICE),
        (Answer("", 401, {"WWW-Authenticate": 'Digest realm="x"'}, raw=True), Knock.DEVICE),
        (Answer("<html>hello</html>", raw=True), Knock.OTHER),
        (Answer("", 404, raw=True), Knock.OTHER),
        (Answer("", 302, {"Location": "/"}, raw=True), Knock.OTHER),
        (Answer("<!DOCTYPE x [<!ENTITY a 'b'>]><a>&a;</a>", raw=True), Knock.OTHER),
        (Answer(b"\x00" * 200_000, raw=True), Knock.OTHER),
    ],
)
async def test_who_opens(reply: Answer | None, who: Knock) -> None:
    device = Device(replies={} if reply is None else {"GetSystemDateAndTime": reply})
    async with device.serving():
        assert await knock("127.0.0.1", device.port) is who
    assert await knock("127.0.0.1", device.port) is Knock.NOBODY


async def test_a_silent_port_does_not_hold_the_sweep() -> None:
    async def silent(*_: object) -> None:
        await asyncio.sleep(60)

    device = Device(takeover=silent)
    async with device.serving():
        assert await knock("127.0.0.1", device.port, answer_s=0.3) is Knock.OTHER


async def test_every_device_of_a_network_is_found_and_progress_is_told() -> None:
    devices = [Device(host=f"127.0.9.{number}") for number in (1, 7, 30)]
    told: list[tuple[int, int]] = []
    async with AsyncExitStack() as stack:
        for device in devices:
            await stack.enter_async_context(device.serving())
        ports = [device.port for device in devices]
        urls = await sweep(
            [ip_network("127.0.9.0/27")],
            ports,
            pace=PACE,
            progress=lambda done, total: told.append((done, total)),
        )
    assert urls == sorted(device.xaddr for device in devices)
    assert told[-1] == (90, 90)


async def test_no_descriptors_left_is_not_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that could not ask must not say that it found nothing."""

    async def exhausted(*_: object, **__: object) -> Knock:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr("sharpeyes.discovery.sweep.knock", exhausted)
    with pytest.raises(UnavailableError, match="ulimit"):
        await discover(Search(networks=[ip_network("127.0.6.0/30")], unicast=False))


def test_networks_are_bounded() -> None:
    assert len(list(hosts(networks(["10.0.0.0/24", "10.0.0.128/25", "10.0.1.9"])))) == 255
    assert list(hosts(networks(["fd00::/126"])))
    with pytest.raises(InvalidInputError, match="--large"):
        networks(["10.0.0.0/8"])
    with pytest.raises(InvalidInputError, match="--large"):
        networks(["10.0.0.0/16", "10.1.0.0/16"])
    assert networks(["10.0.0.0/15"], large=True)
    with pytest.raises(InvalidInputError):
        networks(["10.0.0.0/11"], large=True)
    with pytest.raises(InvalidInputError, match=r"192\.0\.2"):
        networks(["10.0.0.0/33"])


def test_an_interface_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidInputError, match="nonesuch0"):
        interfaces(["nonesuch0"])


class Responder(asyncio.DatagramProtocol):
    """Answers every probe with a ProbeMatch that names these addresses."""

    def __init__(self, xaddrs: str, times: int = 1) -> None:
        self.xaddrs = xaddrs
        self.times = times
        self.probes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.probes += 1
        for number in range(self.times):
            endpoint = f"urn:uuid:{number}"
            self.transport.sendto(  # type: ignore[attr-defined]
                f"<E><Body><ProbeMatches><ProbeMatch><EndpointReference><Address>{endpoint}</Address>"
                f"</EndpointReference><XAddrs>{self.xaddrs}</XAddrs></ProbeMatch></ProbeMatches></Body></E>".encode(),
                addr,
            )


async def answers_to_unicast(responder: Responder, believed: str | None = None):  # type: ignore[no-untyped-def]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: responder, local_addr=("127.0.0.3", 0))
    try:
        return await ask_around(
            unicast=["127.0.0.3"],
            believed=[ip_network(believed)] if believed else [],
            wait_s=0.2,
            port=transport.get_extra_info("sockname")[1],
        )
    finally:
        transport.close()


async def test_both_types_are_asked_for_twice() -> None:
    responder = Responder("http://127.0.0.3/")
    [sighting] = await answers_to_unicast(responder)
    assert responder.probes == 4
    assert sighting.xaddrs == ("http://127.0.0.3/",)


async def test_only_its_own_address_or_the_operators_networks_are_believed() -> None:
    named = "http://127.0.0.9:81/x http://169.254.169.254/latest http://router.example/ http://127.0.0.3/x"
    [sighting] = await answers_to_unicast(Responder(named))
    assert sighting.xaddrs == ("http://127.0.0.3/x",)
    assert len(sighting.refused) == 3
    [sighting] = await answers_to_unicast(Responder(named), "127.0.0.0/28")
    assert sighting.xaddrs == ("http://127.0.0.9:81/x", "http://127.0.0.3/x")


async def test_one_source_cannot_flood_us() -> None:
    sightings = await answers_to_unicast(Responder("http://127.0.0.3/", times=200))
    assert len(sightings) <= 64


async def test_an_endless_list_of_devices_is_enrolled_with_progress() -> None:
    devices = [Device(host=f"127.0.8.{number}") for number in range(1, 9)]
    told: list[tuple[Step, int, int]] = []
    async with AsyncExitStack() as stack:
        for device in devices:
            await stack.enter_async_context(device.serving())
        search = Search(xaddrs=[device.xaddr for device in devices], in_flight=3)
        found = await discover(search, lambda *step: told.append(step))
    assert [device.address for device in found] == sorted(f"{d.host}:{d.port}" for d in devices)
    assert all(device.error is None for device in found)
    assert told[-1] == (Step.ENROL, 8, 8)


async def test_found_by_sweep_and_named_is_enrolled_once() -> None:
    device = Device(host="127.0.7.5")
    async with device.serving():
        search = Search(
            networks=[ip_network("127.0.7.4/31")],
            xaddrs=[device.xaddr],
            ports=(device.port,),
            unicast=False,
            pace=PACE,
            limits=OnvifLimits(device_s=5),
        )
        [found] = await discover(search)
    assert found.identity.serial == "AC-20231107-0042"
    assert device.operations().count("GetDeviceInformation") == 1


# -- the command ---------------------------------------------------------------------------------------------


def run(*arguments: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(app, ["discover", *arguments])


def test_a_device_that_cannot_be_enrolled_is_an_object_with_its_error() -> None:
    result = run("--xaddr", f"http://127.0.0.1:{free_port()}/", "--json")
    assert result.exit_code == 0
    [device] = json.loads(result.stdout)
    assert device["error"]["kind"] == "refused"
    assert device["channels"] == []
    assert set(device) >= {"address", "xaddr", "mac", "manufacturer", "model", "firmware", "serial"}


def test_nothing_found_is_an_empty_array() -> None:
    result = run("--cidr", "127.0.6.1/32", "--port", str(free_port()), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--cidr", "10.0.0.0/8"),
        ("--cidr", "nonsense"),
        ("--interface", "nonesuch0"),
        ("--xaddr", "rtsp://127.0.0.1/"),
        ("--username", "admin", "--xaddr", "http://127.0.0.1:1"),
        ("--username", "admin", "--password-file", "/nonexistent", "--xaddr", "http://127.0.0.1:1"),
        ("--port", "0", "--xaddr", "http://127.0.0.1:1"),
    ],
)
def test_wrong_use_is_refused(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, InvalidInputError) or result.exit_code == 2
