"""Messages over real sockets: e-mail, signed webhooks, robots; receivers that misbehave."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta, timezone
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from notify_peers import HttpServer, SmtpServer

from certificates import certificate
from sharpeyes.domain.access import Schedule
from sharpeyes.domain.errors import InvalidInputError, NotFoundError
from sharpeyes.domain.faults import (
    Delivery,
    DeliveryState,
    FaultKey,
    FaultKind,
    Notice,
    Scope,
    Severity,
    Ticket,
    TicketStage,
    Topic,
)
from sharpeyes.domain.time import Ms
from sharpeyes.faults.notify.channels import Channel, DingTalk, Email, SecretRef, Webhook, WeCom
from sharpeyes.faults.notify.courier import Courier, CourierPolicy
from sharpeyes.faults.notify.post import DeliveryError, Guard
from sharpeyes.faults.notify.recipients import Language, Recipient, plan
from sharpeyes.rates.report.render import MEDIA_TYPES, Format
from sharpeyes.store import faults as store
from sharpeyes.store import outbox
from sharpeyes.store.database import Database

LOOPBACK = Guard((ip_network("127.0.0.0/8"),))
NOW = Ms(1_790_000_000_000)
SHANGHAI = timezone(timedelta(hours=8))
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class Office:
    """A database with an outbox, a courier, and a clock that obeys."""

    def __init__(self, path: Path) -> None:
        self.database = Database(f"sqlite:///{path}/office.db")
        self.database.upgrade()
        self.now = NOW
        self.courier: Courier

    def staff(self, *recipients: Recipient, guard: Guard = LOOPBACK, **policy: int) -> None:
        self.recipients = recipients
        self.courier = Courier(
            self.database,
            recipients,
            clock=lambda: self.now,
            guard=guard,
            policy=CourierPolicy(**policy),  # type: ignore[arg-type]
            draw=lambda: 1.0,
        )

    def say(self, topic: Topic = Topic.DOWN, ticket: int = 0, severity: Severity = Severity.MAJOR) -> int:
        """Put a notice about a ticket (a new one, if 0) into the outbox."""

        def write(connection: object) -> int:
            number = ticket or self._new_ticket(connection, severity)
            notice = Notice(
                topic=topic,
                ticket=number,
                cycle=0,
                scope=Scope.CAMERA,
                subject=f"cam-{number}",
                name=f"Gate {number}",
                kind=FaultKind.OFFLINE,
                severity=severity,
                cause="timeout",
                unit="police",
                area=None,
                started=NOW,
                at=self.now,
                due=Ms(NOW + 86_400_000),
                level=0,
                children=0,
                ended=self.now if topic is Topic.UP else None,
            )
            told = outbox.told(connection, number, 0)  # type: ignore[arg-type]
            keys = (f"key-{number}-{topic}-{r.id}" for r in self.recipients)
            outbox.enqueue(connection, plan(notice, self.recipients, told, self.now, keys))  # type: ignore[arg-type]
            return number

        return self.database.write(write)

    def _new_ticket(self, connection: object, severity: Severity) -> int:
        count = len(store.list_tickets(connection))  # type: ignore[arg-type]
        ticket = Ticket(
            key=FaultKey(Scope.CAMERA, f"cam-{count}", FaultKind.OFFLINE),
            name="Gate",
            severity=severity,
            stage=TicketStage.RAISED,
            cause=None,
            started=NOW,
            raised=NOW,
            acknowledge_by=NOW,
            due=NOW,
        )
        return store.add_ticket(connection, ticket).id  # type: ignore[arg-type]

    def deliveries(self) -> Sequence[Delivery]:
        return self.database.read(outbox.list_deliveries)[::-1]

    @property
    def states(self) -> list[str]:
        return [d.state.value for d in self.deliveries()]

    async def drain(self) -> None:
        while await self.courier.deliver_due():
            pass


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setenv("HOOK_SECRET", "tell nobody")
    office = Office(tmp_path)
    yield office
    office.database.close()


def room(channel: Channel, **options: object) -> Recipient:
    return Recipient(id="room", channel=channel, timezone=SHANGHAI, **options)  # type: ignore[arg-type]


def hook(url: str, **options: object) -> Webhook:
    return Webhook(url=url, secret=SecretRef(env="HOOK_SECRET"), **options)  # type: ignore[arg-type]


# --- webhook -------------------------------------------------------------------------------------------


async def test_a_signed_webhook(office: Office) -> None:
    async with HttpServer() as server:
        office.staff(room(hook(server.url), language=Language.EN))
        office.say()
        await office.drain()
    (request,) = server.received
    signed = f"key-1-down-room.{NOW // 1000}.".encode() + request.body
    digest = base64.b64encode(hmac.new(b"tell nobody", signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{digest}"
    assert request.headers["webhook-id"] == request.headers["idempotency-key"] == "key-1-down-room"
    assert request.target == "/hook?token=sesame"
    assert request.json["title"] == "[Major] Camera Gate 1 is offline"
    assert office.states == ["sent"]


async def test_it_is_tried_again_later_and_later_with_the_same_key(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with HttpServer() as server:
        server.answers = [b"HTTP/1.1 503 Busy\r\n\r\n"] * 3
        office.staff(room(hook(server.url)))
        office.say()
        moments = []
        while office.states != ["sent"]:
            await office.drain()
            (delivery,) = office.deliveries()
            moments.append(delivery.due - office.now)
            office.now = max(delivery.due, Ms(office.now + 60_000))
    assert moments[:3] == [10_000, 20_000, 40_000]
    assert {r.headers["idempotency-key"] for r in server.received} == {"key-1-down-room"}
    assert len({r.body for r in server.received}) == 1
    told = [r.message for r in caplog.records if "room" in r.message]
    assert told == [
        "messages to room fail: 127.0.0.1 answered 503",
        "messages to room are taken again",
    ], "said once, and recovery"


async def test_a_pause_that_the_receiver_asks_for_is_kept(office: Office) -> None:
    async with HttpServer(b"HTTP/1.1 429 Slow\r\nRetry-After: 600\r\n\r\n") as server:
        office.staff(room(hook(server.url)))
        office.say()
        await office.drain()
    assert office.deliveries()[0].due == NOW + 600_000


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", "redirects elsewhere"),
        (b"HTTP/1.1 422 No\r\n\r\n", "answered 422"),
    ],
)
async def test_what_cannot_get_better_is_dead_at_once_and_can_be_tried_by_hand(
    office: Office, answer: bytes, error: str
) -> None:
    async with HttpServer(answer) as server:
        office.staff(room(hook(server.url)))
        office.say()
        await office.drain()
        (delivery,) = office.deliveries()
        assert (delivery.state, delivery.attempts) == (DeliveryState.DEAD, 1)
        assert delivery.error is not None
        assert error in delivery.error
        assert "sesame" not in delivery.error
        server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        office.database.write(lambda c: outbox.retry(c, delivery.seq, now=office.now))
        await office.drain()
        with pytest.raises(NotFoundError):
            office.database.write(lambda c: outbox.retry(c, delivery.seq, now=office.now))
    assert office.states == ["sent"]
    assert len({r.headers["webhook-id"] for r in server.received}) == 1


async def test_recipients_are_taken_while_it_runs(office: Office) -> None:
    """What waits for one that was switched off is given up; from then on messages go where it is now."""
    async with HttpServer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as server:
        office.staff(room(hook("http://127.0.0.1:1/")))
        office.say()
        office.courier.take([room(hook(server.url), enabled=False)])
        await office.drain()
        (given_up,) = office.deliveries()
        assert given_up.state is DeliveryState.DEAD
        assert "switched off" in (given_up.error or "")
        office.courier.take([room(hook(server.url))])
        office.say()
        await office.drain()
    assert office.states == ["dead", "sent"]
    assert len(server.received) == 1


async def test_dead_after_so_many_attempts(office: Office) -> None:
    async with HttpServer(b"HTTP/1.1 500 Oops\r\n\r\n") as server:
        office.staff(room(hook(server.url)), attempts=4)
        office.say()
        for _ in range(10):
            await office.drain()
            office.now = Ms(office.now + 3_600_000)
    assert len(server.received) == 4
    assert office.states == ["dead"]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 ",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 999 Hm\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
    ],
)
async def test_answers_that_are_none(office: Office, answer: bytes) -> None:
    async with HttpServer(answer) as server:
        office.staff(room(hook(server.url, timeout_s=0.3)))
        office.say()
        await office.drain()
    (delivery,) = office.deliveries()
    assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, 1)
    assert delivery.error is not None
    assert "127.0.0.1" in delivery.error


@pytest.mark.parametrize("guard", [Guard(), Guard((ip_network("10.0.0.0/8"),))])
async def test_nothing_goes_where_it_may_not(office: Office, guard: Guard) -> None:
    async with HttpServer() as server:
        office.staff(room(hook(server.url.replace("127.0.0.1", "localhost"))), guard=guard)
        office.say()
        await office.drain()
    assert server.received == []
    assert office.states == ["dead"]


async def test_https_with_a_certificate_of_our_own_authority(office: Office, tmp_path: Path) -> None:
    async with HttpServer() as server:
        pass
    server = HttpServer()
    server.tls = certificate(tmp_path, "ca").context
    async with server:
        url = server.url.replace("http:", "https:").replace("127.0.0.1", "localhost")
        office.staff(room(hook(url)))
        office.say()
        await office.drain()
        (delivery,) = office.deliveries()
        assert delivery.error is not None
        assert "certificate of localhost is not trusted" in delivery.error
        office.staff(room(hook(url, ca_file=tmp_path / "ca.pem")))
        office.now = delivery.due
        await office.drain()
    assert office.states == ["sent"]
    assert len(server.received) == 1


# --- robots --------------------------------------------------------------------------------------------


def robot_url(path: Path, server: HttpServer) -> SecretRef:
    (path / "robot").write_text(f"http://127.0.0.1:{server.port}/robot/send?access_token=sesame\n")
    return SecretRef(file=path / "robot")


async def test_wecom(office: Office, tmp_path: Path) -> None:
    body = b'{"errcode":0,"errmsg":"ok"}'
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:5], body[5:])) + b"0\r\n\r\n"
    async with HttpServer(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks) as server:
        office.staff(room(WeCom(url=robot_url(tmp_path, server))))
        office.say()
        await office.drain()
    (request,) = server.received
    assert request.json["msgtype"] == "markdown"
    assert "Gate 1" in json.dumps(request.json, ensure_ascii=False)
    assert office.states == ["sent"]


async def test_dingtalk_signed(office: Office, tmp_path: Path) -> None:
    async with HttpServer(OK + b'Content-Length: 13\r\n\r\n{"errcode":0}') as server:
        office.staff(room(DingTalk(url=robot_url(tmp_path, server), sign=SecretRef(env="HOOK_SECRET"))))
        office.say()
        await office.drain()
    query = parse_qs(urlsplit(server.received[0].target).query)
    digest = hmac.new(b"tell nobody", f"{NOW}\ntell nobody".encode(), hashlib.sha256).digest()
    assert query == {
        "access_token": ["sesame"],
        "timestamp": [str(NOW)],
        "sign": [base64.b64encode(digest).decode()],
    }
    assert office.states == ["sent"]


@pytest.mark.parametrize(
    ("body", "error", "pause"),
    [
        (b'{"errcode":45009,"errmsg":"api freq out of limit"}', "errcode 45009", 60_000),
        (b'{"errcode":130101,"errmsg":"send too fast"}', "errcode 130101", 600_000),
        (b'{"errcode":310000,"errmsg":"sign not match"}', "errcode 310000", 10_000),
        (b"<html>", "not a robot's answer", 10_000),
        (b"[" * 60_000, "not a robot's answer", 10_000),
        (b'{"errcode":"<b>"}', "errcode unknown", 10_000),
    ],
)
async def test_a_robot_that_refuses(
    office: Office, tmp_path: Path, body: bytes, error: str, pause: int
) -> None:
    async with HttpServer(OK + b"\r\n" + body) as server:
        office.staff(room(WeCom(url=robot_url(tmp_path, server))))
        office.say()
        await office.drain()
    (delivery,) = office.deliveries()
    assert delivery.error is not None
    assert error in delivery.error
    assert "sesame" not in delivery.error
    assert delivery.due == NOW + pause


async def test_a_robot_is_not_hurried(office: Office, tmp_path: Path) -> None:
    async with HttpServer(OK + b'\r\n{"errcode":0}') as server:
        office.staff(room(WeCom(url=robot_url(tmp_path, server))))
        for _ in range(3):
            office.say()
        for number in range(1, 4):
            await office.drain()
            assert len(server.received) == number
            office.now = Ms(office.now + 3_500)


# --- e-mail --------------------------------------------------------------------------------------------


def mailbox(server: SmtpServer, **options: object) -> Email:
    settings: dict[str, object] = {"security": "none", "host": "127.0.0.1", **options}
    return Email(to="li@example.org", sender="eyes@city.example", port=server.port, **settings)  # type: ignore[arg-type]


async def test_a_mail(office: Office) -> None:
    async with SmtpServer() as server:
        office.staff(room(mailbox(server)))
        office.say()
        await office.drain()
    (mail,) = server.mails
    assert (mail.sender.lower(), mail.to.lower()) == (
        "mail from:<eyes@city.example>",
        "rcpt to:<li@example.org>",
    )
    assert mail.content["Message-ID"] == "<key-1-down-room@city.example>"
    assert mail.content["Subject"] == "【重要】摄像机 Gate 1 离线"
    assert "原因:超时无应答" in mail.content.get_content()
    assert office.states == ["sent"]


async def test_reports_come_as_they_are_to_mailboxes_alone(office: Office, tmp_path: Path) -> None:
    files = [tmp_path / f"month.{form}" for form in Format]
    for file in files:
        file.write_bytes(bytes(range(256)) * 20)
    async with SmtpServer() as server, HttpServer() as http:
        office.staff(room(mailbox(server)))
        await office.courier.mail("room", "滨江: 摄像机在线率报告 2026-10", files)
        with pytest.raises(NotFoundError):
            await office.courier.mail("nobody", "x", files)
        files[1].unlink()
        with pytest.raises(DeliveryError, match="attached cannot be read"):
            await office.courier.mail("room", "x", files)
        office.staff(room(hook(http.url)))
        with pytest.raises(InvalidInputError, match="no e-mail"):
            await office.courier.mail("room", "x", files)
    (mail,) = server.mails
    assert mail.content["Subject"] == "滨江: 摄像机在线率报告 2026-10"
    attached = list(mail.content.iter_attachments())
    assert [(one.get_filename(), one.get_content_type()) for one in attached] == [
        (f"month.{form}", MEDIA_TYPES[form].partition(";")[0]) for form in Format
    ]
    assert all(one.get_payload(decode=True) == bytes(range(256)) * 20 for one in attached)
    assert http.received == []


async def test_a_mail_over_starttls_with_a_password(office: Office, tmp_path: Path) -> None:
    async with SmtpServer(starttls=certificate(tmp_path, "ca").context) as server:
        channel = mailbox(
            server,
            security="starttls",
            host="localhost",
            username="eyes",
            password=SecretRef(env="HOOK_SECRET"),
        )
        office.staff(room(channel))
        office.say()
        await office.drain()
        assert server.mails == [], "not to a stranger"
        office.staff(room(replace(channel, ca_file=tmp_path / "ca.pem")))
        office.now = office.deliveries()[0].due
        await office.drain()
    (mail,) = server.mails
    assert (mail.user, mail.encrypted) == ("eyes", True)


async def test_no_password_goes_to_a_server_without_tls(office: Office) -> None:
    async with SmtpServer() as server:
        office.staff(
            room(mailbox(server, security="starttls", username="eyes", password=SecretRef(env="HOOK_SECRET")))
        )
        office.say()
        await office.drain()
    assert server.mails == []
    assert "STARTTLS" in (office.deliveries()[0].error or "")


@pytest.mark.parametrize(
    ("word", "reply", "state"),
    [
        ("RCPT", "550 no such user", "dead"),
        ("RCPT", "450 greylisted", "pending"),
        (".", "554 spam", "dead"),
        (".", "451 later", "pending"),
        ("MAIL", "550 not you", "pending"),
        ("banner", "421 closing", "pending"),
        ("banner", "", "pending"),
        (".", "", "pending"),
    ],
)
async def test_a_mail_server_that_refuses_or_hangs(office: Office, word: str, reply: str, state: str) -> None:
    async with SmtpServer() as server:
        server.replies[word] = [reply]
        office.staff(room(mailbox(server, timeout_s=0.5)))
        office.say()
        await office.drain()
        assert office.states == [state]
        if state == "pending":
            office.now = Ms(office.now + 60_000)
            await office.drain()
            assert office.states == ["sent"]
            assert len({mail.content["Message-ID"] for mail in server.mails}) == 1


async def test_what_was_taken_is_not_sent_again_for_want_of_a_farewell(office: Office) -> None:
    async with SmtpServer() as server:
        server.replies["QUIT"] = [""]
        office.staff(room(mailbox(server, timeout_s=0.4)))
        office.say()
        await office.drain()
    assert office.states == ["sent"]
    assert len(server.mails) == 1


async def test_a_mail_server_that_drips_does_not_hold_a_thread(office: Office) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"220-wait\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    server = SmtpServer()
    server._serve = drip  # type: ignore[method-assign]
    async with server:
        office.staff(room(mailbox(server, timeout_s=0.4)))
        office.say()
        await office.drain()
        assert "did not finish" in (office.deliveries()[0].error or "")
        await asyncio.sleep(0.2)
        assert not server._connections, "the connection was cut"


# --- order, digests, storms ----------------------------------------------------------------------------


async def test_nobody_hears_that_it_is_over_before_hearing_of_it(office: Office) -> None:
    async with HttpServer() as server:
        server.answers = [b"HTTP/1.1 500 Oops\r\n\r\n"]
        office.staff(room(hook(server.url)))
        first = office.say()
        await office.drain()
        office.say(Topic.UP, first)
        office.say()
        office.now = Ms(office.now + 11_000)
        for _ in range(3):
            await office.drain()
            office.now = Ms(office.now + 11_000)
    assert [r.json["type"] for r in server.received] == ["fault.down"] * 2 + ["fault.up", "fault.down"]
    assert office.states == ["sent"] * 3


async def test_a_quiet_night_is_one_message_in_the_morning(office: Office) -> None:
    async with HttpServer() as server:
        quiet = Schedule(start=0, end=24 * 60 - 1)
        office.staff(room(hook(server.url), quiet=quiet, language=Language.EN))
        first = office.say()
        office.say()
        office.say(severity=Severity.CRITICAL)
        office.say(Topic.UP, first)
        await office.drain()
        assert [r.json["type"] for r in server.received] == ["fault.down"], "critical ones pass"
        office.now = max(d.due for d in office.deliveries())
        server.answers = [b"HTTP/1.1 500 Oops\r\n\r\n"]
        await office.drain()
        office.say()  # a late one does not slip into a message that was tried already
        office.now = Ms(office.now + 15_000)
        await office.drain()
    digests = [r for r in server.received if r.json["type"] == "fault.digest"]
    assert [r.json["title"] for r in digests] == ["Faults in brief: 1 going on, 1 recovered"] * 2
    assert len({r.headers["webhook-id"] for r in digests}) == 1
    assert digests[0].body == digests[1].body


async def test_a_storm_is_one_message(office: Office) -> None:
    async with HttpServer() as server:
        office.staff(room(hook(server.url), language=Language.EN), storm=10)
        for _ in range(50):
            office.say()
        await office.drain()
    assert [r.json["title"] for r in server.received] == ["Faults in brief: 50 going on, 0 recovered"]
    assert set(office.states) == {"sent"}


async def test_the_recovery_waits_however_long_the_fault_has_to(office: Office) -> None:
    async with HttpServer() as server:
        server.answers = [b"HTTP/1.1 429 Slow\r\nRetry-After: 600\r\n\r\n"]
        office.staff(room(hook(server.url)))
        first = office.say()
        await office.drain()
        office.say(Topic.UP, first)
        office.now = Ms(NOW + 300_000)
        await office.drain()
        assert len(server.received) == 1
        office.now = Ms(NOW + 600_000)
        await office.drain()
    assert [r.json["type"] for r in server.received] == ["fault.down", "fault.down", "fault.up"]


async def test_a_message_that_was_tried_does_not_grow(office: Office) -> None:
    async with HttpServer() as server:
        server.answers = [b"HTTP/1.1 500 Oops\r\n\r\n"]
        office.staff(room(hook(server.url)), storm=3)
        for _ in range(3):
            office.say()
        await office.drain()
        office.say()
        office.now = Ms(NOW + 60_000)
        await office.drain()
    assert [r.headers["webhook-id"] for r in server.received] == [
        "key-1-down-room",
        "key-1-down-room",
        "key-4-down-room",
    ]
    assert server.received[0].body == server.received[1].body


async def test_what_was_sent_is_forgotten_once_its_ticket_has_ended(office: Office) -> None:
    async with HttpServer() as server:
        office.staff(room(hook(server.url)))
        for _ in range(2):
            office.say()
        await office.drain()

    def end_first(connection: object) -> None:
        ticket = store.get_ticket(connection, 1)  # type: ignore[arg-type]
        store.save_ticket(connection, replace(ticket, stage=TicketStage.VOIDED, closed=NOW))  # type: ignore[arg-type]

    office.database.write(end_first)
    assert office.database.write(lambda c: outbox.forget_sent(c, NOW)) == 0
    assert office.database.write(lambda c: outbox.forget_sent(c, Ms(NOW + 1))) == 1
    assert [d.notice.ticket for d in office.deliveries()] == [2]


async def test_one_that_fails_does_not_hold_up_the_others(office: Office) -> None:
    async with HttpServer(b"") as hanging, HttpServer() as good:
        slow = replace(room(hook(hanging.url, timeout_s=0.5)), id="slow")
        office.staff(slow, room(hook(good.url)))
        for _ in range(3):
            office.say()
        work = asyncio.ensure_future(office.courier.run())
        async with asyncio.timeout(60):
            while len(good.received) < 3:
                await asyncio.sleep(0.02)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert len(hanging.received) == 1


async def test_who_failed_while_our_clock_was_ahead_is_told_what_comes(office: Office) -> None:
    async with HttpServer() as server:
        server.answers = [b"HTTP/1.1 503 Busy\r\n\r\n"]
        office.staff(room(hook(server.url)))
        office.now = Ms(NOW + 90 * 86_400_000)
        office.say()
        await office.drain()
        office.now = NOW
        office.say()
        await office.drain()
    assert sorted(office.states) == ["pending", "sent"]


async def test_a_stop_lets_go_of_what_is_under_way(office: Office) -> None:
    async with HttpServer(b"") as server:
        office.staff(room(hook(server.url)))
        office.say()
        work = asyncio.ensure_future(office.courier.run())
        async with asyncio.timeout(60):
            await server.arrived.wait()
        assert office.deliveries()[0].leased is not None
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    (delivery,) = office.deliveries()
    assert (delivery.state, delivery.leased, delivery.attempts) == (DeliveryState.PENDING, None, 0)


async def test_a_recipient_who_is_gone_is_said_so(office: Office) -> None:
    office.staff(room(hook("https://hooks.example.org/")))
    office.say()
    office.staff(replace(room(hook("https://hooks.example.org/")), id="other"))
    await office.drain()
    (delivery,) = office.deliveries()
    assert (delivery.state, delivery.error) == (DeliveryState.DEAD, "this recipient is no longer configured")
    assert [(c.recipient, c.state, c.number) for c in office.database.read(outbox.count)] == [
        ("room", DeliveryState.DEAD, 1)
    ]
