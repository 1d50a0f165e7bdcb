"""Our own clock was months ahead and is set back: nothing waits for times to come, nobody is blamed.

Fleet, judge, recorder and store are the real ones; cameras are played, and somebody turns the clock.
"""

from __future__ import annotations

import asyncio
from datetime import UTC
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from scenario.virtual_city import EPOCH, City, city, roll_up, rung_intervals, seconds
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.health import CLOCK_SET_BACK, Rung, State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.health.fleet import Limits
from sharpeyes.rates import rollup
from sharpeyes.store import rollups, schema, set_back, state_time, telemetry
from sharpeyes.store.events import list_events
from sharpeyes.store.faults_schema import fault_watch, outbox, ticket
from sharpeyes.store.quality_schema import evidence, probe_record
from sharpeyes.store.rates_schema import archived

ONLINE, OFFLINE, UNKNOWN = State.ONLINE, State.OFFLINE, State.UNKNOWN
DAY_S = 86_400
MONTHS_MS = 100 * DAY_S * 1000
TICKET = {
    "scope": "camera", "subject": "a", "name": "n", "severity": "major", "cycle": 1, "failed": 0, "level": 0,
    "children": 0, "stage": "routed",
}  # fmt: skip
PROMISED = dict.fromkeys(("started_ms", "raised_ms", "acknowledge_by_ms", "due_ms"), EPOCH)


def said(place: City, camera: str) -> list[tuple[State, float, float | None]]:
    found = place.intervals()[camera]
    assert all(a.end == b.start for a, b in pairwise(found)), found
    return [(i.state, seconds(i.start), None if i.end is None else seconds(i.end)) for i in found]


@pytest.mark.parametrize("ahead_ms", [MONTHS_MS, 90_000, 400 * DAY_S * 1000])
@pytest.mark.parametrize("from_the_start", [True, False])
def test_what_comes_after_is_dated_to_when_it_came(
    tmp_path: Path, ahead_ms: int, from_the_start: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with city(tmp_path) as (place, run):
        good, bad = place.build({"good": 1, "bad": 1})

        async def story() -> None:
            fleet, board = place.fleet(every_s=2.0)
            place.shift_ms = ahead_ms if from_the_start else 0
            await fleet.start([place.target(good), place.target(bad)])
            await asyncio.sleep(200)
            place.shift_ms = ahead_ms
            await asyncio.sleep(200)
            place.shift_ms = 0
            await asyncio.sleep(100)  # 500: all is as it was
            assert dict(board.tally().by_state) == {ONLINE: 2}
            for entry in board:
                assert entry.standing.latest <= place.clock()
                assert entry.ladder is None or entry.ladder.since <= place.clock()
            place.behaviour[bad.id] = "refuses"
            await asyncio.sleep(300)
            place.behaviour.clear()
            await asyncio.sleep(200)
            assert fleet.stats.set_back == 1
            await fleet.stop()

        run(story())
        now = place.loop.time()
        outage = [s for s in said(place, bad.id) if s[0] is OFFLINE]
        assert len(outage) == 1
        assert 500 <= outage[0][1] <= 531
        assert outage[0][2] is not None
        assert 800 <= outage[0][2] <= 831
        for camera in (good, bad):
            assert max(s[1] for s in said(place, camera.id)) <= now
            while_ahead = [s for s in said(place, camera.id) if s[1] < 400 and (s[2] or now) > 400 - 90]
            assert OFFLINE not in {s[0] for s in while_ahead}, "unknown, not offline"
            rungs = place.database.read(
                lambda c, key=camera.id: rung_intervals(c, key, Span(Ms(0), Ms(1 << 60)))
            )
            assert all((r.end or 0) <= place.clock() for r in rungs)
            keyframes = sum((r.end or 0) - r.start for r in rungs if r.rung >= Rung.KEYFRAME)
            assert keyframes <= 1000 * now
        assert any(s[0] is UNKNOWN and s[2] is not None and s[2] >= 400 for s in said(place, good.id))
        (event,) = place.database.read(lambda c: list_events(c, kind=CLOCK_SET_BACK))
        assert 400 <= seconds(event.at) <= 401
    assert len([r for r in caplog.records if "our own clock was ahead" in r.message]) == 1


@pytest.mark.parametrize("away_s", [1, 3600])
def test_a_restart_after_it_was_set_back_finds_the_future_and_takes_it_back(
    tmp_path: Path, away_s: int
) -> None:
    with city(tmp_path) as (place, run):
        good, bad = place.build({"good": 1, "bad": 1})
        place.behaviour[bad.id] = "refuses"

        async def story() -> None:
            fleet, _ = place.fleet(every_s=2.0)
            await fleet.start([place.target(good), place.target(bad)])
            await asyncio.sleep(200)
            place.shift_ms = MONTHS_MS
            await asyncio.sleep(200)
            await fleet.stop()
            place.shift_ms = 0
            await asyncio.sleep(away_s)
            fleet, board = place.fleet(every_s=2.0)
            await fleet.start([place.target(good), place.target(bad)])
            assert dict(board.tally().by_state) == {UNKNOWN: 2}
            await asyncio.sleep(200)
            assert dict(board.tally().by_state) == {ONLINE: 1, OFFLINE: 1}
            await fleet.stop()

        run(story())
        for camera, state in ((good, ONLINE), (bad, OFFLINE)):
            found = said(place, camera.id)
            assert [s[0] for s in found][-2:] == [UNKNOWN, state]
            assert found[-1][1] <= place.loop.time() - 100
            unknown = [s for s in found[1:] if s[0] is UNKNOWN]
            assert unknown[0][1] <= 200 + 110, "as long as the last look before it is valid"
            assert unknown[-1][2] is not None
            assert unknown[-1][2] >= 400 + away_s
            assert all(a[2] == b[1] for a, b in pairwise(unknown)), "from the jump on it is not known"
        assert len(place.database.read(lambda c: list_events(c, kind=CLOCK_SET_BACK))) == 1


def test_rates_of_the_time_after_it_are_right(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})

        async def story() -> None:
            fleet, _ = place.fleet(every_s=10.0)
            await fleet.start([place.target(camera)])
            await asyncio.sleep(200)
            place.shift_ms = MONTHS_MS
            await asyncio.sleep(200)
            due = place.database.read(lambda c: rollup.due(c, UTC, place.clock()))
            for day in (due[0], due[-1]):  # the last that seems to be over, and the first: today
                place.database.write(lambda c, day=day: roll_up(c, day, place.clock()))
            place.shift_ms = 0
            await asyncio.sleep(800)
            await fleet.stop()

        run(story())
        now = place.clock()
        assert place.database.read(rollups.days) == [], "no day is over yet"
        span = Span(Ms(now - 600_000), now)
        (found,) = place.database.read(lambda c: state_time.durations(c, span, "all", known_until=now))
        assert (found.state, found.ms, found.standing) == (ONLINE, 600_000, 1)


def test_a_probe_that_began_before_it_was_set_back_brings_no_future_back(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        place.took_s = 3.0
        place.shift_ms = MONTHS_MS

        async def story() -> None:
            fleet, board = place.fleet(every_s=2.0)
            await fleet.start([place.target(camera)])
            while not place.open["h"]:
                await asyncio.sleep(0.1)
            place.shift_ms = 0
            await asyncio.sleep(10)
            entry = board.get(camera.id)
            assert entry is not None
            assert entry.standing.state is ONLINE
            assert entry.standing.latest <= place.clock()
            await fleet.stop()

        run(story())


def test_a_store_that_fails_meanwhile_is_put_right_when_it_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        place.shift_ms = MONTHS_MS

        async def story() -> None:
            fleet, _ = place.fleet(every_s=2.0)
            await fleet.start([place.target(camera)])
            await asyncio.sleep(60)
            whole = place.database.awrite

            async def broken(fn: object) -> None:
                raise OSError("disk full")

            monkeypatch.setattr(place.database, "awrite", broken)
            place.behaviour[camera.id] = "refuses"
            await asyncio.sleep(100)
            place.shift_ms = 0
            await asyncio.sleep(200)
            monkeypatch.setattr(place.database, "awrite", whole)
            await asyncio.sleep(60)
            await fleet.stop()

        run(story())
        found = said(place, camera.id)
        assert [s[0] for s in found] == [UNKNOWN, OFFLINE]
        assert 160 <= found[-1][1] <= 192


def test_an_account_is_kept_out_no_longer_than_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sharpeyes.health.accounts.LONGEST_MS", 300_000)
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        place.passwords["h"] = "right"
        place.shift_ms = MONTHS_MS

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(camera, Credentials("u", Secret("wrong")))])
            await asyncio.sleep(60)
            place.shift_ms = 0
            await asyncio.sleep(60)
            entry = board.get(camera.id)
            assert entry is not None
            assert entry.withheld_until is not None
            assert entry.withheld_until <= place.clock() + 300_000
            before = place.logins["h", False]
            await asyncio.sleep(360)
            assert place.logins["h", False] > before
            await fleet.stop()

        run(story())


def test_what_happened_is_dated_back_and_what_follows_from_its_time_with_it(tmp_path: Path) -> None:
    with city(tmp_path) as (place, _):
        now, late = Ms(EPOCH), EPOCH + MONTHS_MS
        moved, gone = place.build({"a": 2})
        database = place.database
        first = {"camera_id": moved.id, "tier": moved.tier, "department": "d", "area": "a", "zone": "z"}

        def ahead(connection: Any) -> None:
            connection.execute(
                update(schema.membership)
                .where(schema.membership.c.camera_id == moved.id)
                .values(started_ms=now - 5000, ended_ms=late - 4000)
            )
            later = [
                {**first, "started_ms": late - 4000, "ended_ms": late - 3000},
                {**first, "started_ms": late - 3000, "ended_ms": None},
            ]
            connection.execute(insert(schema.membership), later)
            connection.execute(
                update(schema.membership)
                .where(schema.membership.c.camera_id == gone.id)
                .values(started_ms=late - 2000, ended_ms=late - 1000)
            )
            times = {"acknowledge_by_ms": late + 1000, "due_ms": late + 5000, "overdue_ms": None}
            old = {"acknowledge_by_ms": now + 1000, "due_ms": now + 5000, "overdue_ms": late - 10}
            connection.execute(
                insert(ticket),
                [
                    {**TICKET, "kind": "k1", "started_ms": late - 9000, "raised_ms": late - 8000, **times},
                    {**TICKET, "kind": "k2", "started_ms": now - 9000, "raised_ms": now - 8000, **old},
                ],
            )
            connection.execute(
                insert(fault_watch),
                {
                    "camera_id": moved.id, "state": "offline", "since_ms": late - 500, "at_ms": late - 400,
                    "sampled_ms": late - 300, "history": "", "flapping": False,
                },
            )  # fmt: skip
            connection.execute(
                insert(probe_record),
                [
                    {"camera_id": moved.id, "at_ms": at, "ok": True, "found": {}, "expires_ms": at + 100}
                    for at in (now - 700, late - 700, late - 600)
                ],
            )
            connection.execute(
                insert(evidence),
                {
                    "id": "e", "camera_id": moved.id, "at_ms": late - 50, "kind": "still", "bytes": 1,
                    "expires_ms": late - 50 + DAY_S * 1000,
                },
            )  # fmt: skip
            connection.execute(
                insert(archived),
                {"file": "f", "until_ms": late - 30 * DAY_S * 1000, "rows": 1, "sha256": "", "at_ms": late},
            )
            telemetry.set_heartbeat(connection, Ms(late))

        database.write(ahead)
        by = database.read(lambda c: set_back.ahead_by(c, now))
        assert by == MONTHS_MS
        for _ in range(2):  # done twice, it is as once
            database.write(lambda c: set_back.set_back(c, now, by))

        def rows(table: Any, *order: Any) -> list[Any]:
            return database.read(lambda c: list(c.execute(select(table).order_by(*order))))

        m = schema.membership.c
        stays = [
            (r.camera_id, r.started_ms, r.ended_ms)
            for r in rows(schema.membership, m.camera_id, m.started_ms)
        ]
        assert stays == [
            (moved.id, now - 5000, now - 4000),
            (moved.id, now - 4000, now - 3000),
            (moved.id, now - 3000, None),
            (gone.id, now - 2000, now - 1000),
        ]
        new, old = rows(ticket, ticket.c.kind)
        assert (new.started_ms, new.raised_ms, new.due_ms) == (now - 9000, now - 8000, now + 5000)
        assert (old.raised_ms, old.due_ms, old.overdue_ms) == (now - 8000, now + 5000, None)
        (watch,) = rows(fault_watch)
        assert (watch.since_ms, watch.at_ms, watch.sampled_ms) == (now - 500, now - 400, now - 300)
        assert [r.at_ms for r in rows(probe_record, probe_record.c.at_ms)] == [now - 700, now - 600]
        (still,) = rows(evidence)
        assert (still.at_ms, still.expires_ms) == (now - 50, now - 50 + DAY_S * 1000)
        assert database.read(rollups.archived_until) == now
        assert database.read(lambda c: set_back.ahead_by(c, now)) == 0


def test_a_message_that_was_put_off_by_months_goes_out(tmp_path: Path) -> None:
    with city(tmp_path) as (place, _):
        now, late = Ms(EPOCH), EPOCH + MONTHS_MS
        message = {
            "recipient": "r", "ticket": 1, "notice": {}, "digest": False, "state": "pending", "attempts": 1,
            "leased_ms": late + 120_000,
        }  # fmt: skip
        times = ((late - 9, late + 10), (now - 9, late), (now - 9, now + 3_600_000))

        def write(connection: Any) -> None:
            connection.execute(insert(ticket), {**TICKET, "id": 1, "kind": "k", **PROMISED})
            for n, (created, due) in enumerate(times):
                row = {**message, "key": f"k{n}", "once": f"o{n}", "created_ms": created, "due_ms": due}
                connection.execute(insert(outbox), row)
            set_back.set_back(connection, now, MONTHS_MS)
            found = connection.execute(select(outbox).order_by(outbox.c.seq)).all()
            assert [row.due_ms for row in found] == [now + 10, now, now + 3_600_000]
            assert {row.leased_ms for row in found} == {now}

        place.database.write(write)


def test_a_step_that_is_waited_for_changes_nothing(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})

        async def story() -> None:
            fleet, board = place.fleet(Limits(), every_s=2.0)
            await fleet.start([place.target(camera)])
            await asyncio.sleep(120)
            place.shift_ms = -50_000
            await asyncio.sleep(1)
            assert dict(board.tally().by_state) == {ONLINE: 1}
            place.shift_ms = -100_000  # and again: together it is more than one waits for
            await asyncio.sleep(1)
            assert fleet.stats.set_back == 1
            await fleet.stop()

        run(story())
