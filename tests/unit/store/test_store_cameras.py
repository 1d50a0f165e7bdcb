"""Cameras and devices: put, list page by page, and the history of where they counted."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from sharpeyes.domain.camera import Camera, Device, Identity, Origin, Stream, StreamRole, Transport
from sharpeyes.domain.errors import NotFoundError
from sharpeyes.domain.organisation import Area, Department, Tier, TierPolicy, Zone
from sharpeyes.domain.time import Ms
from sharpeyes.store import organisation, schema
from sharpeyes.store.cameras import (
    CameraFilter,
    count_cameras,
    get_camera,
    get_cameras,
    list_cameras,
    memberships,
    put_cameras,
)
from sharpeyes.store.database import Database
from sharpeyes.store.devices import get_device, list_devices, put_devices


def camera(key: str = "c1", **changes: object) -> Camera:
    plain = Camera(
        id=key,
        name=f"门 {key}",
        tier=Tier.COMMUNITY,
        department="police",
        area="north",
        zone="video",
        streams=(Stream(role=StreamRole.MAIN, url=f"rtsp://10.0.0.1/{key}"),),
    )
    return replace(plain, **changes)


@pytest.fixture
def database(store_url: str):
    def organise(connection: Connection) -> None:
        organisation.put_zones(
            connection, [Zone(id="video", name="v", network="1"), Zone(id="other", name="o")]
        )
        organisation.put_departments(
            connection, [Department(id="police", name="p"), Department(id="school", name="s")]
        )
        organisation.put_areas(
            connection,
            [
                Area(id="north", name="n"),
                Area(id="market", name="m", parent="north"),
                Area(id="hall", name="h", parent="market"),
                Area(id="south", name="s"),
            ],
        )

    with Database(store_url) as database:
        database.upgrade()
        database.write(organise)
        yield database


def put(database: Database, *cameras: Camera, now: int = 1000):
    return database.write(lambda c: put_cameras(c, cameras, now=Ms(now)))


def test_everything_of_a_camera_comes_back(database: Database) -> None:
    def write(connection: Connection) -> None:
        connection.execute(insert(schema.credential).values(id="viewer", username="v", changed_ms=1))
        put_devices(connection, [Device(id="d", identity=Identity(mac="aa"))], now=Ms(1))

    database.write(write)
    full = camera(
        streams=(
            Stream(role=StreamRole.MAIN, url="rtsp://h/m", codec="h265", width=3840, height=2160, fps=12.5),
            Stream(role=StreamRole.SUB, url="rtsp://h/s", profile="Profile_2"),
        ),
        origin=Origin.DISCOVERED,
        code="33010800001321000001",
        device="d",
        channel="1",
        snapshot_url="http://h/snap",
        credential="viewer",
        transport=Transport.UDP,
        liveness_s=2.5,
        maintenance=True,
        tags=("校门", "x"),
    )
    assert put(database, full).added == (full,)
    assert database.read(lambda c: get_camera(c, "c1")) == full
    assert database.read(list_cameras) == [full]


def test_put_again_is_nothing_and_a_change_is_told_with_what_was(database: Database) -> None:
    put(database, camera())
    again = put(database, camera())
    assert (again.added, again.changed) == ((), ())
    renamed = camera(name="new", streams=(Stream(role=StreamRole.SUB, url="rtsp://h/s"),))
    assert put(database, renamed).changed == ((camera(), renamed),)
    assert database.read(lambda c: get_camera(c, "c1")) == renamed


def test_a_move_closes_one_membership_and_opens_the_next(database: Database) -> None:
    put(database, camera(), now=1000)
    put(database, camera(name="only the name"), now=1500)
    put(database, camera(department="school", area="south"), now=2000)
    rows = database.read(lambda c: memberships(c, "c1"))
    assert [(r["started_ms"], r["ended_ms"], r["department"], r["area"]) for r in rows] == [
        (1000, 2000, "police", "north"),
        (2000, None, "school", "south"),
    ]


def test_retired_leaves_its_place_and_back_again_enters_one(database: Database) -> None:
    put(database, camera(), now=1000)
    put(database, camera(retired_ms=Ms(2000)), now=2000)
    assert database.read(list_cameras) == []
    assert database.read(lambda c: get_camera(c, "c1")).retired_ms == 2000
    put(database, camera(), now=3000)
    rows = database.read(lambda c: memberships(c, "c1"))
    assert [(r["started_ms"], r["ended_ms"]) for r in rows] == [(1000, 2000), (3000, None)]


def test_moves_within_a_millisecond_and_a_clock_set_back_leave_no_overlap(database: Database) -> None:
    put(database, camera(), now=1000)
    put(database, camera(area="south"), now=1000)
    put(database, camera(area="market"), now=2000)
    put(database, camera(area="hall"), now=1500)
    rows = database.read(lambda c: memberships(c, "c1"))
    assert [(r["started_ms"], r["ended_ms"], r["area"]) for r in rows] == [
        (1000, 2000, "south"),
        (2000, None, "hall"),
    ]


def test_codes_can_be_swapped_but_not_shared(database: Database) -> None:
    one, two = "33010800001321000001", "33010800001321000002"
    put(database, camera("a", code=one), camera("b", code=two))
    put(database, camera("a", code=two), camera("b", code=one))
    assert database.read(lambda c: get_camera(c, "a")).code == two
    with pytest.raises(IntegrityError):
        put(database, camera("c", code=one))


def test_pages_meet_without_gap_or_overlap(database: Database) -> None:
    put(database, *(camera(f"c{n:03}") for n in range(25)))

    def pages(connection: Connection) -> list[str]:
        seen: list[str] = []
        while page := list_cameras(connection, after=seen[-1] if seen else None, limit=10):
            seen += [item.id for item in page]
            assert all(item.streams for item in page)
        return seen

    assert database.read(pages) == [f"c{n:03}" for n in range(25)]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (CameraFilter(), "abcd"),
        (CameraFilter(tier=Tier.PUBLIC_SECURITY), "b"),
        (CameraFilter(department="school"), "c"),
        (CameraFilter(zone="other"), "d"),
        (CameraFilter(areas={"north", "market"}), "abd"),
        (CameraFilter(areas=()), ""),
        (CameraFilter(text="幼儿"), "c"),
        (CameraFilter(text="%"), ""),
        (CameraFilter(text="RTSP"), ""),
        (CameraFilter(tier=Tier.COMMUNITY, department="police"), "ad"),
        (CameraFilter(origin=Origin.DISCOVERED), "a"),
        (CameraFilter(include_retired=True), "abcde"),
    ],
)  # fmt: skip
def test_filters(database: Database, where: CameraFilter, expected: str) -> None:
    put(
        database,
        camera("a", origin=Origin.DISCOVERED),
        camera("b", tier=Tier.PUBLIC_SECURITY),
        camera("c", department="school", area="south", name="幼儿园"),
        camera("d", zone="other", area="market"),
        camera("e", retired_ms=Ms(1)),
    )
    assert [item.id for item in database.read(lambda c: list_cameras(c, where))] == list(expected)
    assert database.read(lambda c: count_cameras(c, where)) == len(expected)


def test_many_are_read_as_exactly_as_few(database: Database) -> None:
    cameras = [
        camera(
            f"c{n:04}",
            streams=(
                Stream(role=StreamRole.MAIN, url="rtsp://m"),
                Stream(role=StreamRole.SUB, url="rtsp://s"),
            ),
        )
        for n in range(1201)
    ]
    assert len(put(database, *cameras).added) == 1201
    assert database.read(list_cameras) == cameras
    assert database.read(lambda c: get_cameras(c, [item.id for item in cameras])) == {
        i.id: i for i in cameras
    }
    moved = [replace(item, area="south") for item in cameras]
    assert len(put(database, *moved, now=2000).changed) == 1201
    assert database.read(lambda c: c.scalar(select(func.count()).select_from(schema.membership))) == 2402


def test_unknown_department_is_refused_by_the_database(database: Database) -> None:
    with pytest.raises(IntegrityError):
        put(database, camera(department="nobody"))


def test_not_found(database: Database) -> None:
    with pytest.raises(NotFoundError, match="no camera x"):
        database.read(lambda c: get_camera(c, "x"))
    with pytest.raises(NotFoundError, match="no device x"):
        database.read(lambda c: get_device(c, "x"))


def test_devices(database: Database) -> None:
    full = Device(
        id="d",
        identity=Identity(
            mac="m", manufacturer="a", model="b", serial="c", endpoint="e", address="10.0.0.1:80"
        ),
        xaddr="http://10.0.0.1/onvif",
        firmware="1",
        session_limit=4,
        fingerprint="ab",
    )
    gone = Device(id="x", identity=Identity(), retired_ms=Ms(5))
    database.write(lambda c: put_devices(c, [full, gone], now=Ms(1)))
    assert database.read(list_devices) == [full]
    assert database.read(lambda c: list_devices(c, include_retired=True)) == [full, gone]
    moved = replace(full, identity=replace(full.identity, address="10.0.0.2:80"))
    database.write(lambda c: put_devices(c, [moved], now=Ms(2)))
    assert database.read(lambda c: get_device(c, "d")) == moved


def test_organisation(database: Database) -> None:
    assert database.write(
        lambda c: organisation.put_tiers(c, [TierPolicy(tier=Tier.COMMUNITY, target=0.5)])
    ) == ["community"]
    assert [p.target for p in database.read(organisation.list_tiers)] == [0.95, 0.95, 0.5]
    areas = database.read(organisation.list_areas)
    assert organisation.subtree(areas, "market") == {"market", "hall"}
    assert organisation.subtree([*areas, Area(id="x", name="x", parent="x")], "x") == {"x"}
    assert database.write(
        lambda c: organisation.put_zones(c, [Zone(id="video", name="new", network="1")])
    ) == ["video"]
    put(database, camera())
    database.write(
        lambda c: organisation.retire_missing(c, zones=(), departments=["school"], areas=["south"], now=Ms(9))
    )
    assert [z.id for z in database.read(organisation.list_zones)] == ["video"], "a camera in service is in it"
    assert [a.id for a in database.read(organisation.list_areas)] == ["north", "south"]
    assert len(database.read(lambda c: organisation.list_areas(c, include_retired=True))) == 4
