"""Flapping and bursts, hours of them: what the record says afterwards against what the cameras did."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scenario.virtual_city import EPOCH, city
from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.rates import timeline


@pytest.mark.parametrize(("down_s", "counted"), [(5, False), (15, False), (300, True), (1800, True)])
def test_short_drops_are_not_outages_and_long_ones_are_counted_whole(
    tmp_path: Path, down_s: float, counted: bool
) -> None:
    """A camera that drops out every half hour. What is found differs by no more than a cadence a turn."""
    with city(tmp_path) as (place, run):
        cameras = place.build({f"h{n}": 1 for n in range(10)})
        turns = 3

        async def story() -> None:
            fleet, _ = place.fleet()
            await fleet.start([place.target(c) for c in cameras])
            await asyncio.sleep(60)
            for _ in range(turns):
                place.behaviour = {c.id: "refuses" for c in cameras}
                await asyncio.sleep(down_s)
                place.behaviour.clear()
                await asyncio.sleep(1800)
            await fleet.stop()

        run(story())
        span = Span(Ms(EPOCH), place.clock())
        for intervals in place.intervals().values():
            offline = timeline.durations(intervals, span)[State.OFFLINE] / 1000
            if counted:
                assert abs(offline - turns * down_s) <= turns * 35
            else:
                assert offline == 0


def test_a_camera_that_flaps_from_probe_to_probe_is_not_a_storm_of_intervals(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})

        async def story() -> None:
            fleet, _ = place.fleet()
            await fleet.start([place.target(camera)])
            for n in range(360):
                place.behaviour[camera.id] = "refuses" if n % 2 else "well"
                await asyncio.sleep(10)
            await fleet.stop()

        run(story())
        assert len(place.intervals()[camera.id]) <= 3


def test_a_lossy_camera_is_degraded_and_still_delivers(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(camera)])
            await asyncio.sleep(60)
            place.behaviour[camera.id] = "lossy"
            await asyncio.sleep(120)
            assert dict(board.tally().by_state) == {State.DEGRADED: 1}
            place.behaviour.clear()
            await asyncio.sleep(120)
            assert dict(board.tally().by_state) == {State.ONLINE: 1}
            await fleet.stop()

        run(story())
        spell = place.intervals()[camera.id][2]
        assert (spell.state, spell.cause) == (State.DEGRADED, "packet_loss")


def test_a_burst_of_failures_of_half_the_city_is_dated_alike(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build({f"h{n}": 1 for n in range(200)})
        struck = cameras[::2]

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(c) for c in cameras])
            await asyncio.sleep(120)
            place.behaviour = {c.id: "dead" for c in struck}
            await asyncio.sleep(180)
            assert dict(board.tally().by_state) == {State.ONLINE: 100, State.OFFLINE: 100}
            await fleet.stop()

        run(story())
        stored = place.intervals()
        for camera in struck:
            begin = (stored[camera.id][-1].start - EPOCH) / 1000
            assert 120 <= begin <= 120 + 33  # the first look after the blow, whatever the debounce


@pytest.mark.parametrize("cadence_s", [5.0, 8.0, 15.0, 30.0])
def test_a_camera_that_makes_every_probe_wait_is_judged_at_any_cadence(
    tmp_path: Path, cadence_s: float
) -> None:
    """Its probes take longer than its cadence, and each is dated to its begin."""
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})

        async def story() -> None:
            fleet, board = place.fleet()
            place.behaviour[camera.id] = "never a keyframe"
            await fleet.start([place.target(camera, cadence_s=cadence_s)])
            await asyncio.sleep(400)
            seen = set()
            for _ in range(600):
                await asyncio.sleep(1)
                entry = board.get(camera.id)
                assert entry is not None
                seen.add((entry.standing.state, entry.standing.cause))
            assert seen == {(State.OFFLINE, "no_keyframe")}
            await fleet.stop()

        run(story())
