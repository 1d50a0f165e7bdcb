"""Event services that are broken, hostile, or both, over real sockets.

Whatever a device does: each call ends within its limits, nothing goes to another host, the honest device next
to it is heard, no task outlives the room, and nothing is said against a camera.
"""

from __future__ import annotations

import asyncio
import datetime as dates
import gzip
import logging
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sharpeyes.domain.camera import Camera, Device, Identity, Stream, StreamRole
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.organisation import Area, Department, Tier, Zone
from sharpeyes.domain.reports import EventsStatus, ReportKind
from sharpeyes.domain.time import Ms
from sharpeyes.health import events as room
from sharpeyes.health.boxes import Box, Calls
from sharpeyes.health.events import Events
from sharpeyes.net.onvif import OnvifClient, OnvifLimits
from sharpeyes.store import camera_reports as store
from sharpeyes.store.cameras import put_cameras
from sharpeyes.store.database import Database
from sharpeyes.store.devices import put_devices
from sharpeyes.store.organisation import put_areas, put_departments, put_zones
from soap_device import Answer, Reply, Request, date_and_time, fault
from soap_device import Device as SoapDevice

NOW = Ms(1_790_000_000_000)
ACCOUNT = Credentials("admin", Secret("pa55-wörd"))
PATIENT = OnvifLimits(connect_s=30, read_s=30, call_s=30, device_s=60, retries=0)
HASTY = OnvifLimits(connect_s=0.5, read_s=0.5, call_s=1.0, device_s=2.0, retries=0)
"""For devices that are late on purpose. On a busy machine honest ones are late by these as well."""
SPACES = (
    'xmlns:tev="http://www.onvif.org/ver10/events/wsdl" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2"'
    ' xmlns:a="http://www.w3.org/2005/08/addressing"'
)
TAMPER = "tns1:RuleEngine/TamperDetector/Tamper"
Stream_ = Callable[[asyncio.StreamWriter], Awaitable[None]]


def instant(moment: dates.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def message(topic: str = TAMPER, value: str = "true", source: str = "src") -> str:
    return (
        f"<wsnt:NotificationMessage><wsnt:Topic>{topic}</wsnt:Topic><wsnt:Message>"
        '<tt:Message UtcTime="2026-01-01T00:00:00Z" PropertyOperation="Changed"><tt:Source>'
        f'<tt:SimpleItem Name="VideoSourceToken" Value="{source}"/></tt:Source><tt:Data>'
        f'<tt:SimpleItem Name="State" Value="{value}"/></tt:Data></tt:Message></wsnt:Message>'
        "</wsnt:NotificationMessage>"
    )


@dataclass
class EventDevice(SoapDevice):
    """A device with an event service, its single answers to be changed by a test."""

    said: str = ""
    """Messages of each pull."""
    lifetime_s: int = 180
    shift: dates.timedelta = dates.timedelta(0)
    parameters: str = ""
    points: set[str] = field(default_factory=set)
    made: int = 0

    def __post_init__(self) -> None:
        answers: dict[str, Reply] = {
            "CreatePullPointSubscriptionRequest": self.create,
            "PullMessagesRequest": self.pull,
            "RenewRequest": self.renew,
            "UnsubscribeRequest": self.end,
        }
        self.replies = {**answers, **self.replies}

    def count(self, operation: str) -> int:
        return self.operations().count(operation)

    def GetSystemDateAndTime(self) -> str:  # noqa: N802
        return date_and_time(dates.datetime.now(dates.UTC) + self.shift)

    def GetServices(self) -> str:  # noqa: N802
        return (
            "<tds:GetServicesResponse><tds:Service><tds:Namespace>http://www.onvif.org/ver10/events/wsdl"
            f"</tds:Namespace><tds:XAddr>{self.url('/onvif/events')}</tds:XAddr><tds:Version><tt:Major>2"
            "</tt:Major><tt:Minor>6</tt:Minor></tds:Version></tds:Service></tds:GetServicesResponse>"
        )

    def times(self) -> str:
        now = dates.datetime.now(dates.UTC) + self.shift
        end = now + dates.timedelta(seconds=self.lifetime_s)
        return (
            f"<wsnt:CurrentTime>{instant(now)}</wsnt:CurrentTime>"
            f"<wsnt:TerminationTime>{instant(end)}</wsnt:TerminationTime>"
        )

    def create(self, request: Request) -> Answer | str:
        self.made += 1
        path = f"/point/{self.made}"
        self.points.add(path)
        return created(self.url(path), self.parameters, self.times())

    def pull(self, request: Request) -> Answer | str:
        if request.path not in self.points:
            return fault("InvalidArgVal", "no such subscription")
        return pulled(self.said, self.times())

    def renew(self, request: Request) -> Answer | str:
        return f"<wsnt:RenewResponse {SPACES}>{self.times()}</wsnt:RenewResponse>"

    def end(self, request: Request) -> Answer | str:
        self.points.discard(request.path)
        return f"<wsnt:UnsubscribeResponse {SPACES}/>"


def created(address: str, parameters: str = "", times: str = "") -> str:
    return (
        f"<tev:CreatePullPointSubscriptionResponse {SPACES}><tev:SubscriptionReference>"
        f"<a:Address>{address}</a:Address><a:ReferenceParameters>{parameters}</a:ReferenceParameters>"
        f"</tev:SubscriptionReference>{times}</tev:CreatePullPointSubscriptionResponse>"
    )


def pulled(messages: str, times: str = "") -> str:
    return f"<tev:PullMessagesResponse {SPACES}>{times}{messages}</tev:PullMessagesResponse>"


class Room:
    """Devices under a room that listens to them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = NOW
        self.hurried: list[str] = []
        self.boxes: list[Box] = []

    def add(self, name: str, device: SoapDevice) -> None:
        stream = Stream(role=StreamRole.MAIN, url=f"rtsp://{device.host}/live")
        camera = Camera(
            id=f"{name}-1",
            name=name,
            tier=Tier.COMMUNITY,
            department="d",
            area="a",
            zone="z",
            device=name,
            channel="src",
            streams=(stream,),
        )
        box = Device(id=name, identity=Identity(), xaddr=device.xaddr)
        self.boxes.append(Box(device=box, cameras=(camera,), credentials=ACCOUNT))

        def write(connection):  # type: ignore[no-untyped-def]
            put_zones(connection, [Zone(id="z", name="z")])
            put_departments(connection, [Department(id="d", name="d")])
            put_areas(connection, [Area(id="a", name="a")])
            put_devices(connection, [box], now=NOW)
            put_cameras(connection, [camera], now=NOW)

        self.database.write(write)

    @asynccontextmanager
    async def listening(self, limits: OnvifLimits = PATIENT, **more: object) -> AsyncIterator[Events]:
        before = asyncio.all_tasks()
        async with OnvifClient(limits) as client:
            events = Events(
                client,
                Calls(),
                clock=lambda: self.now,
                database=self.database,
                hurry=self.hurried.append,
                **({"pull_s": 0.05} | more),  # type: ignore[arg-type]
            )
            await events.start(self.boxes)
            try:
                yield events
            finally:
                await events.stop()
        await asyncio.sleep(0)
        left = {task for task in asyncio.all_tasks() - before if "accept" not in repr(task)}  # the devices'
        assert not left, "no task outlives the room"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables: made once, since that takes longer than most of these tests."""
    file = tmp_path_factory.mktemp("empty") / "a.db"
    with Database(f"sqlite:///{file}") as database:
        database.upgrade()
    return file


@pytest.fixture
def place(  # type: ignore[no-untyped-def]
    tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(room, "SHARE", 0)
    monkeypatch.setattr(room, "WAIT_S", 0)
    shutil.copy(empty, tmp_path / "a.db")
    with Database(f"sqlite:///{tmp_path}/a.db") as database:
        yield Room(database)
    broken = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert not broken, broken


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.02)


async def beside_an_honest_one(
    place: Room, device: SoapDevice, true: Callable[[Events], bool], limits: OnvifLimits = PATIENT
) -> Events:
    """Listen to this device and an honest one, until something is true and the honest one was heard since."""
    honest = EventDevice(said=message(), host="127.9.41.2")
    async with device.serving(), honest.serving():
        place.add("odd", device)
        place.add("honest", honest)
        async with place.listening(limits) as events:
            await until(lambda: true(events))
            pulls = honest.count("PullMessagesRequest")
            await until(lambda: honest.count("PullMessagesRequest") > pulls)
            await until(lambda: bool(events.current("honest-1")))  # its answer may be under way
            assert [each.kind for each in events.current("honest-1")] == [ReportKind.TAMPER]
            assert events.current("odd-1") == ()
            known = events.status("odd")
            assert known is None or ACCOUNT.password.reveal() not in (known.detail or "")
    assert not honest.points, "no subscription is left behind"
    return events


def status(events: Events) -> EventsStatus | None:
    known = events.status("odd")
    return known and known.status


# --- bytes --------------------------------------------------------------------------------------------------


async def endless_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n<")
    while True:
        writer.write(b"a" * 65_536)
        await writer.drain()


async def endless_chunks(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"400\r\n" + b" " * 1024 + b"\r\n")
        await writer.drain()


async def slow_drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"<")
        await writer.drain()
        await asyncio.sleep(0.1)


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: " + b"y" * 1_000 + b"\r\n")
        await writer.drain()


async def endless_promises(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.002)


async def never_answering(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def gzip_bomb(writer: asyncio.StreamWriter) -> None:
    body = gzip.compress(b" " * (64 << 20), 1)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body))
    writer.write(body)
    await writer.drain()


async def no_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"RTSP/1.0 200 OK\r\n\r\n")
    await writer.drain()


async def half_an_answer(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<s:Envelope")
    await writer.drain()


@pytest.mark.parametrize(
    "flood",
    [
        *(endless_body, endless_chunks, slow_drip, endless_headers, endless_promises),
        *(never_answering, gzip_bomb, no_http, half_an_answer),
    ],
)
async def test_bytes_without_end_or_sense_end(
    place: Room, flood: Stream_, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "FIRST_PAUSE_S", 0.5)  # the honest one may be late on a busy machine
    device = EventDevice(host="127.9.41.1")
    sent = 0

    async def takeover(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        if request.operation != "PullMessagesRequest":
            writer.write(device.answer(request).encode())
            await writer.drain()
            return
        plain = writer.write

        def counted(data: bytes) -> None:
            nonlocal sent
            sent += len(data)
            plain(data)

        writer.write = counted  # type: ignore[method-assign, assignment]
        with suppress(OSError):
            await flood(writer)

    device.takeover = takeover
    events = await beside_an_honest_one(place, device, lambda e: status(e) is EventsStatus.FAILING, HASTY)
    assert events.stats.failed >= 2, "the second time in a row it is left alone for a while"
    floods = device.count("PullMessagesRequest")
    assert sent < floods * (8 << 20), "read no further than to the limit, and what lies in the sockets"
    assert device.most_at_once <= 2


# --- XML ----------------------------------------------------------------------------------------------------

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">'
    "<s:Body>&c;</s:Body></s:Envelope>"
)
XXE = BOMB.replace('"aaaaaaaaaa"', 'SYSTEM "file:///etc/passwd"')


@pytest.mark.parametrize(
    "answer",
    [
        Answer(BOMB, raw=True),
        Answer(XXE, raw=True),
        Answer(pulled("<x>" * 5_000 + "</x>" * 5_000)),
        Answer(pulled("<x>" * 5_000)),
        Answer(pulled(message() * 5_000)),
        Answer(pulled(f"<x {' '.join(f'a{n}=' + chr(34) * 2 for n in range(500))}/>")),
        Answer("<html><body>Please log in</body></html>", raw=True, headers={"Content-Type": "text/html"}),
        Answer('{"events": []}', raw=True, headers={"Content-Type": "application/json"}),
        Answer(b"\x00\x01\x02" * 100),
        Answer("", 204, raw=True),
        Answer("<tev:RenewResponse xmlns:tev='x'/>"),
        Answer("", 302, {"Location": "http://127.9.41.9/"}),
        Answer("not found", 404, raw=True),
        Answer("busy", 503, raw=True),
    ],
    ids=range(14),
)
async def test_what_is_no_answer_is_none(place: Room, answer: Answer) -> None:
    device = EventDevice(host="127.9.41.1")
    device.replies["PullMessagesRequest"] = answer
    events = await beside_an_honest_one(place, device, lambda e: status(e) is EventsStatus.FAILING)
    assert events.stats.reports == {ReportKind.TAMPER: 1}
    if answer.status not in (302, 404):
        assert not device.points, "a device that still talks is told to end the subscription"


@pytest.mark.parametrize(
    "content_type",
    [
        "image/jpeg",
        "text/plain",
        "",
        "text/xml; charset=\"utf-8'",
        "multipart/x; boundary=",
        "text/xml;" * 300,
    ],
)
async def test_an_answer_is_known_by_what_it_says_not_by_its_content_type(
    place: Room, content_type: str
) -> None:
    device = EventDevice(host="127.9.41.1")
    device.replies["PullMessagesRequest"] = lambda request: Answer(
        str(device.pull(request)), headers={"Content-Type": content_type}
    )
    await beside_an_honest_one(place, device, lambda e: device.count("PullMessagesRequest") > 2)
    assert device.made == 1


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        (message(value="maybe"), [ReportKind.TAMPER]),
        (message(value=""), [ReportKind.TAMPER]),
        (message(value="TRUE"), [ReportKind.TAMPER]),
        (message(value="FALSE"), []),
        (message(topic="tns1:Person/Face/Recognised"), []),
        (message(topic=""), []),
        (message(topic="/" * 5_000), []),
        (message(source="x" * 100_000), [ReportKind.TAMPER]),
        (message(topic="tns1:VideoSource/SignalLoss/" + "y" * 300_000), [ReportKind.SIGNAL_LOST]),
        (message(topic=f"{TAMPER}&#10;ERROR forged line"), [ReportKind.TAMPER]),
        (message() * 200, [ReportKind.TAMPER]),
        ("<wsnt:NotificationMessage/>" * 100, []),
        ("<wsnt:NotificationMessage><wsnt:Topic/><wsnt:Message/></wsnt:NotificationMessage>", []),
    ],
    ids=range(13),
)
async def test_odd_messages_are_read_for_what_they_are_worth(
    place: Room, said: str, kinds: list[ReportKind]
) -> None:
    device = EventDevice(host="127.9.41.1", said=said)
    async with device.serving():
        place.add("odd", device)
        async with place.listening() as events:
            await until(lambda: events.stats.pulls > 6)  # so many that one was heard
            assert [each.kind for each in events.current("odd-1")] == kinds
            assert len(place.hurried) <= 1, "however much it says, its picture is looked at once a minute"
            assert events.stats.failed == 0
    kept = place.database.read(lambda c: store.list_reports(c, "odd-1", now=NOW))
    assert len(kept) == len(kinds)
    assert all(len(each.topic) <= 128 and each.topic.isprintable() for each in kept)


async def test_a_device_that_flickers_without_end_is_taken_down_so_often_and_no_more(place: Room) -> None:
    values = iter(range(10**9))
    device = EventDevice(host="127.9.41.1")
    device.replies["PullMessagesRequest"] = lambda request: pulled(
        "".join(message(value=("true", "false")[next(values) % 2]) for _ in range(100))
    )
    async with device.serving():
        place.add("odd", device)
        async with place.listening() as events:
            await until(lambda: events.stats.dropped > 500)
            assert sum(events.stats.reports.values()) == room.PER_HOUR
            assert place.hurried == ["odd-1"]
            place.now = Ms(NOW - 3_600_000)  # our own clock is set back: the hour is not twice as long
            before = events.stats.reports[ReportKind.TAMPER]
            await until(lambda: events.stats.reports[ReportKind.TAMPER] == before + room.PER_HOUR)


# --- addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254:{port}/latest/meta-data/",
        "http://127.0.0.1:{port}/admin",
        "http://localhost:{port}/",
        "http://[::1]:{port}/",
        "http://somebody@10.0.0.1:{port}/x",
        "http://metadata.google.internal:{port}/",
        "http://2130706433:{port}/",
    ],
)
async def test_a_subscription_elsewhere_is_looked_for_on_the_dialled_host(place: Room, address: str) -> None:
    device = EventDevice(host="127.9.41.1")
    device.replies["CreatePullPointSubscriptionRequest"] = lambda request: created(
        address.format(port=device.port), times=device.times()
    )
    device.replies["PullMessagesRequest"] = lambda request: pulled("", device.times())
    await beside_an_honest_one(place, device, lambda e: device.count("PullMessagesRequest") > 2)
    paths = {each.path for each in device.requests if each.operation == "PullMessagesRequest"}
    assert len(paths) == 1, "all of it came here"
    assert all(each.headers["host"].startswith("127.9.41.1:") for each in device.requests)


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "gopher://x/", "javascript:1", "", "http://[", "\x7f"]
)
async def test_a_subscription_nowhere_is_looked_for_at_the_service(place: Room, address: str) -> None:
    device = EventDevice(host="127.9.41.1")
    device.replies["CreatePullPointSubscriptionRequest"] = created(address)
    device.replies["PullMessagesRequest"] = pulled("")
    await beside_an_honest_one(place, device, lambda e: device.count("PullMessagesRequest") > 2)
    paths = {each.path for each in device.requests if each.operation == "PullMessagesRequest"}
    assert paths <= {"/onvif/events", "/onvif/x/", "/onvif/1"}


@pytest.mark.parametrize(
    "parameters",
    [
        '<x xmlns="::"/>',
        '<x xml:id="1"/><y xml:id="1"/>',
        '<x xmlns:b="http://[" b:y="1"/>',
        "<x>" + "y" * 5_000 + "</x>",
    ],
)
async def test_parameters_that_cannot_be_given_back_are_no_subscription(place: Room, parameters: str) -> None:
    device = EventDevice(host="127.9.41.1", parameters=parameters)
    await beside_an_honest_one(place, device, lambda e: status(e) is EventsStatus.FAILING)
    assert device.count("PullMessagesRequest") == 0


async def test_parameters_are_given_back_and_forge_nothing(place: Room) -> None:
    forged = '<a:To>http://10.9.9.9/</a:To><x attribute="&quot;&gt;&lt;/s:Header&gt;">&lt;/s:Header&gt;</x>'
    device = EventDevice(host="127.9.41.1", parameters=forged)
    await beside_an_honest_one(place, device, lambda e: device.count("PullMessagesRequest") > 2)
    pull = next(each.body for each in device.requests if each.operation == "PullMessagesRequest")
    assert len(re.findall(r"</(?:\w+:)?Header>", pull)) == 1


# --- time ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lifetime_s", [-86_400, 0, 1, 10**9])
async def test_whatever_it_says_of_its_end_a_subscription_is_kept_up(place: Room, lifetime_s: int) -> None:
    device = EventDevice(host="127.9.41.1", lifetime_s=lifetime_s)
    events = await beside_an_honest_one(place, device, lambda e: device.count("PullMessagesRequest") > 5)
    assert device.made == 1
    assert events.stats.failed == 0
    assert device.count("RenewRequest") <= device.count("PullMessagesRequest")
    assert (device.count("RenewRequest") > 0) is (lifetime_s < 10**9)


@pytest.mark.parametrize(
    "answer",
    [
        fault("ActionNotSupported", "no", 500),
        *(Answer("no", status, raw=True) for status in (400, 404, 405, 500, 501)),
        Answer("<html/>", raw=True),
    ],
    ids=["fault", "400", "404", "405", "500", "501", "html"],
)
async def test_a_device_that_knows_no_renewal_is_heard_all_the_same(place: Room, answer: Answer) -> None:
    device = EventDevice(host="127.9.41.1", lifetime_s=1)
    device.replies["RenewRequest"] = answer
    events = await beside_an_honest_one(place, device, lambda e: device.count("RenewRequest") > 3)
    assert (device.made, events.stats.failed) == (1, 0)


class Strict:
    """Lets in who signs by the device's own clock, within ten seconds."""

    def __init__(self, device: EventDevice) -> None:
        self.device, self.refused = device, 0

    def __call__(self, request: Request) -> Answer | None:
        if request.operation in ("GetSystemDateAndTime", "GetServices"):
            return None
        made = re.search(r"Created[^>]*>([^<]+)<", request.body)
        now = dates.datetime.now(dates.UTC) + self.device.shift
        if made and abs((dates.datetime.fromisoformat(made[1]) - now).total_seconds()) < 10:
            return None
        self.refused += 1
        return fault("NotAuthorized", "Sender not authorized", 400)


@pytest.mark.parametrize("hours", [-9, 1, 24 * 365 * 30])
async def test_a_clock_set_meanwhile_costs_one_refusal_and_no_half_hour(place: Room, hours: int) -> None:
    device = EventDevice(host="127.9.41.1", shift=dates.timedelta(days=-400))
    device.gate = gate = Strict(device)
    async with device.serving():
        place.add("odd", device)
        async with place.listening() as events:
            await until(lambda: device.count("PullMessagesRequest") > 1)
            assert gate.refused == 0
            device.shift, device.said = dates.timedelta(hours=hours), message()
            await until(lambda: bool(events.current("odd-1")))
            assert gate.refused == 1
            assert status(events) is EventsStatus.SUBSCRIBED


async def test_a_password_changed_meanwhile_costs_two_refusals(place: Room) -> None:
    device = EventDevice(host="127.9.41.1")
    async with device.serving():
        place.add("odd", device)
        async with place.listening() as events:
            await until(lambda: device.count("PullMessagesRequest") > 1)
            refusals: list[str] = []

            def gate(request: Request) -> Answer | None:
                if request.operation == "GetSystemDateAndTime":
                    return None
                refusals.append(request.operation)
                return fault("NotAuthorized", "Sender not authorized", 400)

            device.gate = gate
            await until(lambda: status(events) is EventsStatus.REFUSED)
            await asyncio.sleep(0.3)
            assert len(refusals) <= 3  # GetServices is asked of both: it needs no login where ONVIF is kept
            known = events.status("odd")
            assert known is not None
            assert known.retry == NOW + 30 * 60_000


async def test_a_login_asked_for_late_is_given(place: Room) -> None:
    device = EventDevice(host="127.9.41.1", said=message())
    challenge = {"WWW-Authenticate": 'Digest realm="x", qop="auth", nonce="1", algorithm=MD5'}

    def gate(request: Request) -> Answer | None:
        digest = "authorization" in request.headers
        return None if digest or request.operation != "PullMessagesRequest" else Answer("", 401, challenge)

    device.gate = gate
    async with device.serving():
        place.add("odd", device)
        async with place.listening() as events:
            await until(lambda: bool(events.current("odd-1")))
            assert events.stats.failed == 0


# --- connections --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after_s", [0.0, 0.005, 0.03])
async def test_connections_that_end_though_they_were_to_be_kept(place: Room, after_s: float) -> None:
    device = EventDevice(host="127.9.41.1", said=message())

    async def takeover(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(device.answer(request).encode())
        await writer.drain()
        await asyncio.sleep(after_s)

    device.takeover = takeover
    async with device.serving():
        place.add("odd", device)
        async with place.listening() as events:
            await until(lambda: device.count("PullMessagesRequest") > 5 and bool(events.current("odd-1")))
            assert [each.kind for each in events.current("odd-1")] == [ReportKind.TAMPER]
            assert (events.stats.failed, device.made) == (0, 1)


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_answer_that_is_late_once_costs_no_subscription(place: Room, restarted: bool) -> None:
    """A device holds few; and one that forgot ours meanwhile gets another at once."""
    device = EventDevice(host="127.9.41.1")
    late = 0

    async def takeover(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal late
        if device.count("PullMessagesRequest") == 3 and not late:
            late += 1
            if restarted:
                device.points.clear()
            return  # and so the connection ends
        writer.write(device.answer(request).encode())
        await writer.drain()

    device.takeover = takeover
    async with device.serving():
        place.add("odd", device)
        async with place.listening() as events:
            await until(lambda: late > 0 and device.count("PullMessagesRequest") > 6)
            assert status(events) is EventsStatus.SUBSCRIBED
            assert (events.stats.failed, device.made) == ((2, 2) if restarted else (1, 1))
    assert not device.points


async def test_a_device_out_of_our_sockets_keeps_its_subscription(
    place: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = EventDevice(host="127.9.41.1")
    device.replies["PullMessagesRequest"] = lambda request: Answer(
        str(device.pull(request)), headers={"Connection": "close"}
    )
    async with device.serving():
        place.add("odd", device)
        async with place.listening() as events:
            await until(lambda: device.count("PullMessagesRequest") > 1)
            loop = asyncio.get_running_loop()

            async def exhausted(*arguments: object, **more: object) -> None:
                raise OSError(24, "Too many open files")

            with monkeypatch.context() as patch:
                patch.setattr(loop, "sock_connect", exhausted)
                await until(lambda: events.stats.failed > 2)
                assert status(events) is EventsStatus.SUBSCRIBED, "it is our fault, not the device's"
            pulls = device.count("PullMessagesRequest")
            await until(lambda: device.count("PullMessagesRequest") > pulls)
            assert device.made == 1


# --- many ---------------------------------------------------------------------------------------------------


async def test_slow_devices_do_not_keep_the_others_from_their_turn(
    place: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As slow as they are let, they get a share of the places, and the rest of the time is for the others."""
    monkeypatch.setattr(room, "SHARE", 4)
    slow = EventDevice(host="127.9.41.1")

    async def takeover(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if request.operation == "PullMessagesRequest":
            await asyncio.sleep(0.3)
        writer.write(slow.answer(request).encode())
        await writer.drain()

    slow.takeover = takeover
    async with slow.serving():
        place.add("odd", slow)
        async with place.listening():
            await until(lambda: slow.count("PullMessagesRequest") > 0)
            loop = asyncio.get_running_loop()
            await until(lambda: slow.count("PullMessagesRequest") > 1)
            began = loop.time()
            await until(lambda: slow.count("PullMessagesRequest") > 2)
            assert loop.time() - began > 4 * 0.3, "a lower bound: it can only be later"


async def test_who_waits_for_a_place_gets_it_when_another_is_gone(place: Room) -> None:
    """Also if the one that was called for it is gone itself by then."""
    devices = [EventDevice(host=f"127.9.41.{10 + n}") for n in range(4)]
    async with devices[0].serving(), devices[1].serving(), devices[2].serving(), devices[3].serving():
        for number, device in enumerate(devices):
            place.add(f"d{number}", device)
        async with place.listening(limit=1) as events:
            await until(lambda: events.waiting == 3)
            for _ in range(3):  # registry reloads in which nobody new comes, and one leaves and comes back
                await events.sync(place.boxes[:-1])
                await events.sync(place.boxes)
            await until(lambda: events.waiting == 3)
            await until(lambda: any(device.points for device in devices))
            holder = next(n for n, device in enumerate(devices) if device.points)
            rest = [box for n, box in enumerate(place.boxes) if n != holder]
            await events.sync(rest)
            await events.sync(rest[1:])
            left = [device for n, device in enumerate(devices) if n != holder][1:]
            await until(lambda: any(device.points for device in left))
            assert events.waiting == 1
        assert not any(device.points for device in devices)


async def test_a_store_that_does_not_answer_loses_no_refusal(
    place: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An account that is locked after a few refusals is not tried again because a disk was full."""
    monkeypatch.setattr(room, "WRITE_S", 0.05)
    device = EventDevice(host="127.9.41.1", gate=lambda request: None)
    device.replies["CreatePullPointSubscriptionRequest"] = fault(
        "NotAuthorized", "Sender not authorized", 400
    )
    async with device.serving():
        place.add("odd", device)
        written = place.database.awrite
        failures = 0

        async def full(fn: object) -> None:
            nonlocal failures
            failures += 1
            raise OSError(28, "No space left on device")

        async with place.listening() as events:
            with monkeypatch.context() as patch:
                patch.setattr(place.database, "awrite", full)
                await until(lambda: status(events) is EventsStatus.REFUSED)
                seen = failures
                await until(lambda: failures > seen + 2)
            assert place.database.awrite == written
    assert place.database.read(store.load_device_events)["odd"].status is EventsStatus.REFUSED
    caplog.clear()


async def test_a_retry_written_by_a_clock_far_ahead_does_not_last_for_ever(place: Room) -> None:
    device = EventDevice(host="127.9.41.1")
    async with device.serving():
        place.add("odd", device)
        ahead = store.DeviceEvents(
            device="odd", status=EventsStatus.NONE, at=NOW, retry=Ms(NOW + 40 * 365 * 86_400_000)
        )
        await place.database.awrite(lambda c: store.put_device_events(c, [ahead]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(room, "NONE_MS", 300)
            async with place.listening():
                await until(lambda: device.count("PullMessagesRequest") > 0)
