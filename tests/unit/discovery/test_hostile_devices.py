"""What breaks stock ONVIF clients must not break ours: limits hold, nothing goes to another host."""

from __future__ import annotations

import asyncio
import base64
import datetime as dates
import gzip
import hashlib
import json
import re
import subprocess
import sys
import zlib
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from certificates import certificate
from sharpeyes.discovery.enrol import Target, enrol
from sharpeyes.discovery.found import FoundDevice
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.net.onvif import OnvifClient, OnvifLimits
from sharpeyes.net.tls import SYSTEM, TlsPolicy, read_authorities
from soap_device import ENVELOPE, Answer, Device, Request, date_and_time, fault, profile

ACCOUNT = Credentials("admin", Secret("pa55 wörd"))
QUICK = OnvifLimits(connect_s=0.5, read_s=0.5, call_s=1.0, device_s=2.0)
ASKED = {
    "GetSystemDateAndTime",
    "GetServices",
    "GetCapabilities",
    "GetDeviceInformation",
    "GetNetworkInterfaces",
    "GetScopes",
    "GetProfiles",
    "GetStreamUri",
    "GetSnapshotUri",
}
"""All that enrolment ever asks: nothing that leaves a subscription or changes a setting."""


async def enrolled(
    device: Device,
    credentials: Credentials | None = ACCOUNT,
    limits: OnvifLimits = QUICK,
    tls: TlsPolicy | None = None,
    fingerprint: str | None = None,
) -> FoundDevice:
    async with OnvifClient(limits) as client, asyncio.timeout(limits.device_s + 10):
        target = Target(xaddr=device.xaddr, fingerprint=fingerprint)
        found = await enrol(client, target, credentials, tls)
    assert set(device.operations()) <= ASKED
    return found


def kind(found: FoundDevice) -> str | None:
    return found.error.kind if found.error is not None else None


# -- logging in ----------------------------------------------------------------------------------------------


def wsse_gate(shift: dates.timedelta, *, open_clock: bool = True):  # type: ignore[no-untyped-def]
    """A device that checks WS-Security by its own clock, within five minutes, as ONVIF asks."""

    def gate(request: Request) -> Answer | None:
        if request.operation == "GetSystemDateAndTime" and open_clock:
            return None
        nonce = re.search(r"Nonce[^>]*>([^<]+)<", request.body)
        created = re.search(r"Created[^>]*>([^<]+)<", request.body)
        digest = re.search(r"#PasswordDigest\">([^<]+)<", request.body)
        now = dates.datetime.now(dates.UTC) + shift
        if nonce and created and digest:
            told = dates.datetime.fromisoformat(created[1])
            expected = hashlib.sha1(
                base64.b64decode(nonce[1]) + created[1].encode() + ACCOUNT.password.reveal().encode()
            ).digest()
            if abs((told - now).total_seconds()) < 300 and base64.b64encode(expected).decode() == digest[1]:
                return None
        refusal = fault("NotAuthorized", "Sender not Authorized")
        date = now.strftime("%a, %d %b %Y %H:%M:%S GMT")
        return Answer(refusal.body, refusal.status, {"Date": date})

    return gate


@pytest.mark.parametrize("hours", [-7, 0, 2, 24 * 365 * 20])
@pytest.mark.parametrize("open_clock", [True, False])
async def test_a_clock_hours_off_does_not_matter(hours: int, open_clock: bool) -> None:
    shift = dates.timedelta(hours=hours)
    device = Device(gate=wsse_gate(shift, open_clock=open_clock))
    device.replies["GetSystemDateAndTime"] = lambda _: date_and_time(dates.datetime.now(dates.UTC) + shift)
    async with device.serving():
        found = await enrolled(device)
    assert found.error is None
    assert found.clock_offset_seconds == pytest.approx(hours * 3600, abs=3)
    assert not device.requests[0].signed


async def test_a_clock_that_tells_local_time_as_utc_is_corrected_by_the_date_header() -> None:
    device = Device(gate=wsse_gate(dates.timedelta(0)))
    wrong = date_and_time(dates.datetime.now(dates.UTC) + dates.timedelta(hours=8))
    date = dates.datetime.now(dates.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    device.replies["GetSystemDateAndTime"] = Answer(wrong, 200, {"Date": date})
    async with device.serving():
        found = await enrolled(device)
    assert found.error is None
    assert found.clock_offset_seconds == pytest.approx(0, abs=3)


async def test_no_clock_at_all_is_no_error_and_no_offset() -> None:
    device = Device(replies={"GetSystemDateAndTime": fault("ActionNotSupported", "no")})
    async with device.serving():
        found = await enrolled(device)
    assert found.error is None
    assert found.clock_offset_seconds is None


class DigestGate:
    """A device that knows HTTP Digest only, as RFC 7616 has it."""

    def __init__(self, *, algorithm: str = "MD5", password: str = ACCOUNT.password.reveal()) -> None:
        self.algorithm = algorithm
        self.password = password
        self.wrong = 0

    def __call__(self, request: Request) -> Answer | None:
        if request.operation in ("GetSystemDateAndTime", "GetServices"):
            return None
        given = dict(re.findall(r'(\w+)="?([^",]+)"?', request.headers.get("authorization", "")))
        if "response" in given:
            assert "UsernameToken" not in request.body
            if given["response"] == self.expected(given, request.path):
                return None
            self.wrong += 1
        challenge = f'Digest realm="cam", nonce="abc", qop="auth", algorithm={self.algorithm}'
        return Answer("", 401, {"WWW-Authenticate": f'Basic realm="cam", {challenge}'}, raw=True)

    def expected(self, given: dict[str, str], path: str) -> str:
        def hashed(text: str) -> str:
            name = {"MD5": "md5", "SHA-256": "sha256"}[self.algorithm]
            return hashlib.new(name, text.encode()).hexdigest()

        secret = hashed(f"{ACCOUNT.username}:cam:{self.password}")
        what = hashed(f"POST:{path}")
        return hashed(f"{secret}:abc:{given['nc']}:{given['cnonce']}:auth:{what}")


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_a_device_that_knows_http_digest_only(algorithm: str) -> None:
    gate = DigestGate(algorithm=algorithm)
    device = Device(gate=gate)
    async with device.serving():
        found = await enrolled(device)
    assert found.error is None
    assert found.channels[0].profiles[0].stream_uri is not None
    assert gate.wrong == 0


async def test_a_wrong_password_is_tried_once_a_scheme() -> None:
    gate = DigestGate(password="another")
    device = Device(gate=gate)
    async with device.serving():
        found = await enrolled(device)
    assert kind(found) == "auth_failed"
    assert gate.wrong == 1
    assert ACCOUNT.password.reveal() not in str(found)


async def test_the_password_never_travels_in_clear() -> None:
    """Basic is all it offers: that is no way to log in over an open network."""
    device = Device()
    device.gate = lambda request: (
        None
        if request.operation == "GetSystemDateAndTime"
        else Answer("", 401, {"WWW-Authenticate": 'Basic realm="cam"'}, raw=True)
    )
    async with device.serving():
        found = await enrolled(device)
    assert kind(found) == "auth_failed"
    basic = base64.b64encode(f"{ACCOUNT.username}:{ACCOUNT.password.reveal()}".encode()).decode()
    for request in device.requests:
        assert ACCOUNT.password.reveal() not in request.body
        assert basic not in str(request.headers)


async def test_an_account_that_may_not_read_interfaces_is_not_a_wrong_account() -> None:
    device = Device(replies={"GetNetworkInterfaces": fault("NotAuthorized", "Sender not Authorized")})
    async with device.serving():
        found = await enrolled(device)
    assert found.error is None
    assert found.identity.mac is None
    assert found.channels


async def test_a_digest_device_may_have_its_media_service_on_another_port() -> None:
    """Distinct service ports are kept, and each gets its own answer to its own challenge."""
    media = Device(gate=DigestGate())
    async with media.serving():
        device = Device(gate=DigestGate())
        device.replies["GetServices"] = lambda _: media.GetServices().replace(
            media.url("/onvif/device_service"), device.url("/onvif/device_service")
        )
        async with device.serving():
            found = await enrolled(device)
    assert found.error is None
    assert set(media.operations()) == {"GetProfiles", "GetStreamUri", "GetSnapshotUri"}


# -- other hosts ---------------------------------------------------------------------------------------------


async def test_nothing_is_ever_sent_to_another_host() -> None:
    """Every URL it names points at a victim, and it redirects there; the victim hears nothing."""
    victim = Device(host="127.0.0.2")
    async with victim.serving():
        for place in ("xaddr", "redirect"):
            device = Device(host="127.0.0.1", named_host="127.0.0.2")
            if place == "redirect":
                device.replies["GetServices"] = Answer("", 307, {"Location": victim.xaddr})
            else:
                device.replies["GetServices"] = lambda _: victim.GetServices()
            async with device.serving():
                found = await enrolled(device)
            assert "127.0.0.2" not in str(found)
            assert found.address == f"127.0.0.1:{device.port}"
    assert victim.requests == []


async def test_a_redirect_of_the_first_call_is_an_error_and_not_followed() -> None:
    victim = Device(host="127.0.0.2")
    async with victim.serving():
        device = Device(gate=lambda _: Answer("", 307, {"Location": victim.xaddr}))
        async with device.serving():
            found = await enrolled(device)
    assert kind(found) == "redirect"
    assert victim.requests == []


async def test_behind_nat_the_dialled_host_is_used_and_uris_hold_no_credentials() -> None:
    device = Device(named_host="192.168.1.64")
    async with device.serving():
        found = await enrolled(device)
    assert found.error is None
    [channel] = found.channels
    assert channel.profiles[0].stream_uri == "rtsp://127.0.0.1:554/main"
    assert channel.snapshot_uri == f"http://127.0.0.1:{device.port}/snap.jpg"


# -- time ----------------------------------------------------------------------------------------------------


async def silent(_: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def dripping(_: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"<")
        await writer.drain()
        await asyncio.sleep(0.1)


async def endless_headers(_: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(1_000_000):
        writer.write(b"X-%d: %s\r\n" % (number, b"y" * 4000))
        await writer.drain()


async def endless_interim(_: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        await writer.drain()


async def endless_body(_: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\n\r\n")
    for _ in range(300):
        writer.write(b"<a/>" * (1 << 18))
        await writer.drain()


async def gzip_bomb(_: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = b" " * (1 << 20)
    bomb = b"".join(packer.compress(zeros) for _ in range(300)) + packer.flush()
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    writer.write(head.encode() + bomb)
    await writer.drain()


async def not_http(_: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\x01SSH-2.0-dropbear\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize(
    ("takeover", "kinds"),
    [
        (silent, {"timeout"}),
        (dripping, {"timeout"}),
        (endless_headers, {"not_onvif", "timeout", "closed"}),
        (endless_interim, {"not_onvif", "timeout", "closed"}),
        (endless_body, {"too_large"}),
        (gzip_bomb, {"too_large"}),
        (not_http, {"not_onvif"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_device_that_would_hold_us_forever(takeover, kinds: set[str]) -> None:  # type: ignore[no-untyped-def]
    # What is told apart by its size gets the usual time, so that a slow machine tells it apart as well.
    limits = QUICK if "timeout" in kinds else OnvifLimits()
    device = Device(takeover=takeover)
    async with device.serving():
        found = await enrolled(device, limits=limits)
    assert kind(found) in kinds
    assert len(device.requests) <= 1 + limits.retries


async def test_what_was_learned_stays_when_the_time_is_up() -> None:
    async def late(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if request.operation == "GetStreamUri" and "ProfileToken>main" in request.body:
            await asyncio.sleep(60)
        writer.write(device.answer(request).encode())
        await writer.drain()

    device = Device(takeover=late)
    async with device.serving():
        found = await enrolled(device)
    assert kind(found) == "timeout"
    assert found.error is not None
    assert "GetStreamUri" in found.error.message
    assert found.identity.serial == "AC-20231107-0042"
    uris = {profile.token: profile.stream_uri for profile in found.channels[0].profiles}
    assert uris == {"main": None, "sub": "rtsp://127.0.0.1:554/sub"}


async def test_a_broken_connection_is_retried_twice_and_a_fault_never() -> None:
    broken = 2

    async def flaky(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal broken
        if broken:
            broken -= 1
            return
        writer.write(device.answer(request).encode())
        await writer.drain()

    device = Device(takeover=flaky)
    device.replies["GetNetworkInterfaces"] = fault("Action", "internal", 500)
    async with device.serving():
        found = await enrolled(device, limits=OnvifLimits())
    assert found.error is None
    assert device.operations().count("GetSystemDateAndTime") == 3
    assert device.operations().count("GetNetworkInterfaces") == 1


async def test_nobody_there() -> None:
    device = Device()
    async with device.serving():
        pass
    found = await enrolled(device)
    assert kind(found) == "refused"


# -- what it sends -------------------------------------------------------------------------------------------

LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    + ENVELOPE.partition("?>")[2].format("<x>&b;</x>")
)
XXE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + ENVELOPE.partition(
    "?>"
)[2].format("<tds:GetDeviceInformationResponse><tds:Model>&f;</tds:Model></tds:GetDeviceInformationResponse>")


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (LAUGHS, {"malformed"}),
        (XXE, {"malformed"}),
        (ENVELOPE.format("<a>" * 200 + "</a>" * 200), {"malformed"}),
        (ENVELOPE.format("<a/>" * 40_000), {"malformed"}),
        (ENVELOPE.format("<tds:GetDev")[:-40], {"malformed"}),
        ("<html><body>Login</body></html>", {"not_onvif"}),
        ('<!DOCTYPE html>\n<html lang="en"><p>hi<br></html>', {"not_onvif"}),
        ("", {"not_onvif"}),
        ("OK", {"not_onvif"}),
        ("\x00\x00", {"not_onvif"}),
        ("<a/>", {"malformed"}),
        ("<Envelope><Body/></Envelope>", {"malformed", None}),
    ],
    ids=["laughs", "xxe", "deep", "huge", "cut", "html", "html5", "empty", "text", "nul", "other", "bare"],
)
@pytest.mark.parametrize("operation", ["GetSystemDateAndTime", "GetProfiles"])
async def test_a_reply_that_is_none(body: str, kinds: set[str | None], operation: str) -> None:
    device = Device(replies={operation: Answer(body, raw=True)})
    async with device.serving():
        found = await enrolled(device)
    if operation == "GetProfiles":
        assert kind(found) in kinds
        assert found.identity.serial == "AC-20231107-0042"
        assert found.channels == ()
    else:
        # Garbling the clock is forgiven, a web server is not a camera.
        assert kind(found) in (kinds & {"not_onvif"} or {None})
    assert "root:" not in str(found)


async def test_a_fault_with_http_200_is_a_fault() -> None:
    device = Device(replies={"GetProfiles": fault("InvalidArgVal", "no\x1b[31m such\nprofile", 200)})
    async with device.serving():
        found = await enrolled(device)
    assert kind(found) == "malformed" or kind(found) == "fault"
    assert found.error is not None
    assert "\x1b" not in found.error.message
    assert "\n" not in found.error.message


async def test_soap_11_is_understood() -> None:
    old = ENVELOPE.replace(
        "http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/soap/envelope/"
    )
    device = Device()
    plain = device.answer
    device.answer = lambda request: Answer(old.format(plain(request).body), raw=True)  # type: ignore[method-assign]
    async with device.serving():
        found = await enrolled(device)
    assert found.error is None
    assert found.channels


@pytest.mark.parametrize("declared", ["GB2312", "UTF-8"])
async def test_gb2312_text_is_read_whatever_it_declares(declared: str) -> None:
    text = ENVELOPE.replace("UTF-8", declared).format(
        "<tds:GetDeviceInformationResponse><tds:Manufacturer>海康威视</tds:Manufacturer>"
        "<tds:Model>球机</tds:Model></tds:GetDeviceInformationResponse>"
    )
    device = Device(replies={"GetDeviceInformation": Answer(text.encode("gb2312"), raw=True)})
    async with device.serving():
        found = await enrolled(device)
    assert (found.identity.manufacturer, found.identity.model) == ("海康威视", "球机")


async def test_gzip_is_understood() -> None:
    device = Device()
    packed = gzip.compress(ENVELOPE.format(device.GetDeviceInformation()).encode())
    device.replies["GetDeviceInformation"] = Answer(packed, 200, {"Content-Encoding": "gzip"}, raw=True)
    async with device.serving():
        found = await enrolled(device)
    assert found.identity.manufacturer == "Acme"


async def test_a_recorder_with_many_channels_gets_two_connections_at_most() -> None:
    rows = "".join(
        profile(f"{role}{channel}", f"ch{channel}", size)
        for channel in range(16)
        for role, size in (("main", (1920, 1080)), ("sub", (352, 288)))
    )
    device = Device(replies={"GetProfiles": f"<trt:GetProfilesResponse>{rows}</trt:GetProfilesResponse>"})
    async with device.serving():
        found = await enrolled(device, limits=OnvifLimits())
    assert found.error is None
    assert len(found.channels) == 16
    assert all(p.stream_uri for channel in found.channels for p in channel.profiles)
    assert device.most_at_once <= 2


# -- TLS -----------------------------------------------------------------------------------------------------


async def test_a_self_signed_certificate_is_pinned_on_first_use(tmp_path: Path) -> None:
    own = certificate(tmp_path)
    device = Device()
    async with device.serving(own.context):
        first = await enrolled(device)
        again = await enrolled(device, fingerprint=own.fingerprint)
        device.requests.clear()
        changed = await enrolled(device, fingerprint="ab" * 32)
    assert first.error is None
    assert first.fingerprint == again.fingerprint == own.fingerprint
    assert kind(changed) == "certificate"
    assert device.requests == []


async def test_what_is_declared_counts_more_than_what_was_pinned(tmp_path: Path) -> None:
    own, city = certificate(tmp_path), certificate(tmp_path, "city")
    authorities = read_authorities(own.file)
    trusted = [
        TlsPolicy(),
        TlsPolicy(authorities=authorities),
        TlsPolicy(fingerprints=("00" * 32, own.fingerprint)),
    ]
    refused = [
        TlsPolicy(authorities=SYSTEM),
        TlsPolicy(authorities=read_authorities(city.file)),
        TlsPolicy(fingerprints=("00" * 32,)),
    ]
    device = Device()
    async with device.serving(own.context):
        for policy in trusted:
            found = await enrolled(device, tls=policy, fingerprint="ab" * 32)
            assert found.error is None, policy
        device.requests.clear()
        for policy in refused:
            found = await enrolled(device, tls=policy, fingerprint=own.fingerprint)
            assert kind(found) == "certificate", policy
            assert found.error is not None
            assert f"met SHA-256 {own.fingerprint}" in found.error.message
            assert f"expected {policy.wanted}" in found.error.message
    assert device.requests == [], "nothing was said to a stranger"


async def test_a_certificate_for_another_host_is_refused_where_that_is_asked(tmp_path: Path) -> None:
    own = certificate(tmp_path, hosts=["camera.example"])
    authorities = read_authorities(own.file)
    device = Device()
    async with device.serving(own.context):
        strict = await enrolled(device, tls=TlsPolicy(authorities=authorities))
        assert device.requests == []
        lenient = await enrolled(device, tls=TlsPolicy(authorities=authorities, check_host=False))
    assert kind(strict) == "certificate"
    assert lenient.error is None


async def test_a_service_without_tls_is_not_asked_by_who_was_dialled_with_it(tmp_path: Path) -> None:
    device = Device()
    device.replies["GetServices"] = lambda _: device.GetServices().replace("https://", "http://")
    async with device.serving(certificate(tmp_path).context):
        found = await enrolled(device)
    assert found.error is None


# -- memory --------------------------------------------------------------------------------------------------

CHILD = """
import asyncio, json, sys
from sharpeyes.discovery.discover import Search, discover
from sharpeyes.net.onvif import OnvifLimits
found = asyncio.run(discover(Search(xaddrs=sys.argv[1:], limits=OnvifLimits(call_s=4, device_s=8))))
# Not getrusage: its peak is inherited from the process that started this one.
status = open("/proc/self/status").read()
peak = int(status.partition("VmHWM:")[2].split()[0])
print(json.dumps([[device.error and device.error.kind for device in found], peak]))
"""


async def test_a_street_of_hostile_devices_costs_less_than_200_mb() -> None:
    takeovers = [endless_headers, endless_interim, endless_body, gzip_bomb, dripping, not_http] * 3
    wide = ENVELOPE.format(
        "<trt:GetProfilesResponse>" + "<trt:Profiles/>" * 25_000 + "</trt:GetProfilesResponse>"
    )
    devices = [Device(takeover=takeover) for takeover in takeovers]
    devices += [Device(replies={"GetProfiles": Answer(wide, raw=True)}) for _ in range(4)]
    async with AsyncExitStack() as stack:
        for device in devices:
            await stack.enter_async_context(device.serving())
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, *(device.xaddr for device in devices), stdout=subprocess.PIPE
        )
        output, _ = await process.communicate()
    kinds, kilobytes = json.loads(output)
    assert len(kinds) == len(devices)
    assert kilobytes < 200 * 1024
