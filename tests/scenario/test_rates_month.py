"""A scripted month whose rates are computed by hand, to the millisecond."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, update

from scenario.virtual_city import EPOCH, city
from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.rates import timeline
from sharpeyes.rates.rate import Verdict
from sharpeyes.rates.rates import rates
from sharpeyes.store import schema, telemetry

HOUR = 3_600_000
DAY = 24 * HOUR
SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")


def spells(camera: str, start: Ms, *pieces: tuple[State, int]) -> list[Interval]:
    """Intervals one after the other, each of so many ms."""
    found, at = [], start
    for state, length in pieces:
        found.append(Interval(camera=camera, state=state, start=at, end=Ms(at + length)))
        at = Ms(at + length)
    return found


def test_a_month_of_three_cameras(tmp_path: Path) -> None:
    october = timeline.month(date(2026, 10, 1), SHANGHAI)
    assert october.length_ms == 31 * DAY
    with city(tmp_path) as (place, _):
        cameras = place.build({"h": 3})
        one, two, three = (c.id for c in cameras)
        story = [
            # 31 days, offline for 36 h 0 min 0.001 s in the middle
            *spells(
                one,
                october.start,
                (State.ONLINE, 10 * DAY),
                (State.OFFLINE, 36 * HOUR + 1),
                (State.ONLINE, 31 * DAY - 10 * DAY - 36 * HOUR - 1),
            ),
            # began before the month and goes on after it; the prober was down for two days
            *spells(
                two,
                Ms(october.start - 5 * DAY),
                (State.ONLINE, 15 * DAY),
                (State.UNKNOWN, 2 * DAY),
                (State.DEGRADED, 3 * DAY),
                (State.ONLINE, 40 * DAY),
            ),
            # in maintenance for a week; changes its department at the end of day 21
            *spells(
                three,
                october.start,
                (State.ONLINE, 7 * DAY),
                (State.MAINTENANCE, 7 * DAY),
                (State.OFFLINE, 14 * DAY),
                (State.ONLINE, 3 * DAY),
            ),
        ]
        moved = Ms(october.start + 21 * DAY)

        def write(connection: object) -> None:
            telemetry.write_batch(connection, intervals=story, beat=Ms(october.end + 90 * DAY))
            m = schema.membership
            connection.execute(update(m).values(started_ms=october.start - 30 * DAY))
            connection.execute(update(m).where(m.c.camera_id == three).values(ended_ms=moved))
            connection.execute(insert(schema.department), [{"id": "e", "name": "E"}])
            connection.execute(
                insert(m),
                [
                    {
                        "camera_id": three,
                        "started_ms": moved,
                        "tier": cameras[2].tier,
                        "department": "e",
                        "area": "a",
                        "zone": "z",
                    }
                ],
            )

        place.database.write(write)

        def asked(by: str) -> dict[str, object]:
            return {
                r.key: r
                for r in place.database.read(lambda c: rates(c, october, by, Ms(october.end + 90 * DAY)))
            }

        whole = asked("all")["all"]
        assert whole.cameras == 3
        assert whole.maintenance_ms == 7 * DAY
        assert whole.obliged_ms == 93 * DAY - 7 * DAY
        assert whole.unknown_ms == 2 * DAY
        assert whole.offline_ms == 36 * HOUR + 1 + 14 * DAY
        assert whole.online_ms == 86 * DAY - 2 * DAY - 36 * HOUR - 1 - 14 * DAY
        assert whole.degraded_ms == 3 * DAY
        assert whole.headcount.rate == 1.0
        assert whole.verdict is Verdict.MISSED

        d, e = asked("department")["d"], asked("department")["e"]
        assert (d.cameras, e.cameras) == (3, 1)
        assert e.obliged_ms == 10 * DAY
        assert (e.offline_ms, e.online_ms) == (7 * DAY, 3 * DAY)  # from the day that it came
        assert d.obliged_ms == 62 * DAY + 14 * DAY
        assert d.offline_ms == 36 * HOUR + 1 + 7 * DAY
        assert (d.headcount.total, e.headcount.total) == (2, 1)

        by_camera = asked("camera")
        assert by_camera[two].coverage == 29 / 31
        assert by_camera[two].verdict is Verdict.COLLECTING  # 93.5 % seen
        assert by_camera[one].raw == pytest.approx(1 - (36 * HOUR + 1) / (31 * DAY), abs=1e-15)
        assert by_camera[one].verdict is Verdict.MET

        totals = {by: sum(r.online_ms for r in asked(by).values()) for by in ("tier", "area", "zone")}
        assert set(totals.values()) == {whole.online_ms}


@pytest.mark.parametrize(
    ("zone", "on", "hours"),
    [(SHANGHAI, date(2026, 10, 25), 24), (BERLIN, date(2026, 10, 25), 25), (BERLIN, date(2026, 3, 29), 23)],
)
def test_the_days_of_a_time_zone(tmp_path: Path, zone: ZoneInfo, on: date, hours: int) -> None:
    day = timeline.day(on, zone)
    with city(tmp_path) as (place, _):
        (camera,) = place.build({"h": 1})
        outage = spells(
            camera.id,
            Ms(day.start - DAY),
            (State.ONLINE, DAY + HOUR),
            (State.OFFLINE, 2 * HOUR),
            (State.ONLINE, 3 * DAY),
        )

        def write(connection: object) -> None:
            telemetry.write_batch(connection, intervals=outage, beat=Ms(day.end + DAY))
            connection.execute(update(schema.membership).values(started_ms=day.start - 9 * DAY))

        place.database.write(write)
        (rate,) = place.database.read(lambda c: rates(c, day, "all", Ms(day.end + DAY)))
        assert rate.obliged_ms == hours * HOUR
        assert rate.online_ms == (hours - 2) * HOUR


def test_rates_of_a_watched_hour_equal_its_timeline(tmp_path: Path) -> None:
    """From probes to rates: flaps, an outage, a blind prober, and what is not over yet."""
    with city(tmp_path) as (place, run):
        cameras = place.build({f"h{n}": 1 for n in range(12)})

        async def story() -> Ms:
            fleet, _ = place.fleet()
            await fleet.start([place.target(c) for c in cameras])
            for step in range(12):
                for n, camera in enumerate(cameras):
                    place.behaviour[camera.id] = ["well", "refuses", "emfile", "lossy"][(step * n // 3) % 4]
                await asyncio.sleep(300)
            await asyncio.sleep(5)
            # the service goes on; the answer is of this moment
            now = place.clock()
            span = Span(Ms(EPOCH), now)
            found = place.database.read(lambda c: rates(c, span, "camera", now))
            beat = place.database.read(telemetry.get_heartbeat)
            histories = place.intervals()
            for rate in found:
                hand = timeline.durations(histories[rate.key], Span(span.start, beat))
                assert rate.span.end == beat
                assert rate.online_ms == hand[State.ONLINE] + hand[State.DEGRADED]
                assert rate.degraded_ms == hand[State.DEGRADED]
                assert rate.offline_ms == hand[State.OFFLINE]
                assert rate.unknown_ms == hand[State.UNKNOWN]
                assert rate.obliged_ms == beat - span.start
            assert {rate.offline_ms > 0 for rate in found} == {True, False}
            await fleet.stop()
            return now

        now = run(story())
        # nobody watches any more: an hour later the time since is unknown, not online
        later = Ms(now + HOUR)
        (rate,) = place.database.read(lambda c: rates(c, Span(Ms(now - 1000), later), "all", later))
        assert rate.unknown_ms >= 12 * (HOUR - 12_000)
        assert rate.headcount.unknown == 12
