"""A fleet through good and bad hours: who is looked at when, and what is said about it."""

from __future__ import annotations

import asyncio
import itertools
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scenario.virtual_city import city
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.errors import NotFoundError, UnavailableError
from sharpeyes.domain.health import FailureKind, State
from sharpeyes.health.fleet import Limits

ONLINE, OFFLINE, UNKNOWN = State.ONLINE, State.OFFLINE, State.UNKNOWN
RIGHT = Credentials("admin", Secret("right"))
WRONG = Credentials("admin", Secret("wrong"))


def states(board: Any) -> dict[State, int]:
    return dict(board.tally().by_state)


def hosts(number: int) -> dict[str, int]:
    return {f"h{n}": 1 for n in range(number)}


def test_the_first_sweep_is_quick_and_no_burst(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build(hosts(1000))

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(c) for c in cameras])
            await asyncio.sleep(1.0)
            assert states(board) == {ONLINE: 1000}
            assert place.most_open["all"] <= 200  # 2,000 a second for 50 ms are 100 at a time
            await fleet.stop()

        run(story())


def test_each_camera_is_looked_at_once_a_cadence_in_a_slot_of_its_own(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build(hosts(300))

        async def story() -> None:
            fleet, _ = place.fleet()
            await fleet.start([place.target(c, cadence_s=30.0) for c in cameras])
            await asyncio.sleep(600)
            await fleet.stop()

        run(story())
        for starts in place.starts.values():
            assert 19 <= len(starts) <= 21
            pauses = [b - a for a, b in itertools.pairwise(starts[1:])]
            assert min(pauses) >= 30 * 0.9
            assert max(pauses) <= 30 * 1.1
        for second in range(60, 600):
            started = sum(second <= at < second + 1 for at in place.started_at)
            assert started <= 40  # 10 a second on average


def test_an_outage_is_dated_to_its_first_failing_probe_and_confirmed_soon(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(camera)])
            await asyncio.sleep(100)
            place.behaviour[camera.id] = "refuses"
            await asyncio.sleep(65)
            assert states(board) == {OFFLINE: 1}  # three looks, not three cadences
            place.behaviour[camera.id] = "well"
            await asyncio.sleep(60)
            assert states(board) == {ONLINE: 1}
            await fleet.stop()

        run(story())
        first_fail = next(at for at in place.starts[camera.id] if at > 100)
        first_pass = next(at for at in place.starts[camera.id] if at > 165)
        spells = place.history(camera.id)
        assert [s[0] for s in spells] == [UNKNOWN, ONLINE, OFFLINE]
        assert spells[2][1:] == pytest.approx((first_fail, first_pass), abs=0.002)


@pytest.mark.parametrize("phase", ["connect", "describe", "keyframe"])
def test_200_hanging_cameras_do_not_move_the_cadence_of_the_others(tmp_path: Path, phase: str) -> None:
    with city(tmp_path) as (place, run):
        good = place.build({f"good{n}": 1 for n in range(200)})
        bad = place.build({f"bad{n}": 1 for n in range(200)})
        place.behaviour |= {c.id: f"hangs at {phase}" for c in bad}

        async def story() -> None:
            fleet, board = place.fleet(Limits(in_flight=40))
            await fleet.start([place.target(c) for c in (*good, *bad)])
            await asyncio.sleep(300)
            assert states(board) == {ONLINE: 200, OFFLINE: 200}
            await fleet.stop()

        run(story())
        for camera in good:
            starts = place.starts[camera.id]
            assert len(starts) >= 9
            assert max(b - a for a, b in itertools.pairwise(starts[1:])) <= 30 * 1.1 + 2.0


def test_mass_failure_is_offline_for_all_and_recovers(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build(hosts(600))

        async def story() -> None:
            fleet, board = place.fleet(Limits(in_flight=60))
            await fleet.start([place.target(c) for c in cameras])
            await asyncio.sleep(60)
            place.behaviour = {c.id: "dead" for c in cameras}
            await asyncio.sleep(120)
            assert states(board) == {OFFLINE: 600}
            place.behaviour.clear()
            await asyncio.sleep(90)
            assert states(board) == {ONLINE: 600}
            await fleet.stop()

        run(story())
        for camera in cameras:
            assert [s[0] for s in place.history(camera.id)] == [UNKNOWN, ONLINE, OFFLINE]


@pytest.mark.parametrize("fault", ["emfile", "no route", "bug"])
def test_a_fault_of_the_prober_is_unknown_never_offline_and_is_said_once(
    tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build(hosts(50))

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(c) for c in cameras])
            await asyncio.sleep(60)
            place.behaviour = {c.id: fault for c in cameras}
            await asyncio.sleep(300)
            assert states(board) == {UNKNOWN: 50}
            assert fleet.stats.blind
            place.behaviour.clear()
            await asyncio.sleep(120)
            assert states(board) == {ONLINE: 50}
            assert not fleet.stats.blind
            await fleet.stop()

        with caplog.at_level(logging.WARNING, "sharpeyes.health.fleet"):
            run(story())
        assert len([r for r in caplog.records if "is blind" in r.message]) == 1
        assert len([r for r in caplog.records if "sees again" in r.message]) == 1
        for camera in cameras:
            assert [s[0] for s in place.history(camera.id)] == [UNKNOWN, ONLINE, UNKNOWN]


def test_time_outs_while_our_own_loop_stood_still_are_our_fault(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build(hosts(20))
        place.behaviour = {c.id: "dead" for c in cameras}

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(c) for c in cameras])
            await asyncio.sleep(2)
            place.loop.now += 30  # as if something had held the loop for half a minute
            await asyncio.sleep(1)
            assert fleet.stats.stalls == 1
            kinds = {e.probe.failure.kind for e in board if e.probe and e.probe.failure}
            assert kinds == {FailureKind.OVERLOADED}
            await fleet.stop()

        run(story())


def test_packets_that_nobody_took_while_our_own_loop_stood_still_are_no_loss(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build(hosts(20))
        place.behaviour = {c.id: "lossy" for c in cameras}
        place.took_s = 5.0

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(c) for c in cameras])
            await asyncio.sleep(2)
            place.loop.now += 30
            await asyncio.sleep(1)
            assert {e.probe.lost for e in board if e.probe} == {0}
            await asyncio.sleep(60)
            assert {e.probe.lost for e in board if e.probe} == {20}
            await fleet.stop()

        run(story())


def test_after_a_stall_every_camera_is_looked_at_once_not_for_every_missed_slot(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build(hosts(100))

        async def story() -> None:
            fleet, _ = place.fleet()
            await fleet.start([place.target(c) for c in cameras])
            await asyncio.sleep(60)
            place.starts.clear()
            place.loop.now += 600
            await asyncio.sleep(14)
            assert all(len(starts) <= 1 for starts in place.starts.values())
            assert len({round(at, 2) for starts in place.starts.values() for at in starts}) > 3  # spread
            await asyncio.sleep(20)
            assert len(place.starts) == 100
            await fleet.stop()

        run(story())


def test_a_recorder_is_never_met_by_more_probes_than_its_budget(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build({"nvr": 32, "small": 4})

        async def story() -> None:
            fleet, board = place.fleet()
            sessions = {"nvr": 2, "small": 1}
            await fleet.start([place.target(c, sessions=sessions[c.id.split("-")[0]]) for c in cameras])
            await asyncio.sleep(120)
            assert states(board) == {ONLINE: 36}
            await fleet.stop()

        run(story())
        assert place.most_open["nvr"] == 2
        assert place.most_open["small"] == 1


@pytest.mark.parametrize(("manner", "within"), [("dead", 90), ("hangs at describe", 800)])
def test_a_recorder_that_fails_as_a_whole_is_offline_not_unknown(
    tmp_path: Path, manner: str, within: int
) -> None:
    """32 channels with 10 s time-outs, two at a time: 160 s a round, longer than three cadences."""
    with city(tmp_path) as (place, run):
        cameras = place.build({"nvr": 32})

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(c) for c in cameras])
            await asyncio.sleep(60)
            place.behaviour = {c.id: manner for c in cameras}
            await asyncio.sleep(within)
            assert states(board) == {OFFLINE: 32}
            await fleet.stop()

        run(story())
        assert place.most_open["nvr"] <= 2
        for camera in cameras:
            assert [s[0] for s in place.history(camera.id)] == [UNKNOWN, ONLINE]


def test_a_wrong_password_for_32_channels_is_one_failed_login_in_half_an_hour(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = [replace(c, credential="nvr") for c in place.build({"nvr": 32})]
        place.passwords["nvr"] = "right"

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(c, WRONG) for c in cameras])
            await asyncio.sleep(29 * 60)
            assert place.logins == {("nvr", False): 1}
            assert states(board) == {OFFLINE: 32}
            assert {e.probe.failure.kind for e in board if e.probe and e.probe.failure} == {
                FailureKind.AUTH_FAILED
            }
            assert all(e.withheld_until for e in board)
            await asyncio.sleep(59 * 60)
            assert place.logins == {("nvr", False): 2}
            fleet.sync([place.target(c, RIGHT) for c in cameras])  # the password is put right here
            await asyncio.sleep(60)
            assert states(board) == {ONLINE: 32}
            assert place.logins["nvr", False] == 2
            await fleet.stop()

        run(story())


def test_a_service_that_keeps_crashing_does_not_lock_accounts(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = [replace(c, credential="k") for c in place.build({"nvr": 4})]
        place.passwords["nvr"] = "right"

        async def story() -> None:
            for _ in range(10):
                fleet, _ = place.fleet()
                await fleet.start([place.target(c, WRONG, credential_changed=0) for c in cameras])
                await asyncio.sleep(20)
                await fleet.stop()
            assert place.logins == {("nvr", False): 1}
            fleet, board = place.fleet()
            changed = place.clock()  # while the service was down somebody put the password right
            await fleet.start([place.target(c, RIGHT, credential_changed=changed) for c in cameras])
            await asyncio.sleep(20)
            assert states(board) == {ONLINE: 4}
            await fleet.stop()

        run(story())


def test_a_credential_that_is_missing_here_is_our_fault(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        own, devices = place.build({"h": 1, "nvr": 1})

        async def story() -> None:
            fleet, board = place.fleet()
            targets = [
                place.target(replace(own, credential="gone")),
                place.target(devices, credential="gone"),
            ]
            await fleet.start(targets)
            await asyncio.sleep(200)
            assert states(board) == {UNKNOWN: 2}
            await fleet.stop()

        run(story())
        assert not place.starts


def test_check_now_goes_first_and_joins_a_look_under_way(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build(hosts(20))

        async def story() -> None:
            fleet, _ = place.fleet()
            await fleet.start([place.target(c) for c in cameras])
            await asyncio.sleep(5)
            before = len(place.starts["h3-0"])
            one, two = await asyncio.gather(fleet.check("h3-0"), fleet.check("h3-0"))
            assert one is two
            assert one.ok
            assert len(place.starts["h3-0"]) == before + 1
            with pytest.raises(NotFoundError):
                await fleet.check("nobody")
            await fleet.stop()
            with pytest.raises(UnavailableError):
                await fleet.check("h3-0")

        run(story())


def test_cameras_come_move_and_go_while_the_fleet_runs(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        old = place.build({"a": 3})
        new = place.build({"b": 2})

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(c) for c in old])
            await asyncio.sleep(40)
            waiting = asyncio.ensure_future(fleet.check("a-0"))
            await asyncio.sleep(0)
            fleet.sync([place.target(c) for c in (*old[1:], *new)])
            with pytest.raises(NotFoundError):
                await waiting
            await asyncio.sleep(5)
            assert {e.camera.id for e in board} == {"a-1", "a-2", "b-0", "b-1"}
            assert states(board) == {ONLINE: 4}
            probes = len(place.starts["a-0"])
            await asyncio.sleep(100)
            assert len(place.starts["a-0"]) == probes
            moved = replace(old[1], streams=(replace(old[1].streams[0], url="rtsp://c/moved"),))
            place.behaviour["moved"] = "refuses"
            fleet.put(place.target(moved))
            await asyncio.sleep(100)
            assert states(board) == {ONLINE: 3, OFFLINE: 1}
            await fleet.stop()

        run(story())
        assert [s[0] for s in place.history("a-0")] == [UNKNOWN, ONLINE]  # closed when it went


def test_maintenance_is_kept_apart_while_probing_goes_on(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(camera)])
            await asyncio.sleep(100)
            place.behaviour[camera.id] = "refuses"
            fleet.put(place.target(replace(camera, maintenance=True)))
            probes = len(place.starts[camera.id])
            await asyncio.sleep(300)
            assert states(board) == {State.MAINTENANCE: 1}
            assert len(place.starts[camera.id]) >= probes + 9
            place.behaviour.clear()
            fleet.put(place.target(camera))
            assert states(board) == {UNKNOWN: 1}
            await asyncio.sleep(60)
            assert states(board) == {ONLINE: 1}
            await fleet.stop()

        run(story())
        assert [s[0] for s in place.history(camera.id)] == [UNKNOWN, ONLINE, State.MAINTENANCE, UNKNOWN]


def test_a_probe_that_never_ends_is_given_up_and_is_our_fault(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        place.behaviour[camera.id] = "never ends"

        async def story() -> None:
            fleet, board = place.fleet()
            await fleet.start([place.target(camera)])
            await asyncio.sleep(60)
            entry = board.get(camera.id)
            assert entry is not None
            assert entry.probe is not None
            assert entry.probe.failure is not None
            assert entry.probe.failure.kind is FailureKind.INTERNAL
            assert states(board) == {UNKNOWN: 1}
            await fleet.stop()

        run(story())


def test_stop_waits_for_probes_within_its_bound_and_stores_what_they_found(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        good, mute = place.build({"good": 1, "mute": 1})
        place.behaviour[mute.id] = "never ends"
        place.took_s = 3.0

        async def story() -> None:
            fleet, _ = place.fleet()
            await fleet.start([place.target(good), place.target(mute)])
            await asyncio.sleep(0.1)
            began = place.loop.time()
            await fleet.stop()
            assert 3.0 <= place.loop.time() - began <= 13.0

        run(story())
        stored = place.intervals()
        assert [i.state for i in stored["good-0"]] == [UNKNOWN, ONLINE]
        assert [i.state for i in stored["mute-0"]] == [UNKNOWN]


def test_a_subscriber_hears_of_changes_only(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})

        async def story() -> None:
            fleet, board = place.fleet()
            with board.subscribe() as changes:

                async def listen() -> list[tuple[State, State]]:
                    return [(change.before, change.after) async for change in changes]

                listener = asyncio.ensure_future(listen())
                await fleet.start([place.target(camera)])
                await asyncio.sleep(200)
                place.behaviour[camera.id] = "refuses"
                await asyncio.sleep(200)
                await fleet.stop()
            assert await listener == [(UNKNOWN, ONLINE), (ONLINE, OFFLINE)]

        run(story())
