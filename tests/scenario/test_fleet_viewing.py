"""People watch while the fleet looks: what they see is not asked for again, and nobody pushes anybody out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scenario.virtual_city import City, city
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.health import Keyframe, ProbeResult, Rung, State, Timings

ACCOUNT = Credentials("admin", Secret("right"))
OTHER = Credentials("admin", Secret("left"))


def pull(place: City, *, keyframe: bytes | None = b"fine") -> ProbeResult | None:
    """What a pull says that delivers, or one that does not."""
    if keyframe is None:
        return None
    frame = Keyframe(codec="h264", data=keyframe, rtp_time=0)
    return ProbeResult(
        at=place.clock(), rung=Rung.KEYFRAME, failure=None, timings=Timings(), packets=9, keyframe=frame
    )


def test_who_is_watched_is_not_probed_and_is_online(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        said = [b"fine"]

        async def story() -> None:
            fleet, board = place.fleet()
            ended = fleet.viewed(
                camera.id, camera.stream().url, None, lambda: pull(place, keyframe=said[0] if said else None)
            )
            place.behaviour[camera.id] = "refuses"
            await fleet.start([place.target(camera)])
            await asyncio.sleep(300)
            assert place.starts[camera.id] == []
            assert board.tally().by_state == {State.ONLINE: 1}
            assert 9 <= fleet.stats.viewed <= 11
            result = await fleet.check(camera.id)  # somebody asks: the answer is there already
            assert result.ok
            said.clear()  # the picture stands still: whoever pulls does not vouch for it any more
            await asyncio.sleep(100)
            assert len(place.starts[camera.id]) >= 3
            assert board.tally().by_state == {State.OFFLINE: 1}
            ended()
            place.behaviour.clear()
            await asyncio.sleep(100)
            assert board.tally().by_state == {State.ONLINE: 1}
            await fleet.stop()

        run(story())


@pytest.mark.parametrize("same", ["stream", "account"])
def test_another_stream_or_account_proves_nothing(tmp_path: Path, same: str) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        place.passwords["h"] = "right"

        async def story() -> None:
            fleet, _ = place.fleet()
            url = camera.stream().url if same == "stream" else f"{camera.stream().url}/main"
            fleet.viewed(camera.id, url, ACCOUNT if same == "account" else OTHER, lambda: pull(place))
            await fleet.start([place.target(camera, ACCOUNT)])
            await asyncio.sleep(100)
            assert len(place.starts[camera.id]) >= 3
            assert fleet.stats.viewed == 0
            await fleet.stop()

        run(story())


def test_viewers_of_a_recorder_leave_less_room_for_probes_but_never_none(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build({"nvr": 16})
        place.took_s = 2.0

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(c, sessions=3) for c in cameras])
            await asyncio.sleep(60)
            assert place.most_open["nvr"] == 3
            views = [
                fleet.viewed(f"guest-{n}", f"rtsp://nvr/guest-{n}", None, lambda: None) for n in range(2)
            ]
            for more in (0, 3):
                views += [fleet.viewed("guest", "rtsp://nvr/guest", None, lambda: None) for _ in range(more)]
                await asyncio.sleep(5)
                place.most_open.clear()
                place.starts.clear()
                await asyncio.sleep(90)
                assert place.most_open["nvr"] == 1
                assert len(place.starts) == 16  # slowly, but everyone
            for ended in views:
                ended()
            place.most_open.clear()
            await asyncio.sleep(60)
            assert place.most_open["nvr"] == 3
            assert board.tally().by_state == {State.ONLINE: 16}
            await fleet.stop()

        run(story())
