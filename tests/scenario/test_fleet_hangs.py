"""Two hundred of four thousand cameras hang, in every phase of a probe: the others do not notice."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

from scenario.virtual_city import City, city
from sharpeyes.domain.camera import Camera
from sharpeyes.domain.health import Phase, State

CAMERAS, HANGING, CADENCE_S = 4000, 200, 30.0
MANNERS = (
    *(f"hangs at {phase}" for phase in (Phase.CONNECT, Phase.DESCRIBE, Phase.SETUP, Phase.PLAY, Phase.MEDIA)),
    "never ends",  # not even by its own time-out
)


def pauses(place: City, cameras: list[Camera], since: float, until: float) -> list[float]:
    """Between two probes of one camera, ascending."""
    found = []
    for camera in cameras:
        starts = [at for at in place.starts[camera.id] if since <= at < until]
        found += [b - a for a, b in pairwise(starts)]
    return sorted(found)


def test_the_cadence_of_the_others_does_not_move(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build({f"10.{n // 250}.{n % 250 // 50}.{n % 50 + 1}": 1 for n in range(CAMERAS)})
        good, bad = cameras[HANGING:], cameras[:HANGING]

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(camera, cadence_s=CADENCE_S) for camera in cameras])
            await asyncio.sleep(110)
            for number, camera in enumerate(bad):
                place.behaviour[camera.id] = MANNERS[number % len(MANNERS)]
            await asyncio.sleep(110)
            states = board.tally().by_state
            assert states[State.ONLINE] == len(good)
            assert fleet.stats.late_s < 0.1
            await fleet.stop()

        run(story())
        without, beside = pauses(place, good, 15, 110), pauses(place, good, 125, 220)
        assert min(len(without), len(beside)) > 2 * len(good)
        for share in (0.01, 0.5, 0.99):
            before, after = without[int(share * len(without))], beside[int(share * len(beside))]
            assert abs(after - before) < 0.01 * CADENCE_S, (share, before, after)
        assert beside[-1] < 1.1 * CADENCE_S
