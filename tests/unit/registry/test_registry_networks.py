"""What a network says reaches the cameras found in it before; what was registered by address is found."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from sharpeyes.discovery.found import FoundChannel, FoundDevice, FoundProfile
from sharpeyes.discovery.reconcile import reconcile
from sharpeyes.domain.access import Place
from sharpeyes.domain.camera import Camera, Device, Identity, Origin, Stream, StreamRole
from sharpeyes.domain.dossier import Dossier
from sharpeyes.domain.faults import Node, NodeKind, NodeOrigin
from sharpeyes.domain.organisation import Area, Department, Tier, Zone
from sharpeyes.domain.time import Ms
from sharpeyes.registry import registry
from sharpeyes.registry.changes import AddCamera, AddDevice
from sharpeyes.registry.declared import Declared, DeclaredNode, Method, Network, network_of
from sharpeyes.registry.edit import Edit, edit
from sharpeyes.store.cameras import get_camera, list_cameras, memberships
from sharpeyes.store.causes import load_causes
from sharpeyes.store.database import Database
from sharpeyes.store.dossiers import get_dossiers, put_dossiers
from sharpeyes.store.events import list_events
from sharpeyes.store.rules import put_place
from sharpeyes.store.vault import Vault

NETWORK = Network(
    cidr=IPv4Network("10.0.0.0/24"),
    tier=Tier.COMMUNITY,
    department="a",
    area="here",
    zone="z",
    ports=(80,),
    methods=frozenset({Method.SWEEP}),
    camera_name="{address}",
)
CITY = Declared(
    zones=(Zone(id="z", name="z"),),
    departments=(Department(id="a", name="a"), Department(id="b", name="b")),
    areas=(Area(id="here", name="here"), Area(id="there", name="there")),
)
DEVICE = Device(id="d", identity=Identity(mac="aa", address="10.0.0.9:80"))


def camera(key: str, **changes: object) -> Camera:
    plain = Camera(
        id=key,
        name=key,
        tier=Tier.COMMUNITY,
        department="a",
        area="here",
        zone="z",
        streams=(Stream(role=StreamRole.MAIN, url=f"rtsp://10.0.0.9/{key}", profile=key),),
        origin=Origin.DISCOVERED,
        device="d",
        channel=key,
    )
    return replace(plain, **changes)


class World:
    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder}/a.db")
        self.database.upgrade()
        self.vault = Vault.at(folder / "key")
        self.now = 1_000

    def declare(self, *networks: Network, **more: object) -> registry.Summary:
        self.now += 1_000
        return self.database.write(
            lambda c: registry.apply_config(
                c, replace(CITY, **more), self.vault, networks=networks, now=Ms(self.now)
            )
        )

    def apply(self, *changes: AddDevice | AddCamera) -> None:
        self.now += 1_000
        self.database.write(lambda c: registry.apply(c, changes, now=Ms(self.now)))

    def camera(self, key: str) -> Camera:
        return self.database.read(lambda c: get_camera(c, key))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.declare(NETWORK)
    world.apply(AddDevice(device=DEVICE), AddCamera(camera=camera("c1")), AddCamera(camera=camera("c2")))
    yield world
    world.database.close()


def test_defaults_reach_what_was_found_but_not_what_was_set_by_hand(world: World) -> None:
    world.database.write(lambda c: edit(c, ["c1"], Edit(area="there"), by="x", now=Ms(world.now)))
    changed = replace(NETWORK, department="b", tier=Tier.DEPARTMENTAL, area="here")
    assert world.declare(changed).changed == 2
    assert (world.camera("c1").department, world.camera("c1").area) == ("b", "there")
    assert (world.camera("c2").department, world.camera("c2").area) == ("b", "here")
    assert world.declare(changed).changed == 0, "a second time changes nothing"
    stays = world.database.read(lambda c: memberships(c, "c2"))
    assert [stay["department"] for stay in stays] == ["a", "b"]


def test_a_network_that_is_gone_changes_nothing(world: World) -> None:
    world.declare()
    assert world.camera("c1") == camera("c1")


def test_the_smallest_network_counts() -> None:
    small = replace(NETWORK, cidr=IPv4Network("10.0.0.8/29"))
    assert network_of([NETWORK, small], "10.0.0.9:80") is small
    assert network_of([NETWORK, small], "10.0.0.99:80") is NETWORK
    assert network_of([NETWORK], "camera.example:80") is None
    assert network_of([NETWORK], None) is None


def found(*channels: str) -> FoundDevice:
    return FoundDevice(
        address="10.0.0.7:80",
        xaddr=None,
        identity=Identity(mac="bb", address="10.0.0.7:80"),
        name="",
        channels=tuple(
            FoundChannel(
                token=token,
                name=token,
                profiles=(FoundProfile(token=token, stream_uri=f"rtsp://10.0.0.7/{token}"),),
            )
            for token in channels
        ),
    )


@pytest.mark.parametrize(("channels", "attached"), [(("1",), True), (("1", "2"), False)])
def test_what_was_registered_by_its_address_is_the_camera_found_there(
    world: World, channels: tuple[str, ...], attached: bool
) -> None:
    waiting = camera("w", origin=Origin.IMPORTED, streams=(), device=None, channel=None)
    world.database.write(lambda c: registry.put(c, [waiting], Ms(world.now)))
    world.database.write(lambda c: put_dossiers(c, {"w": Dossier(ipv4="10.0.0.7")}, now=Ms(world.now)))
    known = world.database.read(registry.inventory)
    assert known.awaited == {"10.0.0.7": "w"}
    ids = iter(f"new-{n}" for n in range(9))
    changes = reconcile(known, [found(*channels)], [NETWORK], new_id=lambda _: next(ids))
    world.database.write(lambda c: registry.apply(c, changes, now=Ms(world.now)))
    watched = world.camera("w")
    assert watched.watched is attached
    assert len(world.database.read(list_cameras)) == (3 if attached else 5)
    if attached:
        assert watched.stream().url == "rtsp://10.0.0.7/1"
        assert not reconcile(
            world.database.read(registry.inventory), [found("1")], [NETWORK], new_id=lambda _: next(ids)
        )


def test_a_camera_where_none_may_be_is_not_registered_again(world: World) -> None:
    gone = replace(camera("c1"), retired_ms=Ms(5_000))
    world.database.write(lambda c: registry.put(c, [gone], Ms(5_000)) and put_place(c, "c1", Place.BATH))
    world.apply(AddCamera(camera=camera("c1")))
    assert world.camera("c1").retired_ms is not None
    (event,) = world.database.read(lambda c: list_events(c, subject="c1", kind="conflict"))
    assert "the law allows no camera there: bath" in event.message


def test_nodes_of_the_file_come_and_go_and_others_stay(world: World) -> None:
    def node(key: str, parent: str | None = None) -> Node:
        return Node(id=key, kind=NodeKind.SWITCH, name=key, parent=parent, origin=NodeOrigin.CONFIG)

    def nodes() -> dict[str, str | None]:
        found, _ = world.database.read(load_causes)
        return {one.id: one.parent for one in found if one.origin is NodeOrigin.CONFIG}

    first = (DeclaredNode(node=node("a")), DeclaredNode(node=node("b", "a"), cameras=("c1", "nobody")))
    world.declare(nodes=first)
    assert nodes() == {"a": None, "b": "a"}
    assert world.database.read(load_causes)[1]["c1"] == "b"
    (event,) = world.database.read(lambda c: list_events(c, subject="b", kind="conflict"))
    assert event.message == "there is no camera nobody"
    swapped = (DeclaredNode(node=node("b")), DeclaredNode(node=node("a", "b")))
    world.declare(nodes=swapped)
    assert nodes() == {"a": "b", "b": None}
    assert world.database.read(load_causes)[1]["c1"] != "b"
    world.declare(nodes=())
    assert nodes() == {}


def test_dossiers_of_the_file_keep_what_they_do_not_name(world: World) -> None:
    declared = camera("own", origin=Origin.CONFIG, device=None, channel=None)
    world.declare(cameras=(declared,), dossiers={"own": Dossier(address="here", longitude=1.0)})
    world.declare(cameras=(declared,), dossiers={"own": Dossier(longitude=2.0)})

    stored = world.database.read(lambda c: get_dossiers(c, ["own"]))["own"]
    assert (stored.address, stored.longitude) == ("here", 2.0)
