"""Which found device is which known one, and what follows from it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharpeyes.discovery.found import FoundChannel, FoundDevice, FoundError, FoundProfile
from sharpeyes.discovery.reconcile import is_junk_serial, reconcile
from sharpeyes.domain.camera import Camera, Device, Identity, Origin, Stream, StreamRole
from sharpeyes.domain.organisation import Tier
from sharpeyes.registry.changes import (
    AddCamera,
    AddDevice,
    AttachCamera,
    Change,
    ChangeDevice,
    Inventory,
    MoveDevice,
    NoteConflict,
    UpdateStreams,
)
from sharpeyes.registry.declared import CAMERA_NAME, Method, Network

HARBOUR = Network(
    cidr=ip_network("10.0.0.0/16"),
    tier=Tier.PUBLIC_SECURITY,
    department="police",
    area="harbour",
    zone="video",
    credential="street",
    ports=(80,),
    methods=frozenset(Method),
    camera_name="{area} {address} {channel}",
)
MARKET = replace(HARBOUR, cidr=ip_network("10.0.7.0/24"), area="market", tier=Tier.COMMUNITY)


def found(
    address: str = "10.0.0.5:80",
    *,
    mac: str | None = None,
    serial: str | None = None,
    endpoint: str | None = None,
    channels: int = 1,
    error: FoundError | None = None,
) -> FoundDevice:
    host = address.partition(":")[0]
    return FoundDevice(
        address=address,
        xaddr=f"http://{address}/onvif/device_service",
        identity=Identity(
            mac=mac,
            manufacturer="Acme" if serial else None,
            model="Dome" if serial else None,
            serial=serial,
            endpoint=endpoint,
            address=address,
        ),
        firmware="1.0",
        channels=tuple(
            FoundChannel(
                token=f"v{number}",
                name=f"Lens {number}",
                profiles=(
                    FoundProfile(token="m", width=1920, height=1080, stream_uri=f"rtsp://{host}/{number}/m"),
                    FoundProfile(token="s", width=640, height=360, stream_uri=f"rtsp://{host}/{number}/s"),
                ),
            )
            for number in range(channels)
        ),
        error=error,
    )


class Ids:
    def __init__(self, start: int = 0) -> None:
        self.count = start

    def __call__(self, kind: str) -> str:
        self.count += 1
        return f"{kind}-{self.count:04d}"


def run(
    inventory: Inventory, seen: Iterable[FoundDevice], networks: Sequence[Network] = (HARBOUR, MARKET)
) -> list[Change]:
    used = len(inventory.devices) + len(inventory.cameras) + 1_000
    return reconcile(inventory, seen, networks, new_id=Ids(used))


def applied(inventory: Inventory, changes: Iterable[Change]) -> Inventory:
    """What the registry does with changes, in memory."""
    devices = {device.id: device for device in inventory.devices}
    cameras = {camera.id: camera for camera in inventory.cameras}
    for change in changes:
        match change:
            case AddDevice(device=device) | ChangeDevice(device=device):
                devices[device.id] = device
            case MoveDevice(device=known, address=address, xaddr=xaddr):
                identity = replace(devices[known].identity, address=address)
                devices[known] = replace(devices[known], identity=identity, xaddr=xaddr)
            case AddCamera(camera=camera):
                assert camera.device in devices
                cameras[camera.id] = camera
            case AttachCamera(camera=attached, device=owner, channel=channel):
                cameras[attached] = replace(cameras[attached], device=owner, channel=channel)
            case UpdateStreams(camera=changed, streams=streams, snapshot_url=snapshot):
                cameras[changed] = replace(cameras[changed], streams=streams, snapshot_url=snapshot)
            case NoteConflict():
                pass
            case _:
                raise AssertionError(f"reconciliation does not {change}")
    return Inventory(devices=tuple(devices.values()), cameras=tuple(cameras.values()))


def notes(changes: Iterable[Change]) -> list[NoteConflict]:
    return [change for change in changes if isinstance(change, NoteConflict)]


EMPTY = Inventory()
MAC, OTHER = "44:19:b6:0a:0b:0c", "00:40:8c:01:02:03"


def test_a_name_has_the_first_number_that_makes_it_new_and_no_address() -> None:
    acme = replace(HARBOUR, camera_name=CAMERA_NAME)
    seen = [found(f"10.0.0.{n}:80", serial=f"S-{n}0001", channels=2 if n == 6 else 1) for n in (5, 6)]
    known = applied(EMPTY, run(EMPTY, seen, (acme,)))
    assert sorted(camera.name for camera in known.cameras) == [f"harbour Dome {n}" for n in (1, 2, 3)]
    taken = replace(known.cameras[0], name="harbour Dome 4")
    known = replace(known, cameras=(taken, *known.cameras[1:]))
    (*_, camera) = run(known, [found("10.0.0.9:80", serial="S-90001")], (acme,))
    assert isinstance(camera, AddCamera)
    freed = min({1, 2, 3} - {int(one.name.split()[-1]) for one in known.cameras})
    assert camera.camera.name == f"harbour Dome {freed}"
    odd = replace(acme, camera_name="x" * 195 + "{number}")
    names = [c.camera.name for c in run(EMPTY, seen, (odd,)) if isinstance(c, AddCamera)]
    assert len(set(names)) == 3
    assert max(map(len, names)) <= 200
    plain = [c.camera.name for c in run(EMPTY, [found()], (acme,)) if isinstance(c, AddCamera)]
    assert plain == ["harbour 1"], "a maker that says no model"


def test_a_new_device_gets_what_its_network_says() -> None:
    device, camera = run(EMPTY, [found("10.0.7.9:80", mac=MAC)])
    assert isinstance(device, AddDevice)
    assert device.device.identity.mac == MAC
    assert isinstance(camera, AddCamera)
    new = camera.camera
    assert (new.tier, new.area, new.department, new.zone) == (Tier.COMMUNITY, "market", "police", "video")
    assert (new.credential, new.origin, new.device) == ("street", Origin.DISCOVERED, device.device.id)
    assert new.name == "market 10.0.7.9 Lens 0"
    assert [(s.role, s.url) for s in new.streams] == [
        (StreamRole.MAIN, "rtsp://10.0.7.9/0/m"),
        (StreamRole.SUB, "rtsp://10.0.7.9/0/s"),
    ]


def test_every_channel_of_a_recorder_is_a_camera() -> None:
    changes = run(EMPTY, [found(mac=MAC, channels=16)])
    assert sum(isinstance(change, AddCamera) for change in changes) == 16
    assert sum(isinstance(change, AddDevice) for change in changes) == 1


def test_a_device_outside_every_network_is_noted_and_has_no_cameras() -> None:
    device, note = run(EMPTY, [found("172.16.0.9:80", mac=MAC)])
    assert isinstance(device, AddDevice)
    assert isinstance(note, NoteConflict)


def test_a_new_address_keeps_device_and_cameras() -> None:
    before = applied(EMPTY, run(EMPTY, [found("10.0.0.5:80", mac=MAC)]))
    changes = run(before, [found("10.0.0.99:80", mac=MAC)])
    after = applied(before, changes)
    assert [type(change) for change in changes] == [MoveDevice, UpdateStreams]
    assert [c.id for c in after.cameras] == [c.id for c in before.cameras]
    assert after.cameras[0].streams[0].url == "rtsp://10.0.0.99/0/m"
    assert run(after, [found("10.0.0.99:80", mac=MAC)]) == []


def test_two_devices_that_swap_addresses_stay_themselves() -> None:
    one, two = found("10.0.0.5:80", mac=MAC), found("10.0.0.6:80", mac=OTHER)
    before = applied(EMPTY, run(EMPTY, [one, two]))
    swapped = [found("10.0.0.6:80", mac=MAC), found("10.0.0.5:80", mac=OTHER)]
    changes = run(before, swapped)
    assert sorted(type(change).__name__ for change in changes) == ["MoveDevice"] * 2 + ["UpdateStreams"] * 2
    after = applied(before, changes)
    assert {d.identity.mac: d.id for d in after.devices} == {d.identity.mac: d.id for d in before.devices}
    assert run(after, swapped) == []


def test_what_is_not_found_is_not_removed() -> None:
    before = applied(EMPTY, run(EMPTY, [found(mac=MAC)]))
    assert run(before, []) == []


@pytest.mark.parametrize(
    "serial",
    [None, "", "  ", "000000000", "123456", "Unknown", "N/A", "1111-1111", "To be filled by O.E.M.", "42"],
)
def test_placeholder_serials_never_join(serial: str | None) -> None:
    assert is_junk_serial(serial)
    changes = run(EMPTY, [found("10.0.0.5:80", serial=serial), found("10.0.0.6:80", serial=serial)])
    assert sum(isinstance(change, AddDevice) for change in changes) == 2
    assert notes(changes) == []


def test_a_real_serial_joins_what_has_no_mac() -> None:
    before = applied(EMPTY, run(EMPTY, [found("10.0.0.5:80", serial="AC-2023-0042")]))
    changes = run(before, [found("10.0.0.8:80", serial="AC-2023-0042", mac=MAC)])
    after = applied(before, changes)
    assert len(after.devices) == 1
    assert after.devices[0].identity.mac == MAC
    assert after.devices[0].identity.address == "10.0.0.8:80"


def test_one_serial_on_two_macs_is_two_devices_and_a_conflict() -> None:
    changes = run(
        EMPTY,
        [
            found("10.0.0.5:80", serial="AC-2023-0042", mac=MAC),
            found("10.0.0.6:80", serial="AC-2023-0042", mac=OTHER),
        ],
    )
    assert sum(isinstance(change, AddDevice) for change in changes) == 2
    assert "serial" in notes(changes)[0].message


def test_one_mac_with_two_serials_is_one_device_and_a_conflict() -> None:
    changes = run(
        EMPTY,
        [
            found("10.0.0.5:80", serial="AC-2023-0042", mac=MAC),
            found("10.0.0.6:80", serial="AC-2023-0043", mac=MAC),
        ],
    )
    assert sum(isinstance(change, AddDevice) for change in changes) == 1
    assert "serials" in notes(changes)[0].message


def test_the_endpoint_joins_what_nothing_else_does_and_may_change() -> None:
    before = applied(EMPTY, run(EMPTY, [found("10.0.0.5:80", endpoint="urn:uuid:a")]))
    moved = applied(before, run(before, [found("10.0.0.6:80", endpoint="urn:uuid:a")]))
    assert [d.identity.address for d in moved.devices] == ["10.0.0.6:80"]
    rebuilt = applied(moved, run(moved, [found("10.0.0.6:80", endpoint="urn:uuid:b")]))
    assert [d.identity.endpoint for d in rebuilt.devices] == ["urn:uuid:b"]


def test_the_address_joins_last_and_not_against_a_mac() -> None:
    before = applied(EMPTY, run(EMPTY, [found("10.0.0.5:80", mac=MAC)]))
    same = run(before, [found("10.0.0.5:80")])
    other = run(before, [found("10.0.0.5:80", mac=OTHER)])
    assert same == []
    assert isinstance(other[0], AddDevice)


def test_two_known_devices_that_turn_out_to_be_one_share_its_cameras() -> None:
    before = applied(EMPTY, run(EMPTY, [found("10.0.0.5:80", mac=MAC)]))
    double = Device(id="device-9999", identity=Identity(mac=MAC, address="10.0.0.77:80"))
    camera = replace(before.cameras[0], id="camera-9999", device=double.id, channel="v7")
    before = Inventory(devices=(*before.devices, double), cameras=(*before.cameras, camera))
    changes = run(before, [found("10.0.0.5:80", mac=MAC)])
    assert [type(change) for change in changes] == [AttachCamera, NoteConflict]
    after = applied(before, changes)
    assert {camera.device for camera in after.cameras} == {before.devices[0].id}
    assert run(after, [found("10.0.0.5:80", mac=MAC)]) == []


def test_a_declared_camera_is_attached_and_its_urls_stand() -> None:
    camera = Camera(
        id="gate",
        name="Gate",
        tier=Tier.COMMUNITY,
        department="d",
        area="a",
        zone="z",
        streams=(Stream(role=StreamRole.MAIN, url="rtsp://10.0.0.5:554/0/s/"),),
    )
    before = Inventory(cameras=(camera,))
    changes = run(before, [found("10.0.0.5:80", mac=MAC, channels=2)])
    assert [type(change) for change in changes] == [AddDevice, AttachCamera, AddCamera]
    after = applied(before, changes)
    assert after.cameras[0].streams == camera.streams
    assert run(after, [found("10.0.0.5:80", mac=MAC, channels=2)]) == []


def test_who_could_not_be_enrolled_adds_nothing_and_takes_nothing() -> None:
    error = FoundError("auth_failed", "no")
    assert run(EMPTY, [found(channels=0, error=error)]) == []
    before = applied(EMPTY, run(EMPTY, [found(mac=MAC)]))
    assert run(before, [found(channels=0, error=error)]) == []


def test_a_stream_that_was_not_learned_this_time_stays() -> None:
    whole = found(mac=MAC)
    before = applied(EMPTY, run(EMPTY, [whole]))
    channel = whole.channels[0]
    half = replace(
        whole,
        channels=(replace(channel, profiles=channel.profiles[:1]),),
        error=FoundError("timeout", "GetStreamUri"),
    )
    assert run(before, [half]) == []


def test_another_certificate_is_noted_not_taken() -> None:
    before = applied(EMPTY, run(EMPTY, [replace(found(mac=MAC), fingerprint="aa")]))
    changes = run(before, [replace(found(mac=MAC), fingerprint="bb")])
    assert [type(change) for change in changes] == [NoteConflict]


# -- for any findings ----------------------------------------------------------------------------------------

DEVICES = st.builds(
    found,
    st.sampled_from([f"10.0.0.{n}:80" for n in range(1, 7)] + ["172.16.0.1:80"]),
    mac=st.sampled_from([None, None, MAC, OTHER, "00:12:41:00:00:01"]),
    serial=st.sampled_from([None, "000000000", "123456", "AC-2023-0042", "AC-2023-0043"]),
    endpoint=st.sampled_from([None, "urn:uuid:a", "urn:uuid:b"]),
    channels=st.integers(0, 2),
    error=st.sampled_from([None, None, FoundError("timeout", "x")]),
)


SEARCHES = st.lists(DEVICES, max_size=7)


@settings(max_examples=400, deadline=None)
@given(SEARCHES, SEARCHES, st.randoms(use_true_random=False))
def test_idempotent_and_the_same_in_any_order(
    first: list[FoundDevice], second: list[FoundDevice], chance: random.Random
) -> None:
    inventory = applied(EMPTY, run(EMPTY, first))
    changes = run(inventory, second)
    shuffled = [*second, *second[:2]]
    chance.shuffle(shuffled)
    assert run(inventory, shuffled) == changes
    after = applied(inventory, changes)
    assert [change for change in run(after, second) if not isinstance(change, NoteConflict)] == []
    # Ids are for life, and nothing is ever removed.
    assert {camera.id for camera in inventory.cameras} <= {camera.id for camera in after.cameras}
    assert {device.id for device in inventory.devices} <= {device.id for device in after.devices}


@settings(max_examples=200, deadline=None)
@given(SEARCHES)
def test_one_device_a_mac_and_never_two_macs_in_one(seen: list[FoundDevice]) -> None:
    after = applied(EMPTY, run(EMPTY, seen))
    macs = [device.identity.mac for device in after.devices if device.identity.mac]
    assert len(macs) == len(set(macs))
    addresses = [one.address for one in seen]
    enrolled = {
        one.identity.mac
        for one in seen
        if one.identity.mac and not one.error and addresses.count(one.address) == 1
    }
    assert enrolled <= set(macs)
