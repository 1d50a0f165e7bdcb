"""ONVIF services of a virtual device, over plain HTTP, with tokens made by the test."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from virtual_client import ACCOUNT, answer, device, playing

from sharpeyes.domain.credentials import Credentials
from sharpeyes.simulator.fault import Fault, FaultKind, FaultPhase
from sharpeyes.simulator.fleet import OnvifLogin

DEVICE = "http://www.onvif.org/ver10/device/wsdl"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"


async def http(url: str, method: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        named = {"Host": parts.netloc, "Content-Length": str(len(body)), **headers}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
        writer.write(f"{method} {parts.path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        async with asyncio.timeout(5):
            top = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = top.strip().split("\r\n")
            found = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
            return int(lines[0].split()[1]), found, await reader.readexactly(int(found["content-length"]))
    finally:
        writer.transport.abort()


def token(account: Credentials = ACCOUNT, late: float = 0, password: str | None = None) -> str:
    nonce, created = b"0123456789abcdef", f"{datetime.now(UTC) + timedelta(seconds=late):%Y-%m-%dT%H:%M:%SZ}"
    secret = password or account.password.reveal()
    proof = hashlib.sha1(nonce + created.encode() + secret.encode()).digest()
    return (
        '<o:Security xmlns:o="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd">'
        f"<o:UsernameToken><o:Username>{account.username}</o:Username><o:Password>"
        f"{base64.b64encode(proof).decode()}</o:Password><o:Nonce>{base64.b64encode(nonce).decode()}</o:Nonce>"
        f"<o:Created>{created}</o:Created></o:UsernameToken></o:Security>"
    )


def envelope(operation: str, namespace: str = DEVICE, inner: str = "", header: str = "") -> bytes:
    return (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">'
        f'<s:Header>{header}</s:Header><s:Body><{operation} xmlns="{namespace}">{inner}</{operation}>'
        "</s:Body></s:Envelope>"
    ).encode()


def texts(body: bytes, name: str) -> list[str]:
    found = ElementTree.fromstring(body).iter()
    return [each.text or "" for each in found if each.tag.rpartition("}")[2] == name]


async def test_time_is_told_to_anyone_and_shifted_by_a_clock_fault(cache: Path) -> None:
    async with playing(cache) as simulator:
        url = simulator.endpoints["cam"].xaddr
        await simulator.set_fault("cam", Fault(kind=FaultKind.CLOCK, seconds=86400 * 40))
        status, _, body = await http(url, "POST", envelope("GetSystemDateAndTime"))
        assert status == 200
        said = datetime(
            *(int(texts(body, each)[0]) for each in ("Year", "Month", "Day", "Hour", "Minute", "Second")),
            tzinfo=UTC,
        )
        assert abs((said - datetime.now(UTC)).total_seconds() - 86400 * 40) < 5


@pytest.mark.parametrize("operation", ["GetDeviceInformation", "GetNetworkInterfaces", "GetScopes"])
async def test_identity_needs_a_token(cache: Path, operation: str) -> None:
    async with playing(cache, device(onvif_login=OnvifLogin.WSSE)) as simulator:
        url = simulator.endpoints["cam"].xaddr
        for header in ("", token(password="wrong"), token(late=-400), token(late=400)):
            status, _, body = await http(url, "POST", envelope(operation, header=header))
            assert status == 400
            assert "ter:NotAuthorized" in texts(body, "Value")
        status, _, body = await http(url, "POST", envelope(operation, header=token(late=-100)))
        assert status == 200
        await simulator.set_fault("cam", Fault(kind=FaultKind.AUTH))
        assert (await http(url, "POST", envelope(operation, header=token())))[0] == 400


async def test_a_token_is_of_the_devices_own_time(cache: Path) -> None:
    async with playing(cache, device(clock_offset_s=7200, onvif_login=OnvifLogin.WSSE)) as simulator:
        url = simulator.endpoints["cam"].xaddr
        assert (await http(url, "POST", envelope("GetScopes", header=token())))[0] == 400
        assert (await http(url, "POST", envelope("GetScopes", header=token(late=7200))))[0] == 200


async def test_http_digest_instead_of_a_token(cache: Path) -> None:
    async with playing(cache, device(onvif_login=OnvifLogin.DIGEST)) as simulator:
        url = simulator.endpoints["cam"].xaddr
        assert (await http(url, "POST", envelope("GetScopes", header=token())))[0] in (400, 401)
        status, headers, _ = await http(url, "POST", envelope("GetScopes"))
        assert status == 401
        proof = answer(headers["www-authenticate"], ACCOUNT, "POST", urlsplit(url).path)
        assert (await http(url, "POST", envelope("GetScopes"), Authorization=proof))[0] == 200


async def test_identity(cache: Path) -> None:
    plan = device(manufacturer="A & B", model="<x>", serial="7", mac="00:11:22:33:44:55")
    async with playing(cache, plan) as simulator:
        url = simulator.endpoints["cam"].xaddr
        _, _, body = await http(url, "POST", envelope("GetDeviceInformation", header=token()))
        found = [
            texts(body, each)[0] for each in ("Manufacturer", "Model", "FirmwareVersion", "SerialNumber")
        ]
        assert found == ["A & B", "<x>", "1.0.0", "7"]
        _, _, body = await http(url, "POST", envelope("GetNetworkInterfaces", header=token()))
        assert texts(body, "HwAddress") == ["00:11:22:33:44:55"]


@pytest.mark.parametrize(("namespace", "field"), [(MEDIA, "Uri"), (MEDIA2, "Uri")])
async def test_every_channel_of_a_recorder_has_its_profiles(cache: Path, namespace: str, field: str) -> None:
    async with playing(cache, device("nvr", channels=3)) as simulator:
        url = simulator.endpoints["nvr-1"].xaddr
        _, _, body = await http(url, "POST", envelope("GetVideoSources", MEDIA, header=token()))
        assert body.count(b"<trt:VideoSources ") == 3
        _, _, body = await http(url, "POST", envelope("GetProfiles", namespace, header=token()))
        assert texts(body, "SourceToken") == ["source1", "source2", "source3"]
        assert texts(body, "Encoding") == ["H264"] * 3
        for number in (1, 2, 3):
            inner = f"<ProfileToken>profile{number}_main</ProfileToken>"
            _, _, body = await http(url, "POST", envelope("GetStreamUri", namespace, inner, token()))
            assert texts(body, field) == [simulator.endpoints[f"nvr-{number}"].url]
            _, _, body = await http(url, "POST", envelope("GetSnapshotUri", namespace, inner, token()))
            assert texts(body, field) == [simulator.endpoints[f"nvr-{number}"].snapshot_url]
            sent = envelope("SetSynchronizationPoint", namespace, inner, token())
            assert (await http(url, "POST", sent))[0] == 200
        sent = envelope("GetStreamUri", namespace, "<ProfileToken>no</ProfileToken>", token())
        status, _, body = await http(url, "POST", sent)
        assert (status, "ter:NoProfile" in texts(body, "Value")) == (400, True)


async def test_unknown_operations_are_soap_faults(cache: Path) -> None:
    async with playing(cache) as simulator:
        sent = envelope("CreateUsers", header=token())
        status, _, body = await http(simulator.endpoints["cam"].xaddr, "POST", sent)
        assert status == 500
        assert "ter:ActionNotSupported" in texts(body, "Value")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a>",
        b"\xff\xfe\x00",
        b'<!DOCTYPE a [<!ENTITY b "c">]><s:Envelope xmlns:s="x"><s:Body>&b;</s:Body></s:Envelope>',
        b"<a>" * 20_000,
        b"<Envelope><Body/></Envelope>",
        envelope("GetScopes", header=token().replace("T", "?", 1)),
    ],
)
async def test_no_soap_is_refused(cache: Path, body: bytes) -> None:
    async with playing(cache, device(onvif_login=OnvifLogin.WSSE)) as simulator:
        assert (await http(simulator.endpoints["cam"].xaddr, "POST", body))[0] == 400


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nA: " + b"b" * 20_000, 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"GET /onvif/device_service HTTP/1.1\r\n\r\n", 405),
        (b"GET /elsewhere HTTP/1.0\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100 + b"\r\n", 400),
    ],
)
async def test_http_is_bounded(cache: Path, sent: bytes, status: int) -> None:
    async with playing(cache) as simulator:
        parts = urlsplit(simulator.endpoints["cam"].xaddr)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(sent)
        line = await asyncio.wait_for(reader.readline(), 5)
        assert line.split()[1] == str(status).encode()
        writer.transport.abort()


async def test_pipelined_and_split_requests(cache: Path) -> None:
    async with playing(cache) as simulator:
        parts = urlsplit(simulator.endpoints["cam"].xaddr)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        body = envelope("GetSystemDateAndTime")
        one = f"POST /onvif/device_service HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        for index in range(0, 2 * len(one), 7):
            writer.write((one + one)[index : index + 7])
            await asyncio.sleep(0)
        for _ in range(2):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            assert b"UTCDateTime" in await reader.readexactly(length)
        writer.transport.abort()


async def test_a_hang_at_onvif_is_silence(cache: Path) -> None:
    async with playing(cache) as simulator:
        await simulator.set_fault("cam", Fault(kind=FaultKind.HANG, phase=FaultPhase.ONVIF))
        parts = urlsplit(simulator.endpoints["cam"].xaddr)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(b"POST /onvif/device_service HTTP/1.1\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        writer.transport.abort()


async def test_snapshot_needs_a_login_and_shows_the_fault(cache: Path) -> None:
    async with playing(cache) as simulator:
        url = simulator.endpoints["cam"].snapshot_url
        status, headers, _ = await http(url, "GET")
        assert status == 401
        proof = answer(headers["www-authenticate"], ACCOUNT, "GET", urlsplit(url).path)
        status, headers, normal = await http(url, "GET", Authorization=proof)
        assert (status, headers["content-type"], normal[:2]) == (200, "image/jpeg", b"\xff\xd8")
        await simulator.set_fault("cam", Fault(kind=FaultKind.BLACK))
        _, _, black = await http(url, "GET", Authorization=proof)
        assert len(black) < len(normal)
        other = url.replace("/1.jpg", "/2.jpg")
        proof = answer(
            (await http(other, "GET"))[1]["www-authenticate"], ACCOUNT, "GET", urlsplit(other).path
        )
        assert (await http(other, "GET", Authorization=proof))[0] == 404
