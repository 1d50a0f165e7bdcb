"""The registry: what was declared and what was found, in one transaction, with a journal."""

from dataclasses import replace
from pathlib import Path

import pytest

from sharpeyes.domain.camera import Camera, Device, Identity, Origin, Stream, StreamRole
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.errors import ConflictError, NotFoundError
from sharpeyes.domain.organisation import Area, Department, Tier, TierPolicy, Zone
from sharpeyes.domain.time import Ms
from sharpeyes.registry import numbering, registry
from sharpeyes.registry.changes import (
    AddCamera,
    AddDevice,
    AttachCamera,
    Change,
    ChangeDevice,
    MoveDevice,
    NoteConflict,
    RetireCamera,
    UpdateStreams,
)
from sharpeyes.registry.declared import Declared, DeclaredCredential
from sharpeyes.registry.registry import Summary
from sharpeyes.store import credentials, organisation
from sharpeyes.store.cameras import get_camera, memberships
from sharpeyes.store.database import Database
from sharpeyes.store.devices import get_device
from sharpeyes.store.events import Event, list_events
from sharpeyes.store.vault import Vault

MAIN, SUB = StreamRole.MAIN, StreamRole.SUB


def camera(key: str = "gate", **changes: object) -> Camera:
    plain = Camera(
        id=key,
        name=f"门 {key}",
        tier=Tier.DEPARTMENTAL,
        department="school",
        area="hall",
        zone="video",
        streams=(Stream(role=MAIN, url=f"rtsp://10.0.0.1/{key}"),),
    )
    return replace(plain, **changes)


CITY = Declared(
    tiers=(TierPolicy(tier=Tier.COMMUNITY, target=0.9),),
    zones=(Zone(id="video", name="视频专网", network="1"),),
    departments=(Department(id="school", name="学校", industry="11"), Department(id="shop", name="店")),
    areas=(
        Area(id="north", name="城北", code="330108"),
        Area(id="hall", name="厅", parent="north"),
        Area(id="sea", name="海"),
    ),
    credentials=(DeclaredCredential(id="viewer", username="viewer", password=Secret("hunter2")),),
    cameras=(camera(credential="viewer"),),
)

DEVICE = Device(id="d1", identity=Identity(mac="aa", address="10.0.0.9:80"), xaddr="http://10.0.0.9/onvif")
FOUND = camera(
    "found",
    origin=Origin.DISCOVERED,
    device="d1",
    channel="1",
    streams=(Stream(role=MAIN, url="rtsp://10.0.0.9/1", profile="P1"),),
)


class World:
    """A registry on disk, with a clock that is moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder}/a.db")
        self.database.upgrade()
        self.vault = Vault.at(folder / "key")
        self.now = 1000

    def declare(self, declared: Declared) -> Summary:
        self.now += 1000
        return self.database.write(lambda c: registry.apply_config(c, declared, self.vault, now=Ms(self.now)))

    def apply(self, *changes: Change) -> Summary:
        self.now += 1000
        return self.database.write(lambda c: registry.apply(c, changes, now=Ms(self.now)))

    def camera(self, key: str) -> Camera:
        return self.database.read(lambda c: get_camera(c, key))

    def events(self, **where: str) -> list[Event]:
        return self.database.read(lambda c: list_events(c, **where))

    def account(self, name: str) -> Credentials | None:
        return self.database.read(lambda c: credentials.open_credential(c, self.vault, name))


@pytest.fixture
def world(tmp_path: Path):
    world = World(tmp_path)
    yield world
    world.database.close()


# --- declared


def test_what_is_declared_is_there_and_numbered(world: World) -> None:
    assert world.declare(CITY) == Summary(added=1, numbered=1)
    assert world.camera("gate") == camera(credential="viewer", code="33010800111321000001")
    assert world.account("viewer") == Credentials("viewer", Secret("hunter2"))
    policies = world.database.read(organisation.list_tiers)
    assert [policy.target for policy in policies] == [0.95, 0.95, 0.9]
    assert [(e.kind, e.subject) for e in world.events()] == [
        ("camera_numbered", "gate"),
        ("camera_added", "gate"),
        ("credential", "viewer"),
    ]


def test_declaring_it_again_changes_nothing(world: World) -> None:
    world.declare(CITY)
    before = world.events()
    assert world.declare(CITY) == Summary()
    assert world.events() == before


def test_a_change_is_journalled_with_what_was_and_moves_the_membership(world: World) -> None:
    world.declare(CITY)
    moved = camera(credential="viewer", area="sea", name="新名")
    assert world.declare(replace(CITY, cameras=(moved,))) == Summary(changed=1)
    (event,) = world.events(kind="camera_changed")
    assert event.detail == {"name": ["门 gate", "新名"], "area": ["hall", "sea"]}
    assert world.camera("gate").code == "33010800111321000001", "a number is kept for life"
    rows = world.database.read(lambda c: memberships(c, "gate"))
    assert [(row["area"], row["started_ms"], row["ended_ms"]) for row in rows] == [
        ("hall", 2000, 3000),
        ("sea", 3000, None),
    ]


def test_a_camera_gone_is_retired_and_comes_back_as_itself(world: World) -> None:
    world.declare(CITY)
    assert world.declare(replace(CITY, cameras=())) == Summary(retired=1)
    gone = world.camera("gate")
    assert (gone.retired_ms, gone.credential, gone.code) == (3000, None, "33010800111321000001")
    assert world.declare(replace(CITY, cameras=())) == Summary()
    assert world.declare(CITY) == Summary(restored=1)
    assert world.camera("gate") == camera(credential="viewer", code="33010800111321000001")
    assert {e.kind for e in world.events(subject="gate")} == {
        "camera_added",
        "camera_numbered",
        "camera_retired",
        "camera_restored",
    }


def test_units_gone_are_hidden_unless_a_camera_is_in_them(world: World) -> None:
    world.declare(CITY)
    world.apply(AddDevice(device=DEVICE), AddCamera(camera=FOUND))
    world.declare(replace(CITY, departments=(), areas=(), cameras=()))
    assert [d.id for d in world.database.read(organisation.list_departments)] == ["school"]
    assert [a.id for a in world.database.read(organisation.list_areas)] == ["hall"]


def test_a_password_not_given_today_is_that_of_yesterday(world: World) -> None:
    world.declare(CITY)
    without = DeclaredCredential(id="viewer", username="viewer", password=None)
    world.declare(replace(CITY, credentials=(without,)))
    assert world.account("viewer") == Credentials("viewer", Secret("hunter2"))


def test_an_account_that_nothing_uses_is_forgotten(world: World) -> None:
    world.declare(CITY)
    world.declare(replace(CITY, credentials=(), cameras=()))
    assert world.database.read(credentials.list_credentials) == {}


def test_no_secret_in_the_journal(world: World) -> None:
    world.declare(CITY)
    world.declare(
        replace(
            CITY, credentials=(DeclaredCredential(id="viewer", username="v2", password=Secret("hunter3")),)
        )
    )
    assert len(world.events(kind="credential")) == 2
    assert "hunter" not in repr(world.events())


def test_an_area_or_department_without_code_leaves_the_camera_unnumbered(world: World) -> None:
    world.declare(replace(CITY, cameras=(camera("a", area="sea"), camera("b", department="shop"))))
    assert (world.camera("a").code, world.camera("b").code) == (None, None)
    inland = replace(CITY.areas[2], code="3302")
    world.declare(replace(CITY, areas=(*CITY.areas[:2], inland), cameras=(camera("a", area="sea"),)))
    assert world.camera("a").code == "33020000111321000001", "numbered as soon as it can be"


@pytest.mark.parametrize(
    ("used", "read", "given"),
    [((), 0, (1, 2)), ((3, 7), 1, (8, 9)), ((3, 999_998), 2, (999_999, 1)), ((2, 999_999), 2, (1, 3))],
)
def test_of_the_numbers_that_are_used_few_are_read(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    used: tuple[int, ...],
    read: int,
    given: tuple[int, int],
) -> None:
    """A city has a hundred thousand, and an import numbers some cameras at a time."""
    numbered = tuple(camera(f"n{serial}", code=f"33010800111321{serial:06}") for serial in used)
    known = (camera("dvr", code="33010800111111000009"), *numbered)
    world.declare(replace(CITY, cameras=known))
    free, counts = numbering.free_codes, list[int]()
    monkeypatch.setattr(
        numbering, "free_codes", lambda *given: (counts.append(len(given[1])), free(*given))[1]
    )
    world.declare(replace(CITY, cameras=(*known, camera("a"), camera("b"))))
    assert counts == [read]
    assert [int((world.camera(key).code or "")[-6:]) for key in "ab"] == list(given)


def test_numbers_go_on_after_those_declared_and_retired(world: World) -> None:
    taken = camera("a", code="33010800111321000007")
    world.declare(replace(CITY, cameras=(taken, camera("b"))))
    assert world.camera("b").code == "33010800111321000008"
    world.declare(replace(CITY, cameras=(camera("c"),)))
    assert world.camera("c").code == "33010800111321000009"


def test_a_declared_code_that_was_given_before_is_refused_whole(world: World) -> None:
    world.declare(CITY)
    thief = camera("thief", code="33010800111321000001")
    for cameras in ((thief,), (thief, camera(credential="viewer"))):
        with pytest.raises(ConflictError, match=r"of camera .* was given to camera .*never given twice"):
            world.declare(replace(CITY, cameras=cameras))
    with pytest.raises(NotFoundError):
        world.camera("thief")
    assert world.camera("gate").retired_ms is None, "nothing of the refused file was applied"


# --- found


def test_found_devices_and_cameras(world: World) -> None:
    world.declare(CITY)
    summary = world.apply(AddDevice(device=DEVICE), AddCamera(camera=FOUND))
    assert summary == Summary(added=1, numbered=1)
    known = world.database.read(registry.inventory)
    assert known.devices == (DEVICE,)
    assert [item.id for item in known.cameras] == ["found", "gate"]
    assert world.declare(CITY) == Summary(), "what was found is not the configuration's to retire"


def test_an_address_change_is_in_the_journal(world: World) -> None:
    world.apply(AddDevice(device=DEVICE))
    world.apply(
        MoveDevice(device="d1", address="10.0.0.77:80", xaddr="http://10.0.0.77/onvif", was="10.0.0.9:80")
    )
    moved = world.database.read(lambda c: get_device(c, "d1"))
    assert (moved.identity.address, moved.identity.mac, moved.xaddr) == (
        "10.0.0.77:80",
        "aa",
        "http://10.0.0.77/onvif",
    )
    event = world.events(kind="device_moved")[0]
    assert (event.message, event.detail) == (
        "moved from 10.0.0.9:80 to 10.0.0.77:80",
        {"address": ["10.0.0.9:80", "10.0.0.77:80"]},
    )
    world.apply(ChangeDevice(device=replace(moved, firmware="2.0")))
    assert world.events(kind="device_changed")[0].detail == {"firmware": [None, "2.0"]}


def test_streams_of_a_found_camera_follow_what_is_found(world: World) -> None:
    world.declare(CITY)
    world.apply(AddDevice(device=DEVICE), AddCamera(camera=FOUND))
    new = (Stream(role=SUB, url="rtsp://10.0.0.77/2"), Stream(role=MAIN, url="rtsp://10.0.0.77/1"))
    assert world.apply(UpdateStreams(camera="found", streams=new)) == Summary(changed=1)
    assert world.camera("found").streams == (new[1], new[0]), "main first"
    assert world.apply(UpdateStreams(camera="found", streams=new)) == Summary()


def test_an_account_in_the_path_of_a_url_is_not_in_the_journal(world: World) -> None:
    world.declare(CITY)
    leaky = (Stream(role=MAIN, url="rtsp://10.0.0.9/user=a&password=hunter2&channel=1"),)
    world.apply(AddDevice(device=DEVICE), AddCamera(camera=FOUND))
    snapshot = "http://10.0.0.9/snap.cgi?user=a&pwd=hunter2"
    world.apply(
        UpdateStreams(camera="found", streams=leaky, snapshot_url=snapshot),
        UpdateStreams(camera="gate", streams=leaky),
    )
    assert len(world.events(kind="conflict")) == len(world.events(kind="camera_changed")) == 1
    assert "hunter2" not in repr(world.events())


def test_a_declared_url_stays_and_learns(world: World) -> None:
    world.declare(CITY)
    world.apply(AddDevice(device=DEVICE), AttachCamera(camera="gate", device="d1", channel="VS1"))
    found = (
        Stream(role=MAIN, url="rtsp://10.0.0.1/gate", codec="h265", width=2560, height=1440, profile="P1"),
        Stream(role=SUB, url="rtsp://10.0.0.1/gate-sub", codec="h264", profile="P2"),
    )
    world.apply(UpdateStreams(camera="gate", streams=found, snapshot_url="http://10.0.0.1/snap"))
    learnt = world.camera("gate")
    assert learnt.streams == (replace(found[0], profile=None), found[1])
    assert (learnt.device, learnt.channel, learnt.snapshot_url) == ("d1", "VS1", "http://10.0.0.1/snap")
    assert world.declare(CITY) == Summary(), "what was learnt survives a restart"
    assert world.camera("gate") == learnt

    elsewhere = (replace(found[0], url="rtsp://10.0.0.5/gate"), found[1])
    for _ in range(3):
        assert world.apply(UpdateStreams(camera="gate", streams=elsewhere)) == Summary()
    assert world.camera("gate") == learnt
    (conflict,) = world.events(kind="conflict")
    assert conflict.message == (
        "the main stream is declared as rtsp://10.0.0.1/gate but found at rtsp://10.0.0.5/gate"
    )

    redeclared = camera(credential="viewer", streams=(Stream(role=MAIN, url="rtsp://10.0.0.5/gate"),))
    world.declare(replace(CITY, cameras=(redeclared,)))
    assert world.camera("gate").streams == (redeclared.streams[0], found[1]), (
        "size and codec were the old one's"
    )


def test_a_conflict_is_noted_once_a_day(world: World) -> None:
    first = NoteConflict(subject="d1", message="two devices with MAC aa", detail={"mac": "aa"})
    second = NoteConflict(subject="d1", message="two devices with serial 1")
    for change in (first, second, first, second):
        world.apply(change)
    assert len(world.events(kind="conflict")) == 2
    world.now += registry.REPEAT_MS
    world.apply(first)
    assert [e.detail for e in world.events(kind="conflict")] == [{"mac": "aa"}, None, {"mac": "aa"}]


def test_retired_by_discovery(world: World) -> None:
    world.declare(CITY)
    world.apply(AddDevice(device=DEVICE), AddCamera(camera=FOUND))
    assert world.apply(RetireCamera(camera="found", reason="channel removed")) == Summary(retired=1)
    assert world.events(kind="camera_retired")[0].message == "channel removed"
    code = world.camera("found").code
    assert world.apply(AddCamera(camera=FOUND)) == Summary(restored=1)
    assert world.camera("found").code == code, "the number that it had"


def test_changes_are_applied_wholly_or_not_at_all(world: World) -> None:
    world.declare(CITY)
    before = world.events()
    with pytest.raises(NotFoundError, match="no camera nobody"):
        world.apply(AddDevice(device=DEVICE), RetireCamera(camera="nobody", reason=""))
    assert world.database.read(registry.inventory).devices == ()
    assert world.events() == before


def test_the_journal_is_read_page_by_page_newest_first(world: World) -> None:
    for n in range(5):
        world.apply(NoteConflict(subject="d", message=str(n)))
    first = world.database.read(lambda c: list_events(c, limit=2))
    second = world.database.read(lambda c: list_events(c, limit=2, before=first[-1].id))
    assert [e.message for e in (*first, *second)] == ["4", "3", "2", "1"]
