"""Days added up equal their intervals, to the millisecond, whatever happens and whenever it is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update

from scenario.virtual_city import roll_up
from sharpeyes.domain.clock import ClockInterval, ClockState, DeviceClock
from sharpeyes.domain.health import Interval, Rung, RungInterval, State
from sharpeyes.domain.organisation import Area
from sharpeyes.domain.time import Ms, Span
from sharpeyes.rates import rollup, timeline
from sharpeyes.rates.rate import Verdict
from sharpeyes.rates.rates import rates, trend, worst_cameras
from sharpeyes.rates.timeline import Every
from sharpeyes.store import (
    cameras,
    clocks,
    device_schema,
    exclusions,
    organisation,
    pictures,
    quality_schema,
    ranking,
    rates_schema,
    schema,
    telemetry,
)
from sharpeyes.store.database import Database
from sharpeyes.store.exclusions import Exclusion, ExclusionScope
from sharpeyes.store.state_time import Dimension
from sharpeyes.store.telemetry import StoredStanding
from unit.rates.test_rates_sql import AREAS, CAMERAS, TIERS, registry, sought
from unit.store.conftest import HAVE_POSTGRESQL, new_postgresql  # noqa: F401 - a fixture

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = list(
    timeline.days(
        Span(
            timeline.day(date(2026, 10, 23), BERLIN).start,
            timeline.day(date(2026, 10, 27), BERLIN).end,
        ),
        BERLIN,
    )
)
"""Five days; the third has 25 hours."""
START, END = DAYS[0].start, DAYS[-1].end
HOUR = 3_600_000
BY: list[Dimension] = ["tier", "department", "area", "zone", "camera", "all"]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"] if HAVE_POSTGRESQL else ["sqlite"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path_factory.mktemp('rollup') / 'r.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("new_postgresql")()
    with Database(url) as database:
        database.upgrade()
        database.write(with_devices)
        yield database


def with_devices(connection: Any) -> None:
    registry(connection)
    connection.execute(
        insert(schema.device),
        [
            {"id": device, "session_limit": 4, "created_ms": 0, "changed_ms": 0}
            for device in ("recorder", "lone")
        ],
    )
    c = schema.camera.c
    for device, its in (("recorder", ("c0", "c1")), ("lone", ("c2",))):
        connection.execute(update(schema.camera).where(c.id.in_(its)).values(device=device))


def empty(connection: Any) -> None:
    for table in (
        schema.state_interval,
        schema.camera_state,
        quality_schema.rung_interval,
        quality_schema.camera_rung,
        device_schema.clock_interval,
        device_schema.device_clock,
        schema.membership,
        rates_schema.rollup_day,
        rates_schema.day_rollup,
        rates_schema.group_day,
        rates_schema.rung_day,
        rates_schema.rollup_month,
        rates_schema.camera_month,
        rates_schema.group_rung_day,
        rates_schema.exclusion_subject,
        rates_schema.exclusion,
    ):
        connection.execute(delete(table))


moments = st.one_of(
    st.integers(START, END),
    st.sampled_from([day.start for day in DAYS]),
    st.sampled_from([day.end - 1 for day in DAYS]),
)


@st.composite
def stories(draw: st.DrawFn) -> dict[str, tuple[list[Interval], list[dict[str, Any]]]]:
    """For each camera states with holes (flaps, maintenance, unknown) and where it counted."""
    story = {}
    for camera in CAMERAS[:3]:
        edges = sorted(draw(st.lists(moments, unique=True, max_size=9)))
        states = [
            Interval(camera=camera, state=draw(st.sampled_from(State)), start=Ms(a), end=Ms(b))
            for a, b in pairwise(edges)
            if draw(st.booleans())
        ]
        if edges and draw(st.booleans()):
            states.append(
                Interval(camera=camera, state=draw(st.sampled_from(State)), start=Ms(edges[-1]), end=None)
            )
        edges = sorted(draw(st.lists(moments, unique=True, min_size=1, max_size=4)))
        stays: list[tuple[int, int | None]] = [(a, b) for a, b in pairwise(edges) if draw(st.booleans())]
        if draw(st.booleans()):
            stays.append((edges[-1], None))
        members = [
            {
                "camera_id": camera,
                "started_ms": a,
                "ended_ms": b,
                "tier": draw(st.sampled_from(TIERS)),
                "department": draw(st.sampled_from(["d0", "d1"])),
                "area": draw(st.sampled_from(list(AREAS))),
                "zone": draw(st.sampled_from(["z0", "z1"])),
            }
            for a, b in stays
        ]
        story[camera] = (states, members)
    return story


@st.composite
def climbs(draw: st.DrawFn) -> tuple[list[RungInterval], list[ClockInterval]]:
    """How far each camera came, with holes, and how the clocks of the two devices went."""
    rungs, clocks = [], []
    for camera in CAMERAS[:3]:
        edges = [*sorted(draw(st.lists(moments, unique=True, max_size=7))), None]
        for start, end in pairwise(edges):
            if draw(st.integers(0, 3)):
                rung = draw(
                    st.sampled_from([Rung.NONE, Rung.RTSP, Rung.KEYFRAME, Rung.CHANGING, Rung.USABLE])
                )
                asked = max(rung, draw(st.sampled_from([Rung.KEYFRAME, Rung.USABLE])))
                rungs.append(RungInterval(camera=camera, rung=rung, asked=asked, start=Ms(start), end=end))
    for device in ("recorder", "lone"):
        edges = [*sorted(draw(st.lists(moments, unique=True, max_size=4))), None]
        for start, end in pairwise(edges):
            state = draw(st.sampled_from(ClockState))
            clocks.append(ClockInterval(device=device, state=state, start=Ms(start), end=end))
    return rungs, clocks


def climb(connection: Any, told: tuple[list[RungInterval], list[ClockInterval]]) -> None:
    rungs, clock_spells = told
    pictures.write_rungs(
        connection, [r for r in rungs if r.end is not None], [r for r in rungs if r.end is None], ()
    )
    clocks.put_clocks(
        connection,
        [
            DeviceClock(device=c.device, state=c.state, since=c.start, at=END)
            for c in clock_spells
            if c.end is None
        ],
        [c for c in clock_spells if c.end is not None],
    )


@st.composite
def leave_outs(draw: st.DrawFn) -> list[Exclusion]:
    found = []
    for _ in range(draw(st.integers(0, 3))):
        start, end = sorted(draw(st.lists(moments, unique=True, min_size=2, max_size=2)))
        scope = draw(st.sampled_from(ExclusionScope))
        of = {"camera": CAMERAS, "area": list(AREAS), "department": ["d0", "d1"], "tier": TIERS}[scope]
        found.append(excluding(scope, draw(st.sampled_from(of)), Span(Ms(start), Ms(end))))
    return found


def excluding(scope: ExclusionScope, subject: str, span: Span) -> Exclusion:
    return Exclusion(
        id="",
        scope=scope,
        subjects=(subject,),
        span=span,
        reason="power cut",
        evidence="notice 12",
        applicant="ann",
        department="d0",
        applied=Ms(START),
    )


def standing(interval: Interval) -> StoredStanding:
    return StoredStanding(
        camera=interval.camera,
        state=interval.state,
        since=interval.start,
        cause=None,
        observed=None,
        fails=0,
        passes=0,
        streak=None,
        last_probe=None,
    )


def tell(connection: Any, intervals: list[Interval], beat: int) -> None:
    telemetry.write_batch(
        connection,
        intervals=[i for i in intervals if i.end is not None],
        standings=[standing(i) for i in intervals if i.end is None],
        beat=Ms(beat),
    )


def roll_up_all(connection: Any, now: int) -> int:
    days = rollup.due(connection, BERLIN, Ms(now))
    for day in days:
        roll_up(connection, day, Ms(now))
    return len(days)


def same_without_rollups(connection: Any, span: Span, by: Dimension) -> bool:
    """Whether rates are the same when no day is kept; leaves the days as they were."""
    now = Ms(END + HOUR)
    with_days = rates(connection, span, by, now)
    nested = connection.begin_nested()
    connection.execute(delete(rates_schema.rollup_day))
    without = rates(connection, span, by, now)
    nested.rollback()
    return with_days == without


spans = st.tuples(moments, moments).map(lambda t: Span(Ms(min(t)), Ms(max(t))))


@given(
    stories(),
    leave_outs(),
    climbs(),
    st.one_of(spans, st.just(Span(START, END))),
    st.sampled_from(BY),
    st.sampled_from(Every),
    st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
def test_days_and_steps_equal_their_intervals(
    database: Database,
    story: Any,
    left_out: list[Exclusion],
    climbed: Any,
    span: Span,
    by: Dimension,
    every: Every,
    recent: bool,
) -> None:
    """Of days, and of a course in steps, half of its days kept, of which each is asked for by itself. Sought
    by their ends or camera by camera, it comes to the same."""

    def run(connection: Any) -> None:
        empty(connection)
        climb(connection, climbed)
        for states, members in story.values():
            if members:
                connection.execute(insert(schema.membership), members)
            tell(connection, states, END + HOUR)
        for item in left_out:
            key = exclusions.apply(connection, item).id
            exclusions.decide(connection, key, by="bob", approve=True, remark="", now=Ms(END))
        roll_up_all(connection, END + HOUR)
        assert same_without_rollups(connection, span, by)
        now = Ms(END + HOUR)
        keys = CAMERAS[:2] if by == "camera" else None
        for _ in range(2):
            with sought(recent=recent):
                course = trend(connection, span, by, every, BERLIN, now, keys=keys)
                worst = worst_cameras(connection, span, now, limit=9)
            steps = list(timeline.steps(span, every, BERLIN))
            with sought(recent=not recent):
                assert course == [
                    rate for step in steps[:5] for rate in rates(connection, step, by, now, keys=keys)
                ] + [rate for rate in course if rate.span.start >= steps[min(5, len(steps)) - 1].end]
                assert worst == worst_cameras(connection, span, now, limit=9)
            telemetry.mark_stale(connection, DAYS[1].start, DAYS[3].start)

    database.write(run)


@pytest.mark.parametrize("recent", [False, True])
def test_an_interval_within_no_membership_is_nobodys(database: Database, recent: bool) -> None:
    spell = Interval(camera=CAMERAS[0], state=State.ONLINE, start=START, end=Ms(START + HOUR))
    span = Span(START, Ms(START + HOUR))

    def run(connection: Any) -> None:
        empty(connection)
        tell(connection, [spell], END + HOUR)
        with sought(recent=recent):
            assert worst_cameras(connection, span, Ms(END + HOUR), limit=9).items == []
            assert all(rates(connection, span, by, Ms(END + HOUR)) == [] for by in BY)
            # Nor anybody else's: one who is there all the time is not seen for it.
            there = {"camera_id": CAMERAS[1], "started_ms": START, "ended_ms": None, "tier": TIERS[0]}
            connection.execute(
                insert(schema.membership), {**there, "department": "d0", "area": "city", "zone": "z0"}
            )
            for rate in (
                *rates(connection, span, "all", Ms(END + HOUR)),
                *trend(connection, span, "all", Every.HOUR, BERLIN, Ms(END + HOUR)),
            ):
                assert (rate.online_ms, rate.unknown_ms, rate.headcount.online) == (0, HOUR, 0)

    database.write(run)


@given(stories(), st.lists(st.integers(0, 40), max_size=4), st.sampled_from(BY))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
def test_what_is_told_late_is_added_up_anew(
    database: Database, story: Any, cuts: list[int], by: Dimension
) -> None:
    """Told in the recorder's way, an interval at a time, with every day added up in between."""
    whole = Span(START, END)

    def run(connection: Any) -> None:
        empty(connection)
        told = sorted((i for states, _ in story.values() for i in states), key=lambda i: i.start)
        for _, members in story.values():
            if members:
                connection.execute(insert(schema.membership), members)
        for n, interval in enumerate(told):
            # first it lasts, then it has ended; both may be long after the days were added up
            telemetry.write_batch(connection, standings=[standing(interval)], beat=Ms(END + HOUR))
            if n in cuts:
                roll_up_all(connection, END + HOUR)
            if interval.end is not None:
                telemetry.write_batch(
                    connection, intervals=[interval], removed=[interval.camera], beat=Ms(END + HOUR)
                )
            if n in cuts:
                assert same_without_rollups(connection, whole, by)
                roll_up_all(connection, END + HOUR)
                assert roll_up_all(connection, END + HOUR) == 0
            assert same_without_rollups(connection, whole, by)

    database.write(run)


def one_camera(connection: Any) -> None:
    empty(connection)
    place = {"tier": "community", "department": "d0", "area": "north", "zone": "z0"}
    connection.execute(
        insert(schema.membership), [{"camera_id": "c0", "started_ms": START, "ended_ms": None, **place}]
    )


def stale(connection: Any) -> set[int]:
    d = rates_schema.rollup_day.c
    return set(connection.scalars(select(d.started_ms).where(d.computed_ms.is_(None))))


def test_only_what_rewrites_a_day_marks_it(database: Database) -> None:
    online = Interval(camera="c0", state=State.ONLINE, start=START, end=None)
    beat = Ms(END + HOUR)

    def run(connection: Any) -> None:
        one_camera(connection)
        telemetry.write_batch(connection, standings=[standing(online)], beat=beat)
        assert roll_up_all(connection, END + HOUR) == 5
        telemetry.write_batch(connection, standings=[standing(online)], beat=beat)  # seen again
        ended = Interval(camera="c0", state=State.ONLINE, start=START, end=Ms(END + 1))
        offline = Interval(camera="c0", state=State.OFFLINE, start=Ms(END + 1), end=None)
        telemetry.write_batch(connection, intervals=[ended], standings=[standing(offline)], beat=beat)
        assert stale(connection) == set()
        # dated back over midnight: one millisecond of the last day was offline after all
        short = Interval(camera="c0", state=State.ONLINE, start=START, end=Ms(END - 1))
        late = Interval(camera="c0", state=State.OFFLINE, start=Ms(END - 1), end=None)
        telemetry.write_batch(connection, standings=[standing(online)])
        roll_up_all(connection, END + HOUR)
        telemetry.write_batch(connection, intervals=[short], standings=[standing(late)], beat=beat)
        assert stale(connection) == {DAYS[-1].start}

    database.write(run)


def test_a_day_that_changes_while_it_is_read_is_not_written(database: Database) -> None:
    def run(connection: Any) -> None:
        one_camera(connection)
        tell(connection, [Interval(camera="c0", state=State.ONLINE, start=START, end=None)], END + HOUR)
        from sharpeyes.store import rollups

        revision = rollups.open_day(connection, DAYS[1])
        found = rollup.add_up(connection, DAYS[1])
        telemetry.mark_stale(connection, DAYS[1].start)
        assert not rollup.put(connection, DAYS[1], revision, found, Ms(END))
        assert rollups.fresh_spans(connection, Span(START, END)) == []

    database.write(run)


def test_an_approval_marks_its_days_and_moves_only_the_adjusted_rate(database: Database) -> None:
    half = Ms(DAYS[1].start + 12 * HOUR)

    def run(connection: Any) -> None:
        one_camera(connection)
        offline = Interval(camera="c0", state=State.OFFLINE, start=DAYS[1].start, end=half)
        online = Interval(camera="c0", state=State.ONLINE, start=half, end=None)
        tell(connection, [offline, online], END + HOUR)
        roll_up_all(connection, END + HOUR)
        (before,) = rates(connection, DAYS[1], "all", Ms(END + HOUR))
        assert before.adjusted == before.raw == 0.5
        item = exclusions.apply(
            connection, excluding(ExclusionScope.AREA, "city", Span(DAYS[1].start, Ms(half + HOUR)))
        )
        assert stale(connection) == set()  # asked for is not agreed to
        exclusions.decide(connection, item.id, by="bob", approve=True, remark="", now=Ms(END))
        assert stale(connection) == {DAYS[1].start}
        for _ in range(2):  # from the intervals, then from the day
            (after,) = rates(connection, DAYS[1], "all", Ms(END + HOUR))
            assert after.raw == 0.5
            assert after.adjusted == 1.0
            assert after.excluded.obliged_ms == 13 * HOUR
            assert (after.excluded.online_ms, after.excluded.offline_ms) == (HOUR, 12 * HOUR)
            roll_up_all(connection, END + HOUR)
        exclusions.revoke(connection, item.id, by="carl", now=Ms(END + 1))
        (again,) = rates(connection, DAYS[1], "all", Ms(END + HOUR))
        assert again == before

    database.write(run)


def rung(start: int, end: int | None, top: Rung) -> RungInterval:
    return RungInterval(camera="c0", rung=top, asked=Rung.USABLE, start=Ms(start), end=end and Ms(end))


def test_rungs_and_clocks_told_late_mark_their_days(database: Database) -> None:
    def clock(state: ClockState, since: int) -> DeviceClock:
        return DeviceClock(device="recorder", state=state, since=Ms(since), at=Ms(END))

    def run(connection: Any) -> None:
        one_camera(connection)
        connection.execute(delete(device_schema.device_clock))
        connection.execute(delete(device_schema.clock_interval))
        tell(connection, [Interval(camera="c0", state=State.ONLINE, start=START, end=None)], END + HOUR)
        pictures.write_rungs(connection, (), [rung(START, None, Rung.USABLE)], ())
        clocks.put_clocks(connection, [clock(ClockState.OK, START)])
        roll_up_all(connection, END + HOUR)
        pictures.write_rungs(connection, (), [rung(START, None, Rung.USABLE)], ())  # seen again
        clocks.put_clocks(connection, [clock(ClockState.OK, START)])
        assert stale(connection) == set()
        pictures.write_rungs(
            connection,
            [rung(START, END - HOUR, Rung.USABLE)],
            [rung(END - HOUR, None, Rung.DECODED)],
            (),
        )
        assert stale(connection) == {DAYS[-1].start}
        roll_up_all(connection, END + HOUR)
        (rate,) = rates(connection, DAYS[-1], "all", Ms(END + HOUR))
        assert (rate.raw, rate.reached(Rung.DECODED), rate.intact) == (1.0, 1.0, 23 / 24)
        ended = ClockInterval(
            device="recorder", state=ClockState.OK, start=START, end=Ms(DAYS[3].start + HOUR)
        )
        clocks.put_clocks(connection, [clock(ClockState.FAIL, DAYS[3].start + HOUR)], [ended])
        assert stale(connection) == {DAYS[3].start, DAYS[4].start}
        roll_up_all(connection, END + HOUR)
        (rate,) = rates(connection, DAYS[3], "all", Ms(END + HOUR))
        assert (rate.reached(Rung.USABLE), rate.intact, rate.clock_coverage) == (1.0, 1 / 24, 1.0)

    database.write(run)


def test_a_picture_that_nobody_looked_at_is_not_held_against_it(database: Database) -> None:
    """Up to the keyframe every probe tells, above it only a look: no judgement, and that is said."""

    def run(connection: Any) -> None:
        one_camera(connection)
        tell(connection, [Interval(camera="c0", state=State.ONLINE, start=START, end=None)], END + HOUR)
        blind = RungInterval(
            camera="c0", rung=Rung.KEYFRAME, asked=Rung.KEYFRAME, start=START, end=Ms(START + 6 * HOUR)
        )
        pictures.write_rungs(connection, [blind], [rung(START + 6 * HOUR, None, Rung.USABLE)], ())
        (rate,) = rates(connection, DAYS[0], "all", Ms(END + HOUR))
        assert (rate.reached(Rung.KEYFRAME), rate.judged(Rung.KEYFRAME)) == (1.0, 1.0)
        assert (rate.intact, rate.judged(Rung.USABLE), rate.clock_coverage) == (1.0, 0.75, 0.0)
        assert rate.intact_verdict is Verdict.COLLECTING

    database.write(run)


def test_another_tree_of_areas_moves_what_exclusions_of_areas_cover(database: Database) -> None:
    tree = [Area(id=key, name=key, parent=parent) for key, parent in AREAS.items()]

    def run(connection: Any) -> None:
        one_camera(connection)  # it stands in the north
        tell(connection, [Interval(camera="c0", state=State.ONLINE, start=START, end=None)], END + HOUR)
        organisation.put_areas(connection, tree)
        item = exclusions.apply(connection, excluding(ExclusionScope.AREA, "south", DAYS[1]))
        exclusions.decide(connection, item.id, by="bob", approve=True, remark="", now=Ms(END))
        roll_up_all(connection, END + HOUR)
        organisation.put_areas(connection, tree)
        assert stale(connection) == set()
        organisation.put_areas(
            connection, [replace(one, parent="south") if one.id == "north" else one for one in tree]
        )
        assert stale(connection) == {DAYS[1].start}
        roll_up_all(connection, END + HOUR)
        (rate,) = rates(connection, DAYS[1], "all", Ms(END + HOUR))
        assert rate.excluded.online_ms == 24 * HOUR
        organisation.put_areas(connection, tree)

    database.write(run)


def test_a_membership_told_late_marks_its_days(database: Database) -> None:
    def run(connection: Any) -> None:
        one_camera(connection)
        tell(connection, [Interval(camera="c0", state=State.ONLINE, start=START, end=None)], END + HOUR)
        roll_up_all(connection, END + HOUR)
        (c0,) = cameras.get_cameras(connection, ["c0"]).values()
        nested = connection.begin_nested()
        cameras.put_cameras(connection, [replace(c0, department="d1")], now=Ms(DAYS[3].start + HOUR))
        assert stale(connection) == {DAYS[3].start, DAYS[4].start}
        for _ in range(2):
            found = {r.key: r.online_ms for r in rates(connection, DAYS[3], "department", Ms(END + HOUR))}
            assert found == {"d0": HOUR, "d1": 23 * HOUR}
            roll_up_all(connection, END + HOUR)
        nested.rollback()

    database.write(run)


def test_cameras_come_worst_first_a_page_at_a_time(database: Database) -> None:
    """By months, by days and by intervals: all the same order, those unseen last."""

    def run(connection: Any) -> None:
        empty(connection)
        place = {"tier": "community", "department": "d0", "area": "north", "zone": "z0"}
        connection.execute(
            insert(schema.membership),
            [{"camera_id": c, "started_ms": START, "ended_ms": None, **place} for c in CAMERAS],
        )
        told = [Interval(camera="c0", state=State.ONLINE, start=START, end=None)]
        for camera, hours in (("c1", 5), ("c2", 30)):
            edge = Ms(START + hours * HOUR)
            told.append(Interval(camera=camera, state=State.OFFLINE, start=START, end=edge))
            told.append(Interval(camera=camera, state=State.ONLINE, start=edge, end=None))
        tell(connection, told, END + HOUR)

        def page(limit: int, offset: int) -> list[str]:
            span = Span(START, Ms(END + HOUR))
            return [
                r.key
                for r in worst_cameras(connection, span, Ms(END + HOUR), limit=limit, offset=offset).items
            ]

        for step in ("from intervals", "from days", "from months"):
            assert page(9, 0) == ["c2", "c1", "c0", "c3"], step
            assert page(2, 1) == ["c1", "c0"], step
            if step == "from intervals":
                roll_up_all(connection, END + HOUR)
            else:
                for within, month in rollup.months_due(connection, BERLIN):
                    rows = ranking.add_up_month(connection, month.span)
                    assert ranking.put_month(connection, within, month, rows)
                assert rollup.months_due(connection, BERLIN) == []
        assert [month.span for month in ranking.months(connection)] == [Span(START, END)]
        telemetry.mark_stale(connection, DAYS[4].start)
        assert ranking.months(connection) == []
        assert page(9, 0) == ["c2", "c1", "c0", "c3"]

    database.write(run)


def test_a_day_is_due_once_the_prober_lived_to_its_end(database: Database) -> None:
    def run(connection: Any) -> None:
        one_camera(connection)
        online = Interval(camera="c0", state=State.ONLINE, start=START, end=None)
        tell(connection, [online], DAYS[1].end - 1)
        assert rollup.due(connection, BERLIN, Ms(END + HOUR)) == [DAYS[0]]
        tell(connection, [], DAYS[1].end)
        assert rollup.due(connection, BERLIN, Ms(END + HOUR)) == [DAYS[1], DAYS[0]]

    database.write(run)


def test_another_zone_has_other_days(database: Database) -> None:
    shanghai = ZoneInfo("Asia/Shanghai")

    def run(connection: Any) -> None:
        one_camera(connection)
        tell(connection, [Interval(camera="c0", state=State.ONLINE, start=START, end=None)], END + HOUR)
        roll_up_all(connection, END + HOUR)
        assert rollup.misfits(connection, BERLIN) == []
        assert set(rollup.misfits(connection, shanghai)) == set(DAYS)

    database.write(run)


async def test_the_roller_adds_up_what_is_due(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/r.db") as own:
        own.upgrade()
        own.write(registry)
        own.write(one_camera)
        own.write(
            lambda c: tell(c, [Interval(camera="c0", state=State.ONLINE, start=START, end=None)], END + HOUR)
        )
        roller = rollup.Roller(own, BERLIN, lambda: Ms(END + HOUR))
        assert await roller.turn() == 5
        assert await roller.turn() == 0
        own.write(lambda c: telemetry.mark_stale(c, DAYS[3].start))
        assert await roller.turn() == 2


def test_a_page_of_cameras_can_be_of_one_part_of_the_town(database: Database) -> None:
    """Of whoever was there at some time of the span; an area is there with those below it."""

    def run(connection: Any) -> None:
        empty(connection)
        moved = DAYS[1].start
        place = {"tier": "community", "department": "d0", "area": "north", "zone": "z0", "ended_ms": None}
        south = place | {"department": "d1", "area": "south", "zone": "z1"}
        connection.execute(
            insert(schema.membership),
            [
                {"camera_id": "c0", "started_ms": START, **place},
                {"camera_id": "c1", "started_ms": START, **place} | {"ended_ms": moved},
                {"camera_id": "c1", "started_ms": moved, **south},
                {"camera_id": "c2", "started_ms": START, **south},
                {"camera_id": "c3", "started_ms": START, **south},
            ],
        )
        told = []
        for camera, hours in (("c0", 1), ("c1", 5), ("c2", 30)):
            edge = Ms(START + hours * HOUR)
            told.append(Interval(camera=camera, state=State.OFFLINE, start=START, end=edge))
            told.append(Interval(camera=camera, state=State.ONLINE, start=edge, end=None))
        tell(connection, told, END + HOUR)

        def page(span: Span, limit: int = 9, offset: int = 0, **within: str) -> tuple[list[str], int]:
            found = worst_cameras(
                connection, span, Ms(END + HOUR), limit=limit, offset=offset, within=cast(Any, within)
            )
            return [rate.key for rate in found.items], found.total

        whole, later = Span(START, Ms(END + HOUR)), Span(moved, Ms(END + HOUR))
        for kept in (False, True):
            if kept:
                roll_up_all(connection, END + HOUR)
            assert page(whole) == (["c2", "c1", "c0", "c3"], 4)
            assert page(whole, department="d0") == (["c1", "c0"], 2)
            assert page(later, department="d0") == (["c0"], 1)
            assert page(whole, department="d1") == (["c2", "c1", "c3"], 3)
            assert page(whole, limit=1, offset=1, zone="z1") == (["c1"], 3)
            assert page(whole, area="city") == (["c2", "c1", "c0", "c3"], 4)
            assert page(whole, area="north", department="d1") == ([], 0)  # never both at once
            assert page(whole, department="nobody") == ([], 0)

    database.write(run)
