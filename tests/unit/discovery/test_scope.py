"""Which addresses a run may ask, and how a device on the list is known again."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import permutations

import pytest

from sharpeyes.discovery.found import (
    MAX_TOLD,
    FoundChannel,
    FoundDevice,
    FoundError,
    FoundProfile,
    channels_of,
    document,
    trimmed,
)
from sharpeyes.discovery.listing import Known, status_of
from sharpeyes.discovery.scope import MAX_ADDRESSES, Wanted, parse, permitted, plan, policy_of
from sharpeyes.discovery.sweep import Range, hosts, merged
from sharpeyes.domain.camera import Identity
from sharpeyes.domain.discovery import Enrol, FoundStatus, How
from sharpeyes.domain.errors import ConflictError, InvalidInputError, NotFoundError
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.registry.declared import Method, Network
from sharpeyes.store.discovery import Found, position

PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))


def network(cidr: str, enrol: Enrol = Enrol.AUTOMATIC, **fields: object) -> Network:
    values: dict[str, object] = {"zone": "z", "ports": (80,), "methods": frozenset({Method.SWEEP})} | fields
    return Network(
        cidr=ip_network(cidr),
        tier=Tier.COMMUNITY,
        department="d",
        area="a",
        camera_name="{channel}",
        enrol=enrol,
        **values,  # type: ignore[arg-type]
    )


def found(key: str, address: str, **identity: str) -> Found:
    return Found(
        id=key,
        identity=Identity(address=address, **identity),
        xaddr=f"http://{address}/onvif/device_service",
        status=FoundStatus.NEW,
        how=How.SWEEP,
        first=Ms(1),
        last=Ms(1),
    )


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("10.0.0.0/30", ["10.0.0.1", "10.0.0.2"]),
        ("10.0.0.0/31", ["10.0.0.0", "10.0.0.1"]),
        (" 10.0.0.7 ", ["10.0.0.7"]),
        ("10.0.0.254-10.0.1.1", ["10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1"]),
        ("10.0.0.7-9", ["10.0.0.7", "10.0.0.8", "10.0.0.9"]),
        ("fd00::1 - fd00::2", ["fd00::1", "fd00::2"]),
    ],
)
def test_addresses_as_people_write_them(text: str, addresses: list[str]) -> None:
    assert list(hosts([parse(text)])) == addresses


@pytest.mark.parametrize(
    "text",
    [
        "",
        "camera",
        "10.0.0.9-7",
        "10.0.0.1-fd00::1",
        "10.0.0.1-",
        "10.0.0.1-999",
        "10.0.0.1/33",
        "-",
        "10.0.0.0/8",
    ],
)
def test_what_is_none_or_too_much_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="addresses"):
        parse(text)


def test_spans_that_touch_are_one_and_each_address_is_asked_once() -> None:
    spans = merged([parse("10.0.0.1-5"), parse("10.0.0.6"), parse("10.0.0.3-9"), parse("10.0.1.1")])
    assert [(str(one.first), str(one.last)) for one in spans] == [
        ("10.0.0.1", "10.0.0.9"),
        ("10.0.1.1", "10.0.1.1"),
    ]
    assert [str(one) for one in parse("10.0.0.1-6").networks()] == [
        "10.0.0.1/32",
        "10.0.0.2/31",
        "10.0.0.4/31",
        "10.0.0.6/32",
    ]


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("10.1.2.3", True),
        ("fd12::7", True),
        ("203.0.113.9", True),  # declared
        ("203.0.113.200", False),
        ("8.8.8.8", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("fd00:ec2::254", False),
        ("fe80::1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("::ffff:10.0.0.1", False),
        ("somewhere", False),
    ],
)
def test_only_declared_and_allowed_addresses_are_asked(address: str, may: bool) -> None:
    assert permitted(address, [network("203.0.113.0/25")], PRIVATE) is may


def test_metadata_services_stay_out_even_if_all_is_allowed() -> None:
    everything = tuple(map(ip_network, ("0.0.0.0/0", "::/0")))
    assert permitted("8.8.8.8", [], everything)
    for never in ("169.254.169.254", "100.100.100.200", "fe80::1"):
        assert not permitted(never, [], everything)
    with pytest.raises(InvalidInputError, match="never asked"):
        plan(Wanted(addresses=("100.100.96.0/20",)), [], everything, {}, by="x")


def test_the_bound_is_of_the_run_and_not_of_an_entry() -> None:
    wanted = Wanted(addresses=("10.0.0.0/17", "10.0.128.0/17", "10.1.0.0/24"), ports=(80,))
    with pytest.raises(InvalidInputError, match="too many for one run"):
        plan(wanted, [], PRIVATE, {}, by="x")
    most = plan(Wanted(addresses=("10.0.0.0-10.0.255.255",), ports=(80,)), [], PRIVATE, {}, by="x")
    assert most.parts[0].questions == MAX_ADDRESSES


def test_what_is_searched_when_nothing_is_said() -> None:
    declared = [network("10.0.0.0/29"), network("10.0.1.0/29", Enrol.APPROVE)]
    made = plan(Wanted(), declared, (), {}, by="schedule")
    assert [(part.network, part.enrol) for part in made.parts] == list(
        zip(declared, (Enrol.AUTOMATIC, Enrol.APPROVE), strict=True)
    )
    with pytest.raises(ConflictError, match="no networks"):
        plan(Wanted(), [], PRIVATE, {}, by="x")


def test_a_network_that_wants_approval_has_it_whoever_asks() -> None:
    networks = [network("10.0.0.0/16"), network("10.0.7.0/24", Enrol.APPROVE)]
    assert policy_of("10.0.7.9:80", networks, Enrol.AUTOMATIC) is Enrol.APPROVE
    assert policy_of("10.0.8.9:80", networks, Enrol.APPROVE) is Enrol.APPROVE
    assert policy_of("10.0.8.9:80", networks, None) is Enrol.AUTOMATIC
    assert policy_of("10.9.0.1:80", networks, None) is Enrol.APPROVE


def test_who_is_asked_again_is_asked_at_its_own_address_or_not_at_all() -> None:
    rows = {
        "a": found("a", "10.0.0.7:80"),
        "b": Found(**{**_fields(found("b", "10.0.0.8:80")), "xaddr": "http://169.254.169.254/latest/"}),
        "c": Found(**{**_fields(found("c", "10.0.0.8:80")), "xaddr": "http://10.0.0.9/onvif/device_service"}),
    }
    made = plan(Wanted(devices=("a",)), [], PRIVATE, rows, by="x")
    assert made.parts[0].xaddrs == ("http://10.0.0.7:80/onvif/device_service",)
    for key, why in (("b", "no network that may be searched"), ("c", "not its own")):
        with pytest.raises(InvalidInputError, match=why):
            plan(Wanted(devices=(key,)), [], PRIVATE, rows, by="x")
    with pytest.raises(NotFoundError):
        plan(Wanted(devices=("z",)), [], PRIVATE, rows, by="x")


def _fields(row: Found) -> dict[str, object]:
    return {name: getattr(row, name) for name in Found.__slots__}


def test_a_device_is_known_again_when_it_moves_and_its_successor_is_not_it() -> None:
    old = found("old", "10.0.0.7:80", mac="02:00:00:00:00:07", serial="A-1234", model="M")
    for rows in permutations([old, found("other", "10.0.0.9:80", mac="02:00:00:00:00:09")]):
        known = Known(rows)
        moved = Identity(address="10.0.0.9:80", mac="02:00:00:00:00:07")
        assert known.find(moved) is old
        assert known.find(Identity(address="10.0.0.50:80", model="m", serial="A-1234")) is old
        assert known.find(Identity(address="10.0.0.7:80")) is old
        assert known.find(Identity(address="10.0.0.7:80", mac="02:00:00:00:00:aa")) is None
        assert known.find(Identity(address="10.0.0.99:80")) is None


def test_the_address_sorts_by_number() -> None:
    order = ["10.0.0.2:80", "10.0.0.2:8080", "10.0.0.10:80", "[fd00::2]:80", "[fd00::10]:80", "nobody"]
    assert sorted({*order}, key=position) == order


def test_a_device_that_says_too_much_is_cut_short() -> None:
    profiles = tuple(
        FoundProfile(token=f"p{n}", stream_uri="rtsp://10.0.0.7/" + "x" * 1_900) for n in range(8)
    )
    channels = tuple(FoundChannel(token=f"c{n}", name="c", profiles=profiles) for n in range(128))
    device = FoundDevice(
        address="10.0.0.7:80", xaddr="http://10.0.0.7", identity=Identity(), channels=channels
    )
    kept = trimmed(device)
    assert 0 < len(kept.channels) <= MAX_TOLD // 15_000
    assert kept.error is not None
    assert kept.error.kind == "too_large"
    assert trimmed(FoundDevice(**{**_of(device), "channels": channels[:2]})).error is None
    assert channels_of(document(kept)) == kept.channels


def _of(device: FoundDevice) -> dict[str, object]:
    return {name: getattr(device, name) for name in FoundDevice.__slots__}


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("credentials_missing", FoundStatus.NEEDS_CREDENTIALS),
        ("auth_failed", FoundStatus.NEEDS_CREDENTIALS),
        ("timeout", FoundStatus.UNREACHABLE),
        ("malformed", FoundStatus.ERROR),
        ("xaddr_refused", FoundStatus.ERROR),
        (None, FoundStatus.ERROR),
    ],
)
def test_how_it_stands_with_who_told_no_stream(kind: str | None, status: FoundStatus) -> None:
    error = FoundError(kind, "why") if kind else None
    device = FoundDevice(address="10.0.0.7:80", xaddr="http://10.0.0.7", identity=Identity(), error=error)
    assert status_of(device)[0] is status


def test_a_range_holds_its_ends() -> None:
    span = parse("10.0.0.7-9")
    assert isinstance(span, Range)
    assert len(span) == 3
    assert span.first in span
    assert span.last in span
