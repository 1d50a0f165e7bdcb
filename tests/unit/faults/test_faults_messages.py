"""Who is told what, when, in which words; and what each channel makes of it."""

import base64
import hashlib
import hmac
import ipaddress
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes
from email.policy import default as default_policy
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharpeyes.domain.access import Schedule
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.faults import Delivery, DeliveryState, FaultKind, Notice, Scope, Severity, Topic
from sharpeyes.domain.time import Ms, from_datetime
from sharpeyes.faults.notify import email, robots, webhook
from sharpeyes.faults.notify.channels import Email, SecretRef, Webhook
from sharpeyes.faults.notify.courier import CourierPolicy
from sharpeyes.faults.notify.post import Guard
from sharpeyes.faults.notify.recipients import Language, Recipient, by_id, plan, when
from sharpeyes.faults.notify.text import compose, plain, span, trial

SHANGHAI = timezone(timedelta(hours=8))
HOOK = Webhook(url="https://hooks.example.org/x", secret=SecretRef(env="HOOK"))
ROOM = Recipient(id="room", channel=HOOK, timezone=SHANGHAI)
NIGHT = Schedule(start=22 * 60, end=7 * 60)


def local(text: str) -> Ms:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI))


NOTICE = Notice(
    topic=Topic.DOWN,
    ticket=12,
    cycle=0,
    scope=Scope.NODE,
    subject="device:nvr-3",
    name="NVR 3",
    kind=FaultKind.OFFLINE,
    severity=Severity.MAJOR,
    cause="timeout",
    unit="police",
    area="old-town",
    started=local("2026-10-01 08:00"),
    at=local("2026-10-01 08:05"),
    due=local("2026-10-02 08:05"),
    level=0,
    children=32,
)
OVER = replace(NOTICE, topic=Topic.UP, ended=local("2026-10-01 10:30"), children=0)


# --- when ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quiet", "digests", "severity", "now", "expected"),
    [
        (None, (), Severity.MINOR, "2026-10-01 03:00", None),
        (NIGHT, (), Severity.MINOR, "2026-10-01 12:00", None),
        (NIGHT, (), Severity.MAJOR, "2026-10-01 23:30", "2026-10-02 07:00"),
        (NIGHT, (), Severity.MAJOR, "2026-10-01 03:00", "2026-10-01 07:00"),
        (NIGHT, (), Severity.CRITICAL, "2026-10-01 03:00", None),
        (NIGHT, (), Severity.MINOR, "2026-10-01 07:00", None),
        (None, (8 * 60, 18 * 60), Severity.MINOR, "2026-10-01 12:00", "2026-10-01 18:00"),
        (None, (8 * 60, 18 * 60), Severity.MINOR, "2026-10-01 18:00", "2026-10-02 08:00"),
        (None, (8 * 60,), Severity.CRITICAL, "2026-10-01 12:00", None),
        (NIGHT, (6 * 60,), Severity.MINOR, "2026-10-01 12:00", "2026-10-02 07:00"),
        # a quiet weekend: Saturday leads into Sunday (2026-10-03 is a Saturday)
        (Schedule(days=frozenset({5, 6})), (), Severity.MINOR, "2026-10-03 09:00", "2026-10-05 00:00"),
        (Schedule(), (), Severity.MINOR, "2026-10-03 09:00", None),  # always quiet would be never
    ],
)
def test_when(
    quiet: Schedule | None, digests: tuple[int, ...], severity: Severity, now: str, expected: str | None
) -> None:
    recipient = replace(ROOM, quiet=quiet, digests=digests)
    at = local(now)
    assert when(recipient, severity, at) == ((local(expected), True) if expected else (at, False))


@given(
    st.integers(0, 2_000_000_000_000).map(Ms),
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.sets(st.integers(0, 6), min_size=1),
    st.lists(st.integers(0, 1439), max_size=3),
)
def test_never_before_now_and_never_more_than_ten_days_late(
    now: Ms, start: int, end: int, days: set[int], digests: list[int]
) -> None:
    if start == end:
        return
    quiet = Schedule(start=start, end=end, days=frozenset(days))
    due, held = when(replace(ROOM, quiet=quiet, digests=tuple(digests)), Severity.MINOR, now)
    assert now <= due <= now + 10 * 86_400_000
    assert held == (due > now)


# --- who -----------------------------------------------------------------------------------------------


def planned(notice: Notice, *recipients: Recipient, told: list[Delivery] | None = None) -> list[str]:
    keys = (str(number) for number in count())
    return [d.recipient for d in plan(notice, recipients, told or [], notice.at, keys)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"units": frozenset({"police"})}, True),
        ({"units": frozenset({"traffic"})}, False),
        ({"least": Severity.MAJOR}, True),
        ({"least": Severity.CRITICAL}, False),
        ({"level": 1}, False),
    ],
)
def test_who_is_told(changes: dict[str, object], expected: bool) -> None:
    assert bool(planned(NOTICE, replace(ROOM, **changes))) is expected  # type: ignore[arg-type]


def test_who_is_switched_off_hears_nothing_not_even_of_a_recovery() -> None:
    off = replace(ROOM, enabled=False)
    assert planned(NOTICE, off) == []
    (heard,) = plan(NOTICE, [ROOM], [], NOTICE.at, ["k"])
    assert planned(OVER, off, told=[heard]) == []
    assert planned(OVER, ROOM, told=[heard]) == ["room"]


@pytest.mark.parametrize("language", Language)
def test_a_test_says_that_it_is_one(language: Language) -> None:
    message = trial("k", NOTICE.at, "room\n<b>", language, SHANGHAI)
    assert ("测试" if language is Language.ZH else "Test") in message.subject
    assert "<" not in message.text
    body = json.loads(webhook.body(message))
    assert (body["type"], body["data"]) == ("test", {"notices": []})


def test_a_secret_of_the_settings() -> None:
    held = SecretRef(held=Secret("words"))
    assert held.read() == Secret("words")
    assert "words" not in repr(held)
    with pytest.raises(InvalidInputError, match="Enter it again"):
        SecretRef(held=Secret("")).read()
    with pytest.raises(InvalidInputError):
        SecretRef(env="A", held=Secret("words"))


def test_recovery_goes_to_those_who_heard_of_the_fault() -> None:
    (first,) = plan(NOTICE, [ROOM], [], NOTICE.at, ["k"])
    other = replace(ROOM, id="other")
    assert planned(OVER, ROOM, other, told=[first]) == ["room"]
    assert planned(OVER, ROOM, other, told=[replace(first, state=DeliveryState.DEAD)]) == []


def test_what_is_said_once() -> None:
    def once(notice: Notice) -> str:
        return plan(notice, [replace(ROOM, level=0)], [], notice.at, ["k"])[0].once

    assert once(NOTICE) == once(replace(NOTICE, at=Ms(0), children=3))
    second = replace(NOTICE, topic=Topic.ESCALATED, level=1)
    assert (
        len({once(NOTICE), once(second), once(replace(second, level=2)), once(replace(NOTICE, cycle=1))}) == 4
    )


def test_two_recipients_with_one_id_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="two recipients room"):
        by_id([ROOM, replace(ROOM, language=Language.EN)])


# --- words ---------------------------------------------------------------------------------------------


def test_words_in_chinese() -> None:
    message = compose("k", NOTICE.at, [NOTICE], Language.ZH, SHANGHAI)
    assert message.subject == "【重要】上游设备 NVR 3 离线,影响 32 路摄像机"
    assert message.lines == (
        "工单:#12",
        "原因:超时无应答",
        "开始时间:2026-10-01 08:00:00 +0800",
        "区域:old-town",
        "责任单位:police",
        "处理期限:2026-10-02 08:05:00 +0800",
    )
    message = compose("k", NOTICE.at, [OVER], Language.ZH, SHANGHAI)
    assert message.subject == "【恢复】上游设备 NVR 3 已恢复"
    assert "持续:2小时30分" in message.lines


def test_words_in_english() -> None:
    message = compose("k", NOTICE.at, [NOTICE], Language.EN, UTC)
    assert message.subject == "[Major] Upstream NVR 3 is offline; 32 cameras are down because of it"
    assert "Since: 2026-10-01 00:00:00 +0000" in message.lines
    escalated = replace(NOTICE, topic=Topic.ESCALATED, level=2, children=0)
    assert compose("k", NOTICE.at, [escalated], Language.EN, UTC).subject.endswith("; escalated to level 2")


def test_a_digest_tells_each_ticket_once_as_it_stands() -> None:
    worse = replace(NOTICE, ticket=13, severity=Severity.CRITICAL, name="NVR 4")
    message = compose("k", NOTICE.at, [NOTICE, worse, OVER], Language.EN, SHANGHAI)
    assert message.subject == "Faults in brief: 1 going on, 1 recovered"
    assert [line.split()[0] for line in message.lines] == ["#13", "#12"]
    assert "2 h 30 min" in message.lines[1]
    many = [replace(NOTICE, ticket=n) for n in range(80)]
    assert compose("k", NOTICE.at, many, Language.EN, SHANGHAI).lines[-1] == "and 30 more"


@pytest.mark.parametrize("kind", FaultKind)
@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("language", Language)
def test_there_are_words_for_everything(kind: FaultKind, scope: Scope, language: Language) -> None:
    for topic in Topic:
        assert compose("k", Ms(0), [replace(NOTICE, kind=kind, scope=scope, topic=topic)], language, UTC).text


@pytest.mark.parametrize(
    ("ms", "words"),
    [(0, "0 s"), (59_999, "59 s"), (61_000, "1 min 1 s"), (3_600_000, "1 h"), (90_061_000, "1 d 1 h")],
)
def test_spans(ms: int, words: str) -> None:
    assert span(ms, Language.EN) == words


@given(st.text())
def test_names_are_plain(text: str) -> None:
    assert len(plain(text)) <= 120
    assert plain(text).isprintable()
    assert not set(plain(text)) & set("<>[]`*#|\r\n")


# --- channels ------------------------------------------------------------------------------------------

NASTY = replace(NOTICE, name="Gate\r\nBcc: all@example.org\r\n\r\n<@all> [x](http://evil)")


def test_a_letter() -> None:
    channel = Email(to="li@example.org", sender="eyes@city.example", host="mail.city.example")
    message = compose("key-1", NOTICE.at, [NOTICE], Language.ZH, SHANGHAI)
    mail = message_from_bytes(bytes(email.letter(channel, message, Language.ZH)), policy=default_policy)
    assert mail["Message-ID"] == "<key-1@city.example>"
    assert mail["References"] == "<ticket-12-0@city.example>"
    assert mail["Subject"] == message.subject
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == datetime.fromtimestamp(NOTICE.at // 1000, UTC)
    assert "责任单位:police" in mail.get_content()
    again = email.letter(channel, message, Language.ZH)
    assert bytes(again) == bytes(email.letter(channel, message, Language.ZH)), "each attempt is the same"


def test_no_header_is_smuggled_in() -> None:
    channel = Email(to="li@example.org", sender="eyes@city.example", host="mail.city.example")
    message = compose("key-1", NOTICE.at, [NASTY], Language.EN, SHANGHAI)
    mail = message_from_bytes(bytes(email.letter(channel, message, Language.EN)), policy=default_policy)
    assert "Bcc" not in mail
    assert mail["To"] == "li@example.org"


@pytest.mark.parametrize("secret", ["plain words", "whsec_" + base64.b64encode(b"k" * 24).decode()])
def test_a_signature_that_others_can_check(secret: str) -> None:
    message = compose("key-1", NOTICE.at, [NOTICE], Language.EN, SHANGHAI)
    payload = webhook.body(message)
    key = b"k" * 24 if secret.startswith("whsec_") else secret.encode()
    expected = base64.b64encode(hmac.new(key, b"key-1.1700000000." + payload, hashlib.sha256).digest())
    assert webhook.sign(Secret(secret), "key-1", 1_700_000_000, payload) == f"v1,{expected.decode()}"


def test_standard_webhooks_own_example() -> None:
    """The test vector of the specification's libraries."""
    signature = webhook.sign(
        Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_json_of_a_webhook() -> None:
    one = json.loads(webhook.body(compose("k", NOTICE.at, [NOTICE], Language.EN, SHANGHAI)))
    assert (one["type"], one["id"], one["data"]["started"]) == ("fault.down", "k", "2026-10-01T00:00:00.000Z")
    assert one["data"]["children"] == 32
    two = json.loads(webhook.body(compose("k", NOTICE.at, [NOTICE, OVER], Language.EN, SHANGHAI)))
    assert two["type"] == "fault.digest"
    assert [n["topic"] for n in two["data"]["notices"]] == ["down", "up"]


def test_robots() -> None:
    message = compose("k", NOTICE.at, [NASTY], Language.ZH, SHANGHAI)
    wecom = json.loads(robots.wecom_body(message))
    assert wecom["msgtype"] == "markdown"
    assert "<@all>" not in wecom["markdown"]["content"]
    ding = json.loads(robots.dingtalk_body(message))
    assert (ding["msgtype"], ding["markdown"]["title"]) == ("markdown", message.subject)
    many = compose("k", NOTICE.at, [replace(NOTICE, ticket=n) for n in range(200)], Language.ZH, SHANGHAI)
    assert len(json.loads(robots.wecom_body(many))["markdown"]["content"].encode()) <= 4096


def test_the_sign_of_dingtalk() -> None:
    url = robots.dingtalk_url(
        "https://ding.example/send?access_token=t", Secret("SECx"), Ms(1_700_000_000_123)
    )
    query = parse_qs(urlsplit(url).query)
    expected = hmac.new(b"SECx", b"1700000000123\nSECx", hashlib.sha256).digest()
    assert query["timestamp"] == ["1700000000123"]
    assert base64.b64decode(query["sign"][0]) == expected
    assert robots.dingtalk_url("https://ding.example/send", None, Ms(0)) == "https://ding.example/send"


# --- guards --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "tls", "allow", "expected"),
    [
        ("8.8.8.8", True, (), True),
        ("8.8.8.8", False, (), False),
        ("127.0.0.1", True, (), False),
        ("10.1.2.3", True, (), False),
        ("169.254.169.254", True, (), False),
        ("224.0.0.1", True, (), False),
        ("0.0.0.0", True, (), False),
        ("::1", True, (), False),
        ("::ffff:127.0.0.1", True, (), False),
        ("fe80::1", True, (), False),
        ("64:ff9b::10.1.2.3", True, (), False),
        ("2002:0a01:0203::1", True, (), False),
        ("2001:4860:4860::8888", True, (), True),
        ("10.1.2.3", False, ("10.0.0.0/8",), True),
        ("::ffff:10.1.2.3", False, ("10.0.0.0/8",), True),
        ("10.1.2.3", True, ("192.168.0.0/16",), False),
    ],
)
def test_where_messages_may_go(address: str, tls: bool, allow: tuple[str, ...], expected: bool) -> None:
    guard = Guard(tuple(ipaddress.ip_network(network) for network in allow))
    assert guard.permits(ipaddress.ip_address(address), tls=tls) is expected


@pytest.mark.parametrize(
    "url",
    ["ftp://x/", "https://", "https://u:p@x/", "https://x:99999/", "https://x/ y", "https://x/\r\nA: b", "x"],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(InvalidInputError):
        Webhook(url=url, secret=SecretRef(env="X"))


@pytest.mark.parametrize("to", ["li", "li@", "@x", "li@x.org\r\nBcc: a@b.c", "li @x.org", ""])
def test_addresses_that_are_refused(to: str) -> None:
    with pytest.raises(InvalidInputError, match="to is not"):
        Email(to=to, sender="eyes@city.example", host="mail")


def test_no_password_in_clear() -> None:
    with pytest.raises(InvalidInputError, match="in clear"):
        Email(
            to="li@example.org",
            sender="eyes@city.example",
            host="mail",
            security="none",
            username="u",
            password=SecretRef(env="P"),
        )


def test_secrets_are_read_when_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    with pytest.raises(InvalidInputError, match="holds no secret"):
        SecretRef(file=file).read()
    file.write_text("one\n")
    assert SecretRef(file=file).read().reveal() == "one"
    file.write_text("two\n")
    assert SecretRef(file=file).read().reveal() == "two"
    file.write_bytes(b"x" * 20_000)
    with pytest.raises(InvalidInputError):
        SecretRef(file=file).read()
    monkeypatch.setenv("SECRET_FOR_TEST", "three")
    assert SecretRef(env="SECRET_FOR_TEST").read().reveal() == "three"
    with pytest.raises(InvalidInputError, match="exactly one"):
        SecretRef()


@given(st.integers(1, 40), st.floats(0, 1))
def test_pauses_grow_within_bounds(failures: int, draw: float) -> None:
    policy = CourierPolicy()
    pause = policy.pause(failures, draw)
    assert policy.first_ms / 2 <= pause <= policy.longest_ms
    assert policy.pause(failures + 1, 1) >= pause
