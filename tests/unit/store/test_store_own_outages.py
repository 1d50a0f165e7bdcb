"""Own outages on every database: recast, believed, and one at a time a zone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from scenario.virtual_city import enter, rung_intervals
from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.errors import ConflictError, NotFoundError
from sharpeyes.domain.health import Interval, Rung, RungInterval, State
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store import own_outages as store
from sharpeyes.store import pictures, telemetry
from sharpeyes.store.database import Database
from sharpeyes.store.own_outages import StoredOutage

ONLINE, OFFLINE, UNKNOWN = State.ONLINE, State.OFFLINE, State.UNKNOWN


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    database = Database(store_url)
    database.upgrade()
    stream = Stream(role=StreamRole.MAIN, url="rtsp://h/1")
    cameras = [
        Camera(
            id=f"{zone}-1",
            name=zone,
            tier=Tier.COMMUNITY,
            department="d",
            area="a",
            zone=zone,
            streams=(stream,),
        )
        for zone in ("east", "west")
    ]
    database.write(lambda c: enter(c, cameras, Ms(0)))
    yield database
    database.close()


def spell(camera: str, state: State, start: int, end: int, **seen: object) -> Interval:
    return Interval(camera=camera, state=state, start=Ms(start), end=Ms(end), **seen)


def told(database: Database, camera: str) -> list[tuple[State, int, int | None, str | None]]:
    found = database.read(lambda c: telemetry.intervals(c, camera, Span(Ms(0), Ms(10_000))))
    return [(i.state, i.start, i.end, i.cause) for i in found]


def test_one_is_open_a_zone_and_ends(database: Database) -> None:
    outage = StoredOutage(
        zone="west", reason="mass", since=Ms(50), noticed=Ms(60), fallen=8, seen=9, branches=8
    )
    begun = database.write(lambda c: store.begin(c, outage))
    with pytest.raises(IntegrityError):
        database.write(lambda c: store.begin(c, outage))
    assert database.read(store.open_outages) == {"west": begun}
    database.write(lambda c: store.end(c, begun.id, at=Ms(90)))
    assert database.read(store.open_outages) == {}
    second = database.write(lambda c: store.begin(c, outage))
    assert [o.id for o in database.read(store.list_outages)] == [second.id, begun.id]
    assert [o.id for o in database.read(lambda c: store.list_outages(c, before=second.id))] == [begun.id]
    with pytest.raises(NotFoundError):
        database.read(lambda c: store.get(c, 4711))


def test_what_is_believed_counts_as_it_was_seen_and_only_once(database: Database) -> None:
    unseen = {"cause": "prober_mass", "seen_state": OFFLINE, "seen_cause": "timeout"}
    spells = [
        spell("west-1", ONLINE, 0, 50),
        spell("west-1", UNKNOWN, 50, 90, **unseen),
        spell("west-1", UNKNOWN, 90, 120, cause="gap"),
        spell("west-1", UNKNOWN, 200, 220, **unseen),  # of another outage
        spell("east-1", UNKNOWN, 50, 90, **unseen),
    ]
    database.write(lambda c: telemetry.write_batch(c, intervals=spells))
    outage = StoredOutage(zone="west", reason="mass", since=Ms(50), noticed=Ms(60))
    begun = database.write(lambda c: store.begin(c, outage))
    database.write(lambda c: store.end(c, begun.id, at=Ms(150)))
    said = database.write(lambda c: store.say_real(c, begun.id, by="li", remark="so it was", at=Ms(300)))
    assert (said.real, said.real_by, said.remark) == (300, "li", "so it was")
    assert database.write(lambda c: store.believe(c, said)) == 1
    assert database.write(lambda c: store.believe(c, said)) == 0
    assert told(database, "west-1") == [
        (ONLINE, 0, 50, None),
        (OFFLINE, 50, 90, "timeout"),
        (UNKNOWN, 90, 120, "gap"),
        (UNKNOWN, 200, 220, "prober_mass"),
    ]
    assert told(database, "east-1") == [(UNKNOWN, 50, 90, "prober_mass")]
    with pytest.raises(ConflictError, match="li"):
        database.write(lambda c: store.say_real(c, begun.id, by="wang", remark="me too", at=Ms(400)))


def test_what_was_stored_is_told_otherwise_and_its_rungs_go(database: Database) -> None:
    before = spell("west-1", OFFLINE, 40, 100, cause="timeout")
    rungs = [(0, 30), (35, 60), (60, 80), (90, 130)]
    climbed = [
        RungInterval(camera="west-1", rung=Rung.RTSP, asked=Rung.USABLE, start=Ms(a), end=Ms(b))
        for a, b in rungs
    ]
    database.write(lambda c: telemetry.write_batch(c, intervals=[before, spell("west-1", ONLINE, 100, 130)]))
    database.write(lambda c: pictures.write_rungs(c, climbed, [], []))
    seen = database.read(lambda c: store.seen_since(c, "west", Ms(50)))
    assert [i.start for i in seen] == [40, 100]
    assert database.read(lambda c: store.seen_since(c, "west", Ms(130))) == []
    after = (spell("west-1", OFFLINE, 40, 50, cause="timeout"), spell("west-1", UNKNOWN, 50, 100, cause="x"))
    database.write(lambda c: telemetry.rewrite(c, before, after))
    assert told(database, "west-1") == [
        (OFFLINE, 40, 50, "timeout"),
        (UNKNOWN, 50, 100, "x"),
        (ONLINE, 100, 130, None),
    ]
    database.write(lambda c: pictures.unsee_rungs(c, "west-1", Span(Ms(50), Ms(100))))
    left = database.read(lambda c: rung_intervals(c, "west-1", Span(Ms(0), Ms(1000))))
    assert [(i.start, i.end) for i in left] == [(0, 30), (35, 50), (100, 130)]
    # What was cut out is not lost: somebody may know that it was real.
    unseen = {"cause": "x", "seen_state": OFFLINE, "seen_cause": "timeout"}
    database.write(
        lambda c: telemetry.write_batch(c, intervals=[spell("west-1", UNKNOWN, 50, 100, **unseen)])
    )
    outage = StoredOutage(zone="west", reason="mass", since=Ms(50), noticed=Ms(60), ended=Ms(100))
    other = replace(outage, zone="east")
    for each, count in ((other, 0), (replace(outage, since=Ms(40), ended=Ms(50)), 0), (outage, 1)):
        assert database.write(lambda c, each=each: store.believe(c, each)) == count
    left = database.read(lambda c: rung_intervals(c, "west-1", Span(Ms(0), Ms(1000))))
    assert [(i.start, i.end) for i in left] == [
        *((0, 30), (35, 50), (50, 60), (60, 80), (90, 100), (100, 130)),
    ]
