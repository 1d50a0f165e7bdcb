"""What a stop, a crash and a restart of the monitor do to the record: nothing invented, nothing lost."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from scenario.virtual_city import City, city, seconds
from sharpeyes.domain.health import Interval, State
from sharpeyes.health.fleet import Fleet
from sharpeyes.store import telemetry
from sharpeyes.store.database import Database

ONLINE, OFFLINE, UNKNOWN = State.ONLINE, State.OFFLINE, State.UNKNOWN


def assert_tiles(intervals: list[Interval]) -> None:
    for earlier, later in itertools.pairwise(intervals):
        assert earlier.end == later.start
        assert earlier.end > earlier.start
    assert intervals[-1].end is None


async def crash(fleet: Fleet, place: City) -> None:
    """As by ``kill -9``: what is committed at this moment is all that a restart finds."""
    was, path = place.database, place.path.with_suffix(f".{place.loop.time():.0f}.db")
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{place.path}{suffix}", f"{path}{suffix}")
    began = place.loop.time()
    await fleet.stop()
    was.close()
    place.path, place.database = path, Database(f"sqlite:///{path}")
    place.loop.now = began


@pytest.mark.parametrize("ending", ["stop", "crash"])
@pytest.mark.parametrize("away", [5, 3600])
def test_the_gap_is_unknown_and_the_states_come_back(tmp_path: Path, ending: str, away: float) -> None:
    with city(tmp_path) as (place, run):
        good, bad = place.build({"good": 1, "bad": 1})
        place.behaviour[bad.id] = "refuses"

        async def story() -> tuple[float, float]:
            fleet, _ = place.fleet(every_s=2.0)
            await fleet.start([place.target(good), place.target(bad)])
            await asyncio.sleep(300)
            if ending == "stop":
                await fleet.stop()
            else:
                await crash(fleet, place)
            ended = place.loop.time()
            await asyncio.sleep(away)
            began = place.loop.time()
            fleet, board = place.fleet(every_s=2.0)
            await fleet.start([place.target(good), place.target(bad)])
            assert dict(board.tally().by_state) == {UNKNOWN: 2}
            await asyncio.sleep(100)
            assert dict(board.tally().by_state) == {ONLINE: 1, OFFLINE: 1}
            await fleet.stop()
            return ended, began

        ended, began = run(story())
        stored = place.intervals()
        for camera, state in ((good, ONLINE), (bad, OFFLINE)):
            intervals = stored[camera.id]
            assert_tiles(intervals)
            assert [i.state for i in intervals] == [UNKNOWN, state, UNKNOWN, state]
            gap = intervals[2]
            assert gap.cause == "restart"
            assert ended - 2.5 <= seconds(gap.start) <= ended  # the recorder speaks every two seconds here
            assert began <= seconds(gap.end) <= began + 1.0


def test_what_was_committed_before_a_crash_is_there_after_it(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build({f"h{n}": 1 for n in range(40)})

        async def story() -> None:
            for generation in range(6):
                fleet, _ = place.fleet(every_s=2.0)
                await fleet.start([place.target(c) for c in cameras])
                for step in range(4):
                    await asyncio.sleep(17.3)
                    for n, camera in enumerate(cameras):
                        place.behaviour[camera.id] = "refuses" if (n + step + generation) % 3 else "well"
                before = place.intervals()
                await crash(fleet, place)
                after = place.intervals()
                for camera_id, intervals in before.items():
                    assert after[camera_id][: len(intervals) - 1] == intervals[:-1]
                await asyncio.sleep(generation * 50)

        run(story())
        for intervals in place.intervals().values():
            assert_tiles(intervals)


def test_a_store_that_fails_for_a_while_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build({f"h{n}": 1 for n in range(10)})

        async def story() -> None:
            fleet, _ = place.fleet(every_s=2.0)
            await fleet.start([place.target(c) for c in cameras])
            await asyncio.sleep(60)
            whole = place.database.awrite

            async def broken(fn: object) -> None:
                raise OperationalError("insert", {}, OSError("disk full"))

            monkeypatch.setattr(place.database, "awrite", broken)
            place.behaviour = {c.id: "refuses" for c in cameras}
            await asyncio.sleep(600)
            place.behaviour.clear()
            monkeypatch.setattr(place.database, "awrite", whole)
            await asyncio.sleep(120)
            await fleet.stop()

        run(story())
        for intervals in place.intervals().values():
            assert_tiles(intervals)
            assert [i.state for i in intervals] == [UNKNOWN, ONLINE, OFFLINE, ONLINE]
        assert len([r for r in caplog.records if "cannot be stored" in r.message]) == 1
        assert len([r for r in caplog.records if "stored again" in r.message]) <= 1


def test_a_camera_removed_while_the_service_was_down_is_closed(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        stays, goes = place.build({"a": 2})

        async def story() -> None:
            fleet, _ = place.fleet(every_s=2.0)
            await fleet.start([place.target(stays), place.target(goes)])
            await asyncio.sleep(100)
            await fleet.stop()
            fleet, _ = place.fleet(every_s=2.0)
            await fleet.start([place.target(stays)])
            await asyncio.sleep(10)
            await fleet.stop()

        run(story())
        assert list(place.database.read(telemetry.load_standings)) == [stays.id]
        assert [s[0] for s in place.history(goes.id)] == [UNKNOWN, ONLINE]


def test_a_camera_that_the_registry_does_not_know_does_not_hold_up_the_others(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (known,) = place.build({"a": 1})
        stranger = replace(known, id="stranger")

        async def story() -> None:
            fleet, _ = place.fleet(every_s=2.0)
            await fleet.start([place.target(known), place.target(stranger)])
            await asyncio.sleep(100)
            await fleet.stop()

        run(story())
        assert [i.state for i in place.intervals()[known.id]] == [UNKNOWN, ONLINE]


@pytest.mark.parametrize("step_s", [-7200, -30, 3600])
def test_a_wall_clock_that_is_turned_leaves_no_overlap(tmp_path: Path, step_s: int) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})

        async def story() -> None:
            fleet, board = place.fleet(every_s=2.0)
            await fleet.start([place.target(camera)])
            await asyncio.sleep(100)
            place.shift_ms = step_s * 1000
            await asyncio.sleep(100)
            place.behaviour[camera.id] = "refuses"
            await asyncio.sleep(100)
            assert dict(board.tally().by_state) == {OFFLINE: 1}  # what is seen is said, whatever the clock
            place.behaviour.clear()
            await asyncio.sleep(100)
            await fleet.stop()

        run(story())
        assert_tiles(place.intervals()[camera.id])


def test_a_store_too_far_behind_pauses_the_fleet_and_what_is_not_watched_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(camera)])
            await asyncio.sleep(60)
            monkeypatch.setattr("sharpeyes.health.recorder.INTERVALS", 0)
            await asyncio.sleep(1)
            probes = len(place.starts[camera.id])
            await asyncio.sleep(150)
            assert len(place.starts[camera.id]) == probes
            assert dict(board.tally().by_state) == {UNKNOWN: 1}
            monkeypatch.undo()
            await asyncio.sleep(60)
            assert dict(board.tally().by_state) == {ONLINE: 1}
            await fleet.stop()

        run(story())
        intervals = place.intervals()[camera.id]
        assert_tiles(intervals)
        assert [(i.state, i.cause) for i in intervals][2] == (UNKNOWN, "gap")
