"""Subnets and zones are met by few probes at once, and nobody is forgotten while waiting for that."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from scenario.virtual_city import City, city
from sharpeyes.domain.camera import Camera
from sharpeyes.domain.health import State
from sharpeyes.health.fleet import Fleet, Limits


async def most_at_work(fleet: Fleet, place: City, seconds: float) -> int:
    most = 0
    for _ in range(round(seconds / 0.05)):
        await asyncio.sleep(0.05)
        most = max(most, place.open["all"])
    return most


@pytest.mark.parametrize("lane", ["subnet", "zone"])
def test_no_more_at_once_than_the_lane_allows_and_everyone_in_time(tmp_path: Path, lane: str) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build({f"10.0.0.{n}": 1 for n in range(1, 201)})
        place.took_s = 0.5
        limits = Limits(**{f"{lane}_in_flight": 7})  # type: ignore[arg-type]

        async def story() -> None:
            fleet, board = place.fleet(limits)
            await fleet.start([place.target(c) for c in cameras])
            assert await most_at_work(fleet, place, 120) == 7
            assert board.tally().by_state == {State.ONLINE: 200}
            assert fleet.turns.paced >= 0
            await fleet.stop()

        run(story())
        assert all(len(place.starts[c.id]) >= 3 for c in cameras)


def test_those_that_hang_give_way_and_those_elsewhere_do_not_wait(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        near = place.build({f"10.0.0.{n}": 1 for n in range(1, 101)})
        far = place.build({f"10.0.1.{n}": 1 for n in range(1, 101)})
        for camera in near[:50]:
            place.behaviour[camera.id] = "hangs at describe"

        async def story() -> None:
            fleet, board = place.fleet(Limits(subnet_in_flight=5, zone_in_flight=50))
            await fleet.start([place.target(c) for c in (*near, *far)])
            await asyncio.sleep(240)
            assert board.tally().by_state == {State.OFFLINE: 50, State.ONLINE: 150}
            await fleet.stop()

        run(story())
        for camera in far:
            starts = place.starts[camera.id]
            assert len(starts) >= 7
            assert max(b - a for a, b in itertools.pairwise(starts[1:])) <= 30 * 1.1 + 0.5


def test_cameras_that_move_or_go_while_they_wait_are_neither_lost_nor_in_the_way(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build({f"10.0.0.{n}": 1 for n in range(1, 21)})
        place.took_s = 0.9

        def moved(camera: Camera) -> Camera:
            return replace(camera, zone="elsewhere")

        async def story() -> None:
            fleet, board = place.fleet(Limits(zone_in_flight=1, starts_per_s=1e9))
            await fleet.start([place.target(c) for c in cameras])
            await asyncio.sleep(0.5)
            assert fleet.turns.paced == 19
            for camera in cameras[:10]:
                fleet.remove(camera.id)
            for camera in cameras[10:15]:
                fleet.put(place.target(moved(camera)))
            await asyncio.sleep(60)
            assert board.tally().by_state == {State.ONLINE: 10}
            await fleet.stop()

        run(story())


def test_a_camera_whose_evidence_changed_goes_ahead_of_those_that_are_merely_due(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build({f"h{n}": 1 for n in range(60)})
        place.took_s = 1.0  # 60 cameras, 30 s, one at a time: half of the slots cannot be kept

        async def story() -> None:
            fleet, board = place.fleet(Limits(in_flight=1, slow_after_s=5.0))
            await fleet.start([place.target(c) for c in cameras])
            await asyncio.sleep(200)
            assert len(fleet.turns.ready) > 10
            place.behaviour[cameras[7].id] = "refuses"
            await asyncio.sleep(150)
            assert board.tally().by_state[State.OFFLINE] == 1
            await fleet.stop()

        run(story())
        failing = [at for at in place.starts[cameras[7].id] if at > 200]
        assert failing[2] - failing[0] <= 2 * (30 / 3 * 1.05 + 2.0)
        others = [at for at in place.starts[cameras[8].id] if at > 200]
        assert min(b - a for a, b in itertools.pairwise(others)) > 40
