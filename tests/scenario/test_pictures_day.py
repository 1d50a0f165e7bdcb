"""Pictures that turn black, freeze and come back: who is looked at when, and what is said about it.

The fleet, the looks, the judge and the store are the real ones; the cameras, and the checks of what their
keyframes say, are played.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scenario.virtual_city import EPOCH, City, city, rung_intervals, seconds
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.health import Keyframe, PictureFault, Rung, RungInterval, State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.health.decoders import Threads
from sharpeyes.health.evidence import Evidence, Retention
from sharpeyes.health.examiner import Checked, Opened
from sharpeyes.health.fleet import Limits
from sharpeyes.health.quality import LEARN_BEST, VIEW_FAULTS, Quality
from sharpeyes.health.sight import Finding, forget
from sharpeyes.health.sweep import sweep
from sharpeyes.store import evidence as index
from sharpeyes.store import pictures
from sharpeyes.store.events import VIEW_ACCEPTED, Event, record

ONLINE, DEGRADED, OFFLINE, UNKNOWN = State.ONLINE, State.DEGRADED, State.OFFLINE, State.UNKNOWN
KINDS = {"black": (PictureFault.SIGNAL_LOST, 3), "frozen": (PictureFault.FROZEN, 2)}
KINDS |= {"blurred": (PictureFault.BLURRED, 2), "soft": (PictureFault.BLURRED, 1)}
KINDS |= {"smeared": (PictureFault.BLURRED, 3), "grainy": (PictureFault.NOISE, 2)}
USUAL = frozenset({"grainy"})
"""What is found only as long as nobody knows that the camera is so always."""
LONGEST_S = 30 * 1.6
"""Between two probes of a camera: one that came between two slots may let the next slot pass."""


class Examiner:
    """Reads what the keyframe says. A fine picture is plain once it was checked."""

    def __init__(self, place: City) -> None:
        self.place = place
        self.opened: list[tuple[float, str]] = []
        self.checked = 0

    def open(self, keyframe: Keyframe, at: Ms, normal: Any) -> Opened:
        said = keyframe.data.decode().split()[0]
        self.opened.append((self.place.loop.time(), said))
        if said == "junk":
            return Opened(picture=None)
        mode = "night" if said == "dark" else "day"
        return Opened(picture=said, mode=mode, plain=normal == said, normal=normal)

    def check(
        self,
        before: Any | None,
        picture: Any,
        references: Mapping[str, Any],
        *,
        moves: bool,
        stood: Sequence[bytes] = (),
    ) -> Checked:
        self.checked += 1
        findings = ()
        if picture in KINDS and (picture not in USUAL or not references):
            kind, severity = KINDS[picture]
            findings = (Finding(kind=kind, severity=severity, score=0.9, explanation=picture),)
        return Checked(
            mode="night" if picture == "dark" else "day",
            findings=findings,
            unassessed=frozenset(),
            document={"saw": picture, "pair": before is not None, "references": sorted(references)},
            still=b"jpeg" if findings else None,
            normal=picture,
        )

    def trace(self, picture: Any) -> Any:
        return picture

    def moved(self, trace: Any, picture: Any) -> bool:
        return bool(trace != picture)

    def learn(self, keyframes: Sequence[Keyframe], mode: str, at: Ms) -> bytes | None:
        return f"{mode} from {len(keyframes)}".encode()

    def load(self, data: bytes) -> str:
        return data.decode()


def quality_of(place: City, **given: Any) -> tuple[Quality, Examiner]:
    examiner = Examiner(place)
    return Quality(Threads(examiner), clock=place.clock, database=place.database, **given), examiner


def rungs(place: City, camera: str) -> list[tuple[str, str, float, float]]:
    span = Span(Ms(0), Ms(EPOCH * 2))
    found = place.database.read(lambda c: rung_intervals(c, camera, span))
    return [(i.rung.label, i.asked.label, seconds(i.start), seconds(i.end)) for i in found]


def test_a_black_picture_is_offline_from_its_first_sight_and_recovers(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        quality, examiner = quality_of(place)

        async def story() -> None:
            fleet, board = place.fleet(quality=quality)
            await fleet.start([place.target(camera)])
            await asyncio.sleep(700)
            entry = board.get(camera.id)
            assert entry is not None
            assert (entry.standing.state, entry.rung) == (ONLINE, Rung.USABLE)
            place.pictures[camera.id] = "black"
            await asyncio.sleep(400)  # at most a cadence, two looks and their confirmation
            entry = board.get(camera.id)
            assert entry is not None
            assert (entry.standing.state, entry.standing.cause) == (OFFLINE, "signal_lost")
            assert entry.rung is Rung.DECODED
            assert board.tally().by_fault == {(camera.tier, PictureFault.SIGNAL_LOST): 1}
            place.pictures[camera.id] = "fine"
            await asyncio.sleep(160)  # a fault is looked at sooner than the cadence
            entry = board.get(camera.id)
            assert entry is not None
            assert (entry.standing.state, entry.rung) == (ONLINE, Rung.USABLE)
            assert board.tally().by_fault == {}
            await fleet.stop()
            await quality.stop()

        run(story())
        first_black = next(at for at, said in examiner.opened if said == "black")
        spells = place.history(camera.id)
        assert [s[0] for s in spells] == [UNKNOWN, ONLINE, OFFLINE]
        assert first_black <= spells[1][2] <= first_black + 3  # dated to the first look that showed it
        climbed = rungs(place, camera.id)
        assert [c[0] for c in climbed] == ["keyframe", "usable", "decoded"]
        assert climbed[0][1] == "keyframe"  # before the first look nobody knew more
        assert climbed[1][3] == spells[1][2]


def test_frozen_and_blurred_are_degraded_and_a_trained_eye_s_fault_changes_nothing(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        frozen, blurred, soft = place.build({"f": 1, "b": 1, "s": 1})
        quality, _ = quality_of(place)
        place.pictures |= {frozen.id: "frozen", blurred.id: "blurred", soft.id: "soft"}

        async def story() -> None:
            fleet, board = place.fleet(quality=quality)
            await fleet.start([place.target(c) for c in (frozen, blurred, soft)])
            await asyncio.sleep(600)
            seen = {c.id: board.get(c.id) for c in (frozen, blurred, soft)}
            assert {k: (e.standing.state, e.standing.cause, e.rung) for k, e in seen.items() if e} == {
                frozen.id: (DEGRADED, "frozen", Rung.DECODED),
                blurred.id: (DEGRADED, "blurred", Rung.USABLE),
                soft.id: (ONLINE, None, Rung.USABLE),
            }
            await fleet.stop()

        run(story())


def test_the_same_keyframe_twice_is_no_second_picture(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        quality, examiner = quality_of(place)
        place.pictures[camera.id] = "cached"  # by a server that begins with what it has

        async def story() -> None:
            fleet, _ = place.fleet(quality=quality)
            await fleet.start([place.target(camera)])
            while quality.stats.looks == 0:
                await asyncio.sleep(0.5)
            await asyncio.sleep(5)
            assert examiner.checked == 0
            place.pictures[camera.id] = "fine"
            await asyncio.sleep(5)
            assert examiner.checked == 1
            assert quality.places.taken == 0
            place.pictures[camera.id] = "cached"
            await asyncio.sleep(700)  # for ever: then it is one
            assert examiner.checked >= 2
            await fleet.stop()

        run(story())


def test_a_fault_seen_once_changes_nothing(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        quality, examiner = quality_of(place)

        async def story() -> None:
            fleet, _ = place.fleet(quality=quality)
            await fleet.start([place.target(camera)])
            await asyncio.sleep(600)
            for _ in range(10):
                checks = examiner.checked
                place.pictures[camera.id] = "black"
                while examiner.checked == checks:
                    await asyncio.sleep(1)
                place.pictures[camera.id] = "fine"
                await asyncio.sleep(900)
            await fleet.stop()

        run(story())
        assert [s[0] for s in place.history(camera.id)] == [UNKNOWN]  # online ever since


def test_keyframes_that_do_not_decode_are_a_fault_and_liveness_alone_goes_on(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        quality, _ = quality_of(place)
        place.pictures[camera.id] = "junk"

        async def story() -> None:
            fleet, board = place.fleet(quality=quality)
            await fleet.start([place.target(camera)])
            await asyncio.sleep(400)
            entry = board.get(camera.id)
            assert entry is not None
            assert (entry.standing.state, entry.standing.cause, entry.rung) == (
                DEGRADED,
                "corrupt",
                Rung.KEYFRAME,
            )
            await fleet.stop()

        run(story())


def test_a_healthy_camera_is_screened_at_its_cadence_and_checked_in_full_now_and_then(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build({f"h{n}": 1 for n in range(50)})
        quality, examiner = quality_of(place)

        async def story() -> None:
            fleet, _ = place.fleet(quality=quality)
            await fleet.start([place.target(c) for c in cameras])
            await asyncio.sleep(4 * 3600)
            await fleet.stop()

        run(story())
        assert 50 * 46 <= quality.stats.looks <= 50 * 52
        assert quality.stats.plain > 0.88 * quality.stats.looks
        assert 50 * 3 <= examiner.checked <= 50 * 6
        for start in range(600, 4 * 3600, 10):  # no bursts
            assert sum(start <= at < start + 10 for at, _ in examiner.opened) <= 16
        for starts in place.starts.values():  # and the liveness cadence stays
            assert max(b - a for a, b in itertools.pairwise(starts[1:])) <= LONGEST_S


def test_a_mode_change_asks_for_the_full_checks(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        quality, examiner = quality_of(place)

        async def story() -> None:
            fleet, _ = place.fleet(quality=quality)
            await fleet.start([place.target(camera)])
            await asyncio.sleep(1200)
            before = examiner.checked
            place.pictures[camera.id] = "dark"
            await asyncio.sleep(330)
            assert examiner.checked == before + 1
            await fleet.stop()

        run(story())


def test_when_decoding_is_the_limit_looks_are_put_off_and_liveness_is_not(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        cameras = place.build({f"h{n}": 1 for n in range(400)})
        quality, examiner = quality_of(place, places=32)
        most = 0

        class Slow(Examiner):
            """A look takes two seconds of a decode thread; there is time for half of what is due."""

        real = quality.look

        async def slowly(*arguments: Any) -> Any:
            nonlocal most
            most = max(most, quality.places.taken)
            await asyncio.sleep(2.0)
            return await real(*arguments)

        quality.look = slowly  # type: ignore[method-assign]

        async def story() -> None:
            fleet, board = place.fleet(quality=quality)
            await fleet.start([place.target(c, quality_s=20.0) for c in cameras])
            await asyncio.sleep(600)
            assert dict(board.tally().by_state) == {ONLINE: 400}
            await fleet.stop()

        run(story())
        assert most <= 32
        assert quality.stats.deferred > 100
        looks = Counter(said for _, said in examiner.opened)
        assert looks["fine"] > 16 / 2 * 600 * 0.5  # the decoders had work
        assert quality.places.taken == 0
        for camera in cameras:
            starts = place.starts[camera.id]
            assert max(b - a for a, b in itertools.pairwise(starts[1:])) <= LONGEST_S


def test_cameras_that_hang_keep_no_place(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        bad = place.build({f"bad{n}": 1 for n in range(200)})
        good = place.build({f"good{n}": 1 for n in range(50)})
        quality, examiner = quality_of(place, places=16)

        async def story() -> None:
            fleet, board = place.fleet(Limits(in_flight=40), quality=quality)
            await fleet.start([place.target(c, quality_s=60.0) for c in (*good, *bad)])
            await asyncio.sleep(300)
            place.behaviour |= {c.id: "hangs at keyframe" for c in bad}
            await asyncio.sleep(60)
            examiner.opened.clear()
            await asyncio.sleep(600)
            assert dict(board.tally().by_state) == {ONLINE: 50, OFFLINE: 200}
            await fleet.stop()

        run(story())
        assert len(examiner.opened) >= 50 * 9  # each of the good ones at its cadence
        assert quality.places.taken == 0


def test_cameras_that_make_us_wait_for_a_keyframe_do_not_hold_up_a_sweep(tmp_path: Path) -> None:
    """Most begin a session between two keyframes: the next one is a second away and more."""
    with city(tmp_path) as (place, run):
        cameras = place.build({f"h{n}": 1 for n in range(400)})
        place.took_s = 1.5
        quality, _ = quality_of(place, places=32, patient=True, quick=True)

        async def story() -> None:
            begun = place.loop.time()
            swept = await sweep(
                [place.target(camera) for camera in cameras],
                place.probe,
                clock=place.clock,
                limits=Limits(),
                quality=quality,
            )
            assert place.loop.time() - begun < 10  # 32 at a time would take 18
            assert all(entry.sight is not None for entry in swept.entries)

        run(story())
        assert {len(starts) for starts in place.starts.values()} == {1}, "none is asked twice"
        assert (quality.stats.looks, quality.places.taken) == (400, 0)


def test_a_restart_forgets_no_fault_and_says_nothing_of_the_time_between(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        place.pictures[camera.id] = "black"

        async def day() -> None:
            quality, _ = quality_of(place)
            fleet, board = place.fleet(quality=quality)
            await fleet.start([place.target(camera)])
            await asyncio.sleep(500)
            entry = board.get(camera.id)
            assert entry is not None
            assert entry.standing.state is OFFLINE
            await fleet.stop()

        run(day())
        run(asyncio.sleep(3600))
        run(day())
        spells = [s[0] for s in place.history(camera.id)]
        assert spells == [UNKNOWN, ONLINE, OFFLINE, UNKNOWN]  # not online again in between
        climbed = rungs(place, camera.id)
        gap = next(
            b[2] - a[3] for a, b in itertools.pairwise([*climbed, ("", "", 1e9, 0)]) if b[2] - a[3] > 1
        )
        assert gap > 3500


def test_what_is_normal_is_learnt_soon_then_better_and_anew_when_a_view_is_accepted(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        folder = tmp_path / "evidence"

        async def story() -> None:
            keeper = Evidence(place.database, folder, clock=place.clock)
            await keeper.start()
            quality, _ = quality_of(place, evidence=keeper)
            fleet, _ = place.fleet(quality=quality)
            await fleet.start([place.target(camera)])
            await asyncio.sleep(900)
            known = place.database.read(lambda c: pictures.load_references(c, camera.id))
            assert {m: (r.version, r.pictures) for m, r in known.items()} == {"day": (1, 3)}
            await asyncio.sleep((LEARN_BEST + 1) * 3700)
            known = place.database.read(lambda c: pictures.load_references(c, camera.id))
            assert {m: (r.version, r.pictures) for m, r in known.items()} == {"day": (2, LEARN_BEST)}
            assert list(folder.iterdir()) == []  # learnt, and the pictures are gone
            await quality.accept_view(camera.id, lambda _: None)
            assert place.database.read(lambda c: pictures.load_references(c, camera.id)) == {}
            await asyncio.sleep(1800)
            known = place.database.read(lambda c: pictures.load_references(c, camera.id))
            assert known["day"].version == 3
            history = place.database.read(lambda c: pictures.list_references(c, camera.id))
            assert [(r.version, r.data, r.retired is None) for r in history] == [
                (3, None, True),
                (2, None, False),
                (1, None, False),
            ]
            await fleet.stop()
            await keeper.stop()

        run(story())


def test_what_a_camera_always_shows_is_learnt_once_its_view_is_accepted(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})

        async def story() -> None:
            keeper = Evidence(place.database, tmp_path / "evidence", clock=place.clock)
            await keeper.start()
            quality, _ = quality_of(place, evidence=keeper)
            fleet, board = place.fleet(quality=quality)

            def faults() -> list[PictureFault]:
                sight = fleet.sight(camera.id)
                return [] if sight is None else [defect.kind for defect in sight.defects]

            def learnt() -> set[str]:
                return set(place.database.read(lambda c: pictures.load_references(c, camera.id)))

            async def accept() -> None:
                said = Event(at=place.clock(), kind=VIEW_ACCEPTED, subject=camera.id, message="")
                await quality.accept_view(camera.id, lambda connection: record(connection, [said]))
                sight = fleet.sight(camera.id)
                assert sight is not None
                fleet.see_anew(camera.id, forget(sight, VIEW_FAULTS))

            place.pictures[camera.id] = "grainy"
            await fleet.start([place.target(camera)])
            await asyncio.sleep(1800)
            assert (faults(), learnt()) == ([PictureFault.NOISE], set())
            await accept()
            for _ in range(60):
                await asyncio.sleep(30)
                assert faults() == [], "it is not raised again while it is learnt"
            assert learnt() == {"day"}
            place.pictures[camera.id] = "blurred"
            await asyncio.sleep(900)
            assert faults() == [PictureFault.BLURRED], "what is not usual is found again"

            # What nobody can use is nobody's normal, whoever accepts it; nor is anything an hour later.
            for shown, kind in (("black", PictureFault.SIGNAL_LOST), ("smeared", PictureFault.BLURRED)):
                place.pictures[camera.id] = shown
                await accept()
                await asyncio.sleep(1800)
                assert (faults(), learnt()) == ([kind], set())
            await asyncio.sleep(1800)
            place.pictures[camera.id] = "grainy"
            await asyncio.sleep(1800)
            assert (faults(), learnt()) == ([PictureFault.NOISE], set())
            entry = board.get(camera.id)
            assert entry is not None
            assert entry.standing.state is DEGRADED
            await fleet.stop()
            await keeper.stop()

        run(story())


def test_evidence_is_private_bounded_and_goes_when_its_time_is_over(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        folder = tmp_path / "evidence"
        retention = replace(Retention(), failures=6)

        async def story() -> None:
            keeper = Evidence(place.database, folder, clock=place.clock, retention=retention)
            await keeper.start()
            (folder / "stray").write_bytes(b"left by a crash")
            await keeper.sweep(strays=True)
            assert list(folder.iterdir()) == []
            quality, _ = quality_of(place, evidence=keeper)
            fleet, _ = place.fleet(quality=quality)
            place.pictures[camera.id] = "frozen"
            await fleet.start([place.target(camera)])
            await asyncio.sleep(3600)
            records = place.database.read(lambda c: index.list_records(c, camera.id, now=place.clock()))
            assert len(records) == 6
            assert all(not r.ok and r.found["diagnosis"]["saw"] == "frozen" for r in records)
            assert records[0].found["transcript"] == ["= played"]
            files = list(folder.iterdir())
            assert files
            assert {f.stat().st_mode & 0o777 for f in files} == {0o600}
            assert folder.stat().st_mode & 0o777 == 0o700
            still = records[0].still
            assert still is not None
            assert camera.id not in still
            assert await keeper.read(camera.id, still) == b"jpeg"
            await fleet.stop()
            await asyncio.sleep(retention.failure_ms / 1000 + 120)
            assert list(folder.iterdir()) == []
            assert place.database.read(lambda c: index.list_records(c, camera.id, now=Ms(0))) == []
            await keeper.stop()

        run(story())


def test_a_failure_is_kept_with_its_working_when_it_begins_and_now_and_then(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})

        async def story() -> None:
            keeper = Evidence(place.database, tmp_path / "evidence", clock=place.clock)
            await keeper.start()
            quality, _ = quality_of(place, evidence=keeper)
            fleet, _ = place.fleet(quality=quality)
            place.behaviour[camera.id] = "refuses"
            await fleet.start([place.target(camera)])
            await asyncio.sleep(3600)
            await keeper.flush()
            records = place.database.read(lambda c: index.list_records(c, camera.id, now=place.clock()))
            assert 5 <= len(records) <= 7  # of 120 probes
            assert {r.found["kind"] for r in records} == {"refused"}
            await fleet.stop()
            await keeper.stop()

        run(story())


def test_rungs_tile_what_was_seen(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        quality, _ = quality_of(place)

        async def story() -> None:
            fleet, _ = place.fleet(quality=quality)
            await fleet.start([place.target(camera)])
            for manner in ("well", "refuses", "emfile", "well", "hangs at describe", "well"):
                place.behaviour[camera.id] = manner
                await asyncio.sleep(1000)
            fleet.remove(camera.id)
            await fleet.stop()

        run(story())
        span = Span(Ms(0), Ms(EPOCH * 2))
        climbed: list[RungInterval] = place.database.read(lambda c: rung_intervals(c, camera.id, span))
        states = place.intervals()[camera.id]
        seen = sum(i.end - i.start for i in states if i.state in (ONLINE, OFFLINE, DEGRADED) and i.end)
        assert sum(i.end - i.start for i in climbed if i.end) == seen
        low = sum(i.end - i.start for i in climbed if i.end and i.rung < Rung.KEYFRAME)
        assert low == sum(i.end - i.start for i in states if i.state is OFFLINE and i.end)
        assert place.database.read(pictures.load_rungs) == {}


def test_channels_that_wait_for_the_first_one_s_login_are_looked_at_all_the_same(tmp_path: Path) -> None:
    """A recorder's password is tried by one channel; the others' places go to whoever can use them."""
    with city(tmp_path) as (place, run):
        cameras = place.build({"nvr": 8})
        place.passwords["nvr"] = "right"
        place.took_s = 0.3
        quality, _ = quality_of(place, patient=True, quick=True)
        login = Credentials("admin", Secret("right"))

        async def story() -> None:
            async with asyncio.timeout(3600):
                swept = await sweep(
                    [place.target(camera, login) for camera in cameras],
                    place.probe,
                    clock=place.clock,
                    limits=Limits(),
                    quality=quality,
                )
            assert all(entry.sight is not None for entry in swept.entries)
            assert (quality.stats.looks, quality.places.taken) == (8, 0)

        run(story())


def test_a_camera_removed_while_its_second_picture_comes_gives_its_place_back_once(tmp_path: Path) -> None:
    with city(tmp_path) as (place, run):
        (camera,) = place.build({"h": 1})
        place.took_s = 1.0
        quality, _ = quality_of(place)

        async def story() -> None:
            fleet, _ = place.fleet(quality=quality)
            await fleet.start([place.target(camera)])
            unit = fleet._units[camera.id]
            while not (unit.paired and unit.flight):
                await asyncio.sleep(0.1)
            assert quality.places.taken == 1
            fleet.remove(camera.id)
            await asyncio.sleep(10)
            assert quality.places.taken == 0
            await fleet.stop()

        run(story())
